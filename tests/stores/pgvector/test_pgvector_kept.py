"""A connection that is given up serves the next one, for a moment, as if it were new."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from wherry.postgres import kept
from wherry.postgres.link import Link, Server

SERVER = Server(None, "the embedded server")


@pytest.fixture(autouse=True)
def none_kept(pg: psycopg.Connection) -> Iterator[None]:
    kept.KEPT.close()
    yield
    kept.KEPT.close()


def session(link: Link) -> int:
    with link.begin() as connection:
        return connection.info.backend_pid


def is_there(pg: psycopg.Connection, session: int) -> bool:
    return bool(pg.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (session,)).fetchall())


def test_the_next_link_goes_on_with_the_session_and_with_nothing_else_of_it() -> None:
    reader, writer = Link(SERVER, read_only=True), Link(SERVER)
    first = session(reader)
    reader.close()
    assert session(writer) == first
    with writer.begin() as connection:
        shown = (
            connection.execute("SHOW transaction_read_only").fetchone(),
            connection.execute("SHOW transaction_isolation").fetchone(),
        )
    assert shown == (("off",), ("read committed",))
    writer.close()


def test_two_at_once_never_share_one() -> None:
    links = [Link(SERVER) for _ in range(3)]
    assert len({session(link) for link in links}) == 3
    for link in links:
        link.close()
    assert len({session(link) for link in links}) == 3


def test_it_ends_by_itself(pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_S", 0.01)
    link = Link(SERVER)
    number = session(link)
    link.close()
    pg.execute(
        "DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_stat_clear_snapshot();"
        f" EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {number}); PERFORM pg_sleep(0.01);"
        " END LOOP; END $$"
    )
    assert not is_there(pg, number)


def test_one_that_the_server_ended_is_lent_to_nobody(pg: psycopg.Connection) -> None:
    link = Link(SERVER)
    number = session(link)
    link.close()
    pg.execute("SELECT pg_terminate_backend(%s, 5000)", (number,))
    assert session(link) != number
    link.close()


def test_one_in_the_middle_of_something_is_closed() -> None:
    connection = SERVER.connect()
    connection.execute("BEGIN")
    kept.KEPT.give("here", connection)
    assert connection.closed
    assert kept.KEPT.take("here") is None


def test_one_whose_settings_may_have_changed_is_closed(pg: psycopg.Connection) -> None:
    link = Link(SERVER)
    with link.alone() as connection:
        connection.execute("SET maintenance_work_mem = '1MB'")
    link.close()
    assert connection.closed


def test_only_so_many_are_kept() -> None:
    connections = [SERVER.connect() for _ in range(kept.MOST + 1)]
    for connection in connections:
        kept.KEPT.give("here", connection)
    assert [connection.closed for connection in connections] == [False] * kept.MOST + [True]


def test_a_fork_has_none_and_ends_none_of_its_parent(pg: psycopg.Connection) -> None:
    link = Link(SERVER)
    number = session(link)
    link.close()
    child = os.fork()
    if child == 0:
        kept.KEPT.close()
        os._exit(0 if kept.KEPT.take(SERVER.reached()) is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert is_there(pg, number)
    assert session(link) == number
    link.close()
