"""Marks: what was not touched since one is as it was."""

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


def mark(where: str) -> str:
    """Return a mark of now."""
    with source(where) as store:
        found = store.mark()
    assert found is not None
    return found


def epoch(where: str) -> str:
    """Return the epoch of a table: the part of a mark that says whether it means anything."""
    return mark(where).split()[0]


def since(where: str, mark: str) -> tuple[int, set[str]]:
    """Return the count, and the ids touched since a mark."""
    with source(where) as store:
        found = store.touched(mark)
    assert found is not None
    return found.count, set(found.ids.to_pylist())


def test_what_is_written_is_touched_and_nothing_else(pg: psycopg.Connection, name: str, where: str) -> None:
    before = mark(where)
    assert since(where, before) == (3, set())
    run(pg, "UPDATE @ SET text = 'x' WHERE id = 'b'", name)
    assert since(where, before) == (3, {"b"})
    run(pg, "DELETE FROM @ WHERE id = 'a'", name)
    assert since(where, before) == (2, {"b"})


def test_a_place_that_is_used_again_is_touched(pg: psycopg.Connection, name: str, where: str) -> None:
    before = mark(where)
    run(pg, "DELETE FROM @ WHERE id = 'b'", name)
    run(pg, "VACUUM @", name)
    run(pg, "INSERT INTO @ (id, embedding) VALUES ('b', '[9,9,9]')", name)
    assert since(where, before) == (3, {"b"})


def test_what_was_still_running_at_the_mark_is_touched(pg: psycopg.Connection, name: str, where: str) -> None:
    """Also what a subtransaction wrote before the mark, which only its transaction commits after it."""
    with psycopg.connect(pg.info.dsn) as other:
        other.execute(psycopg.sql.SQL("UPDATE {} SET text = 'x' WHERE id = 'a'").format(psycopg.sql.Identifier(name)))
        with other.transaction():
            other.execute(
                psycopg.sql.SQL("UPDATE {} SET text = 'y' WHERE id = 'b'").format(psycopg.sql.Identifier(name))
            )
        before = mark(where)
        assert since(where, before)[1] <= {"c"}
        other.commit()
    assert since(where, before)[1] >= {"a", "b"}


def test_a_mark_finds_little_after_many_transactions(pg: psycopg.Connection, name: str, where: str) -> None:
    before = mark(where)
    for _ in range(50):
        pg.execute("SELECT pg_current_xact_id()")
    run(pg, "UPDATE @ SET text = 'x' WHERE id = 'c'", name)
    assert since(where, before) == (3, {"c"})


def test_much_that_was_written_is_better_scanned(pg: psycopg.Connection, name: str, where: str) -> None:
    run(pg, "INSERT INTO @ (id, embedding) SELECT i::text, '[1,2,3]' FROM generate_series(1, 2000) i", name)
    before = mark(where)
    run(pg, "UPDATE @ SET text = 'x'", name)
    with source(where) as store:
        assert store.touched(before) is None


def test_freezing_touches_no_row(pg: psycopg.Connection, name: str, where: str) -> None:
    before = mark(where)
    run(pg, "VACUUM (FREEZE) @", name)
    run(pg, "ANALYZE @", name)
    assert since(where, before) == (3, set())


def test_locking_a_row_does_not_touch_it(pg: psycopg.Connection, name: str, where: str) -> None:
    before = mark(where)
    run(pg, "SELECT FROM @ FOR UPDATE", name)
    assert since(where, before) == (3, set())


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
    before, old = mark(where), epoch(where)
    assert server.stop()
    assert since(where, before) == (3, set())
    with source(where) as store, psycopg.connect(server.start()) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        # The server throws everyone out; what asks next is told to try again.
        victim.close()
        # The server throws everyone out; what asks meanwhile is told to try again.
        first = patient(lambda: other_than(old, (store.mark() or "").split()[0]))
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


def test_rows_of_child_tables_have_no_marks(pg: psycopg.Connection, name: str, where: str) -> None:
    with source(where) as store:
        assert store.capabilities.detects_changes
    pg.execute(f'CREATE TABLE "{name}c" () INHERITS ("{name}")')
    with source(where) as store:
        assert not store.capabilities.detects_changes
        assert store.mark() is None


def test_computed_columns_have_no_marks(pg: psycopg.Connection, name: str, where: str) -> None:
    run(pg, "ALTER TABLE @ ADD COLUMN shown text GENERATED ALWAYS AS (id || '!') VIRTUAL", name)
    with source(f"{where}?text=shown") as store:
        assert not store.capabilities.detects_changes
