"""Pages as they come from a table."""

from __future__ import annotations

import weakref

import psycopg
import pyarrow as pa
import pytest

import wherry
from tests.stores.pgvector.pgtables import SPACE, batch, run, target
from wherry.postgres.link import Server
from wherry.stores.base import Index
from wherry.stores.pgvector import reading


def test_a_record_taken_from_a_page_does_not_keep_the_page(pg: psycopg.Connection, name: str) -> None:
    """A changed record here and there waits for its batch: the pages they came in may not wait with them."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 2)
        store.upsert(batch(("a", [1, 2, 3]), ("b", [3, 2, 1])), absent=True)
        (page,) = store.scan()
    assert page.sealed is not None
    assert page.native is not None
    whole, part = weakref.ref(page.sealed.rows), page.native.take(pa.array([1]))
    del page
    assert whole() is None
    assert part.ids.to_pylist() == ["b"]


@pytest.mark.parametrize("order", ["id", "id DESC", "md5(id)", "id::int < 7000, id::int"])
def test_sides_in_other_orders_are_compared_whole(pg: psycopg.Connection, name: str, order: str) -> None:
    """A table that was updated or restored lies in an order of its own; the damage in it is named all the same."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 20_000)
        store.finish(SPACE, Index())
    rows = "SELECT i::text, ('[' || i || ',1,0.5]')::vector, '본문 ' || i, NULL FROM generate_series(0, 19999) i"
    run(pg, f"INSERT INTO @ (id, embedding, text, metadata) {rows}", name)
    other = f"{name}_other"
    run(pg, f"CREATE TABLE {other} (LIKE @ INCLUDING ALL)", name)
    run(pg, f"INSERT INTO {other} SELECT * FROM @ ORDER BY {order}", name)
    one, two = f"pgvector:#{name}", f"pgvector:#{other}?metric=cosine"
    try:
        assert wherry.verify(one, two).verdict == "verified"
        for statement in ("UPDATE @ SET embedding = '[1,2,3]' WHERE id = '12900'", "DELETE FROM @ WHERE id = '5'"):
            run(pg, statement, other)
        found = wherry.verify(one, two)
    finally:
        run(pg, "DROP TABLE @", other)
    assert [(d.id, d.kind, d.field) for d in found.differences] == [
        ("12900", "different", "vector"),
        ("5", "missing", ""),
    ]
    assert found.compared == 19999


def test_what_another_engine_takes_is_decoded_once(
    pg: psycopg.Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are joined into batches: each was decoded to be looked at, and that is what is written."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 6000)
        store.finish(SPACE, Index())
    long = "SELECT i::text, '[1,2,3]'::vector, repeat('본문', 200) || i, NULL FROM generate_series(1, 6000) i"
    run(pg, f"INSERT INTO @ (id, embedding, text, metadata) {long}", name)
    seen, decode = list[int](), reading._decode
    monkeypatch.setattr(reading, "_decode", lambda rows, form: (seen.append(len(rows)), decode(rows, form))[1])
    assert wherry.sync(f"pgvector:#{name}", f"memory:#{name}").written == 6000
    # Several pages to a batch, and a few records that the plan looked at.
    assert len(seen) > 2
    assert 6000 <= sum(seen) < 7000


def test_one_session_reads_range_after_range(
    pg: psycopg.Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range that was left half-way, or read beside another, takes a session of its own, and none stays open."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 9)
        store.upsert(batch(*[(str(n), [1, 2, n]) for n in range(1, 10)]), absent=True)
        made: list[psycopg.Connection] = []
        connect = Server.connect
        monkeypatch.setattr(Server, "connect", lambda self: made.append(connect(self)) or made[-1])
        cut = store.ranges(3)
        read = [page.ids.to_pylist() for part in cut for page in store.scan_range(part)]
        assert (read, len(made)) == ([["1", "2"], ["3", "4", "5"], ["6", "7", "8", "9"]], 1)
        one, other = (store.scan_range(part, 1) for part in cut[:2])
        assert next(one).ids.to_pylist() + next(other).ids.to_pylist() == ["1", "3"]
        one.close()
        assert [page.ids.to_pylist() for page in other] == [["4"], ["5"]]
        assert [link.closed for link in made] == [True, False]
    assert all(link.closed for link in made)
