"""Marks: what was not touched since one is as it was."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import psycopg
import pyarrow as pa
import pytest

import wherry
from tests.stores.pgvector.pgtables import SPACE, batch, run, source, target
from wherry.errors import Unreachable
from wherry.postgres import server
from wherry.space import Space
from wherry.stores.base import Index, Others
from wherry.stores.pgvector import changes
from wherry.stores.pgvector.target import PgTarget


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


@pytest.fixture
def held(where: str) -> Iterator[PgTarget]:
    """The table of three records, held by one writer."""
    with target(where) as store, store.exclusive():
        yield store


def without_a_look(store: PgTarget, before: str, held: int = 3) -> Others | None:
    """Ask what others wrote while the table may not be read."""
    with patch.object(changes, "_WRITTEN", "SELECT 1 / 0, {id}::text, {table}, {most}"):
        return store.others(before, held)


def test_what_one_store_wrote_is_known_without_a_look(held: PgTarget, where: str) -> None:
    before = mark(where)
    assert without_a_look(held, before) == Others(3, [])
    held.upsert(batch(*[(i, [3, 2, 1]) for i in "de"]), absent=True)
    held.upsert(batch(*[(i, [3, 2, 1]) for i in "aef"]))
    held.delete(pa.array(["b", "unknown"]))
    between = mark(where)
    assert without_a_look(held, before) == Others(5, [])
    held.delete(pa.array(["c", "d"]))
    held.finish(SPACE, Index())
    assert without_a_look(held, before) == without_a_look(held, between, 5) == Others(3, [])
    assert held.describe().count == 3


def test_a_batch_that_was_written_a_second_time_counts_once(held: PgTarget, where: str) -> None:
    before = mark(where)
    held.upsert(batch(*[(i, [3, 2, 1]) for i in "cde"]), absent=True)
    assert without_a_look(held, before) == Others(5, [])


def test_what_others_wrote_is_told_from_our_own(pg: psycopg.Connection, name: str, held: PgTarget, where: str) -> None:
    before = mark(where)
    held.upsert(batch(("d", [3, 2, 1])), absent=True)
    held.upsert(batch(("c", [3, 2, 1])))
    run(pg, "UPDATE @ SET text = 'x' WHERE id IN ('b', 'd')", name)
    run(pg, "DELETE FROM @ WHERE id = 'a'", name)
    held.upsert(batch(("e", [3, 2, 1])), absent=True)
    found = held.others(before, 3)
    assert found is not None
    assert found.ids is not None
    assert (found.count, sorted(found.ids)) == (4, ["b", "d"])
    after = mark(where)
    held.upsert(batch(("f", [3, 2, 1])), absent=True)
    assert without_a_look(held, after, 4) == Others(5, [])


def test_more_than_can_be_listed_is_said(pg: psycopg.Connection, name: str, held: PgTarget, where: str) -> None:
    before = mark(where)
    run(pg, "UPDATE @ SET text = 'x'", name)
    with patch.object(changes, "_MOST_OTHERS", "2"):
        assert held.others(before, 3) == Others(3, None)


def test_a_write_that_ends_later_is_seen(pg: psycopg.Connection, name: str, held: PgTarget, where: str) -> None:
    """It began before the mark, and nobody can see it until it ends."""
    with psycopg.connect(pg.info.dsn) as other:
        other.execute(psycopg.sql.SQL("UPDATE {} SET text = 'x' WHERE id = 'a'").format(psycopg.sql.Identifier(name)))
        before = mark(where)
        held.upsert(batch(("d", [3, 2, 1])), absent=True)
        assert held.others(before, 3) == Others(4, [])
        other.commit()
    assert held.others(before, 3) == Others(4, ["a"])


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER more AFTER INSERT ON @ EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE more AS ON DELETE TO @ DO ALSO NOTIFY more",
    ],
    ids=["trigger", "rule"],
)
def test_a_table_that_does_more_than_it_is_told_is_in_doubt(
    pg: psycopg.Connection, name: str, held: PgTarget, where: str, statement: str
) -> None:
    run(pg, statement, name)
    assert held.others(mark(where), 3) is None


def test_what_a_worker_wrote_is_ours(pg: psycopg.Connection, name: str, held: PgTarget, where: str) -> None:
    before = mark(where)
    with target(where) as worker:
        worker.portion(0).upsert(batch(("d", [3, 2, 1]), ("e", [3, 2, 1])), absent=True)
        told = pickle.loads(pickle.dumps(worker.own_writes()))
    assert held.others(before, 3) == Others(5, ["d", "e"])
    held.count_as_own(told)
    assert without_a_look(held, before, 3) == Others(5, [])
    run(pg, "UPDATE @ SET text = 'not ours' WHERE id = 'e'", name)
    assert held.others(before, 3) == Others(5, ["e"])


def test_what_a_lost_worker_wrote_is_in_doubt(held: PgTarget, where: str) -> None:
    before = mark(where)
    held.count_as_own(None)
    assert held.others(before, 3) is None


def test_a_server_that_does_not_count_is_looked_at(held: PgTarget, where: str) -> None:
    before = mark(where)
    with held._writer.alone() as connection:
        connection.execute("SET track_counts = off")
    held.upsert(batch(("d", [3, 2, 1])), absent=True)
    assert held.others(before, 99) == Others(4, [])


def test_another_epoch_proves_nothing(pg: psycopg.Connection, name: str, held: PgTarget, where: str) -> None:
    before = mark(where)
    run(pg, "VACUUM FULL @", name)
    assert held.others(before, 3) is None


def test_a_glance_counts_rows_and_leaves_their_vectors_alone(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3))", name)
    run(pg, "INSERT INTO @ VALUES ('a', '[1,2,3]'), ('b', NULL)", name)
    with source(f"pgvector:#{name}") as store:
        whole, brief = store.describe(), store.glance()
    assert [note for note in whole.notes if "no vector" in note]
    assert brief.count == whole.count == 2
    assert replace(brief, notes=whole.notes) == whole


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_row_written_by_others_during_a_sync_is_doubted_and_mended(
    pg: psycopg.Connection, name: str, where: str, first: bool
) -> None:
    """After a run that wrote all, among it the very row, and after one that wrote a little."""
    into = f"{name}t"
    if not first:
        wherry.sync(where, f"pgvector:#{into}")
        run(pg, "UPDATE @ SET text = 'new' WHERE id = 'c'", name)
    with target(f"pgvector:#{into}") as store, source(where) as from_:
        finish = store.finish

        def disturbed(space: Space, index: Index) -> None:
            run(pg, "UPDATE @ SET text = 'not ours' WHERE id = 'a'", into)
            finish(space, index)

        with patch.object(store, "finish", disturbed):
            result = wherry.sync(from_, store)
    assert not result.equal
    assert [note for note in result.notes if "written by somebody else" in note]
    assert wherry.sync(where, f"pgvector:#{into}").changed == 1
    assert wherry.verify(where, f"pgvector:#{into}").verdict == "verified"
