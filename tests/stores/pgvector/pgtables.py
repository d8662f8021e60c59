"""Short words for the tests of the pgvector store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from wherry.record import Record, Reject, from_records, to_records
from wherry.space import Metric, Space
from wherry.stores.base import Collection, Readable
from wherry.stores.pgvector import PgSource, PgTarget
from wherry.stores.registry import open_source, open_target

SPACE = Space(dimension=3, metric=Metric.COSINE)


def run(pg: psycopg.Connection, statement: str, name: str, *values: Any) -> psycopg.Cursor:
    """Run a statement in which @ stands for the table."""
    return pg.execute(statement.replace("@", sql.Identifier(name).as_string(pg)), values or None)


@contextmanager
def source(address: str) -> Iterator[PgSource]:
    """Open a source for a block."""
    store = open_source(address)
    assert isinstance(store, PgSource)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def target(address: str) -> Iterator[PgTarget]:
    """Open a target for a block."""
    store = open_target(address)
    assert isinstance(store, PgTarget)
    try:
        yield store
    finally:
        store.close()


def read(address: str) -> dict[str, tuple[list[float], str | None, dict[str, Any] | None]]:
    """Return the records of a table as id -> (vector, text, metadata)."""
    with source(address) as store:
        return {r.id: (list(map(float, r.vector)), r.text, r.metadata) for r in records(store)}


def records(store: Readable) -> list[Record]:
    """Return all records of a store."""
    return [record for page in store.scan() for record in to_records(page.records)]


def rejects(address: str) -> list[Reject]:
    """Return all rejects of a table."""
    with source(address) as store:
        return [reject for page in store.scan() for reject in page.rejects]


def described(address: str) -> Collection:
    """Describe a table as a source."""
    with source(address) as store:
        return store.describe()


def batch(*rows: tuple[str, Sequence[float]] | tuple[str, Sequence[float], Any]) -> pa.RecordBatch:
    """Return a batch of (id, vector) or (id, vector, metadata)."""
    return from_records([Record(r[0], r[1], f"text of {r[0]}", r[2] if len(r) > 2 else None) for r in rows])
