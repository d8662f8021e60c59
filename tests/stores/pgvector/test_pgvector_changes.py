"""Versions: equal tokens within one epoch mean the row was not touched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.stores.pgvector.pgtables import SPACE, batch, run, source, target
from wherry.errors import Unreachable
from wherry.postgres import server
from wherry.stores.base import Index


@pytest.fixture
def where(pg: psycopg.Connection, name: str) -> str:
    """A table of three records."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 3)
        store.upsert(batch(*[(i, [1, 2, 3]) for i in "abc"]), absent=True)
    return f"pgvector:#{name}"


def tokens(where: str) -> dict[str, bytes]:
    """Return the token of every record."""
    with source(where) as store:
        return {
            i: t for ids, found in store.versions() for i, t in zip(ids.to_pylist(), found.to_pylist(), strict=True)
        }


def epoch(where: str) -> str:
    """Return the epoch of a table."""
    with source(where) as store:
        return store.epoch()


def test_a_place_that_is_used_again_has_another_token(pg: psycopg.Connection, name: str, where: str) -> None:
    before = tokens(where)
    run(pg, "DELETE FROM @ WHERE id = 'b'", name)
    run(pg, "VACUUM @", name)
    run(pg, "INSERT INTO @ (id, embedding) VALUES ('b', '[9,9,9]')", name)
    after = tokens(where)
    # The same place in the file (the last six bytes), another transaction.
    assert after["b"][4:] == before["b"][4:]
    assert after["b"] != before["b"]
    assert {i: after[i] for i in "ac"} == {i: before[i] for i in "ac"}


def test_freezing_touches_no_row(pg: psycopg.Connection, name: str, where: str) -> None:
    before = tokens(where), epoch(where)
    run(pg, "VACUUM (FREEZE) @", name)
    run(pg, "ANALYZE @", name)
    assert (tokens(where), epoch(where)) == before


def test_locking_a_row_does_not_touch_it(pg: psycopg.Connection, name: str, where: str) -> None:
    before = tokens(where)
    run(pg, "SELECT FROM @ FOR UPDATE", name)
    assert tokens(where) == before


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM FULL @",
        "TRUNCATE @",
        "ALTER TABLE @ ALTER embedding TYPE vector(3) USING (embedding + '[1,1,1]')::vector(3)",
        "ALTER TABLE @ DROP COLUMN text; ALTER TABLE @ ADD COLUMN text text DEFAULT 'x'",
    ],
    ids=["rewrite", "truncate", "type", "other-column"],
)
def test_a_rewrite_begins_an_epoch(pg: psycopg.Connection, name: str, where: str, statement: str) -> None:
    before = epoch(where)
    for part in statement.split(";"):
        run(pg, part, name)
    assert epoch(where) != before


def test_another_column_is_another_epoch(pg: psycopg.Connection, name: str, where: str) -> None:
    run(pg, "ALTER TABLE @ ADD COLUMN body text", name)
    assert epoch(where) != epoch(f"{where}?text=body")


def test_a_restart_keeps_the_epoch_and_a_crash_ends_it(pg: psycopg.Connection, where: str) -> None:
    before = tokens(where), epoch(where)
    assert server.stop()
    assert (tokens(where), epoch(where)) == before
    with source(where) as store, psycopg.connect(server.start()) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        # The server throws everyone out; what asks next is told to try again.
        victim.close()
        # The server throws everyone out; what asks meanwhile is told to try again.
        first = patient(lambda: other_than(before[1], store.epoch()))
        assert patient(lambda: epoch(where)) == first


def patient(ask: Callable[[], str]) -> str:
    """Ask until the server answers with something else than "try again", 20 s at most."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return ask()
        except Unreachable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def other_than(old: str, found: str) -> str:
    """Return an epoch; the old one means that the crash was not noticed yet."""
    if found == old:
        raise Unreachable("not yet")
    return found


def test_rows_of_child_tables_have_no_versions(pg: psycopg.Connection, name: str, where: str) -> None:
    with source(where) as store:
        assert store.capabilities.detects_changes
    pg.execute(f'CREATE TABLE "{name}c" () INHERITS ("{name}")')
    with source(where) as store:
        assert not store.capabilities.detects_changes
        assert all(page.versions is None for page in store.scan())


def test_computed_columns_have_no_versions(pg: psycopg.Connection, name: str, where: str) -> None:
    run(pg, "ALTER TABLE @ ADD COLUMN shown text GENERATED ALWAYS AS (id || '!') VIRTUAL", name)
    with source(f"{where}?text=shown") as store:
        assert not store.capabilities.detects_changes
