"""Pages as they come from a table."""

from __future__ import annotations

import weakref

import psycopg
import pyarrow as pa

from tests.stores.pgvector.pgtables import SPACE, batch, target
from wherry.stores.base import Index


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
