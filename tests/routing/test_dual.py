"""Writing by a route while another side follows: nothing is lost, whatever that side does."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

import wherry
from tests.routing.kit import copied, made, records_of
from wherry.errors import Unreachable
from wherry.routing.book import Book
from wherry.routing.dual import Writer, follow, replay, replaying, waiting
from wherry.stores.registry import open_target


class Failing:
    """A store that fails three calls of ten, before or after it acted."""

    def __init__(self, address: str, chance: random.Random) -> None:
        self._store: Any = open_target(address)
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._store, name)
        if name not in ("upsert", "delete", "fetch", "finish"):
            return act

        def call(*args: Any, **options: Any) -> Any:
            dice = self._chance.random()
            if dice < 0.15:
                raise Unreachable("the store does not answer")
            done = act(*args, **options)
            if dice < 0.3:
                raise Unreachable("the store did it and does not answer")
            return done

        return call


def in_outbox() -> int:
    with Book() as book:
        return waiting(book, book.require("welno"))


def test_both_sides_get_every_write(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    with Writer("welno") as writer:
        writer.upsert(records_of(["혈압은 아침에 잽니다", "간 수치는 금식 후에 잽니다"], first=3))
        writer.delete(["g-0"])
        writer.upsert(records_of(["검진 전날 저녁부터 금식합니다"], first=1))
    assert in_outbox() == 0
    assert wherry.verify(old, new).equal
    assert wherry.open_source(old).describe().count == 4


@pytest.mark.parametrize("seed", range(3))
def test_a_side_that_fails_three_calls_of_ten_is_equal_after_replay(old: str, name: str, seed: int) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    chance = random.Random(seed)

    def opened(address: str) -> Any:
        return open_target(address) if address == old else Failing(address, chance)

    with Writer("welno", opened) as writer:
        for number in range(30):
            if chance.random() < 0.7:
                writer.upsert(records_of([f"글 {number}"], first=chance.randrange(12)))
            else:
                writer.delete([f"g-{chance.randrange(12)}"])
    for _ in range(200):
        if replay("welno", opened).waiting == 0:
            break
    assert in_outbox() == 0
    assert wherry.verify(old, new, level="deep").equal


def test_a_writer_does_not_feel_a_side_that_is_not_there(old: str) -> None:
    made("welno", old)
    follow("welno", "chroma+http://127.0.0.1:9#guides")
    with Writer("welno") as writer:
        writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
    assert wherry.open_source(old).describe().count == 4
    assert in_outbox() == 1
    told = replay("welno")
    assert told.waiting == 1
    assert told.error


def test_a_write_that_the_live_side_refuses_reaches_nobody(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    with Writer("welno") as writer, pytest.raises(wherry.WherryError):
        writer.upsert([wherry.Record("g-9", [1.0, 2.0], "다른 차원")])
    replay("welno")
    assert wherry.verify(old, new).equal


def test_an_outbox_of_a_writer_that_died_is_replayed(old: str, new: str) -> None:
    """As a crash leaves it: the ids are put down, and the live side holds what was written or does not."""
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    with Book() as book:
        statement = (
            "INSERT INTO wherry.route_outbox (route, target, ids, at) VALUES ($1, $2, $3, now() - interval '2 min')"
        )
        book.database.tell(statement, ["welno", new, '["g-0", "g-77"]'])
    store = open_target(old)
    from wherry.record import from_records

    store.upsert(from_records(records_of(["새로 쓴 글"], first=0)))
    store.close()
    assert replay("welno").waiting == 0
    assert wherry.verify(old, new).equal


def test_a_replay_leaves_the_way_free_for_the_next_at_once(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a connection when it comes to it."""
    made("welno", old)
    left: list[psycopg.Connection] = []
    with Book() as book, monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "close", lambda connection: left.append(connection))
        for wait in (False, True, False):
            with replaying(book.database.server, "welno", wait=wait) as held:
                assert held
                with replaying(book.database.server, "welno", wait=False) as second:
                    assert not second
    for connection in left:
        connection.close()
