"""An engine of your own: collections as tables of one SQLite file, `shelf:./file.db#name`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from wherry.address import Address
from wherry.errors import NoSuchCollection, Rejected
from wherry.record import Page, dimension_of, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.state import locked
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, IdKind, Index, Probe

CAPABILITIES = Capabilities(
    id_kind=IdKind.TEXT, max_id_bytes=None, max_batch=None, max_dimension=None, precision_bits=32,
    normalises=frozenset(), metrics=frozenset(Metric), needs_metric=False, zero_vectors=True, null_text=True,
    nul_in_text=True, metadata=ALL_KINDS, checked_metadata=False, filterable=frozenset(), integer_bits=None,
    negative_zero=True, text_in_place=True, snapshot_scan=True, stable_order=True, unique_ids=True,
    atomic_batch=True, detects_changes=False, atomic_switch=False,
)  # fmt: skip


PAGE_BYTES = 8 << 20


class ShelfSource:
    """A collection to read; every act opens its own connection, so threads need no lock."""

    capabilities = CAPABILITIES

    def __init__(self, address: Address) -> None:
        self.address, self.name = str(address), address.collection
        self.path = Path(address.path).absolute()
        self.identity = f"shelf:{self.path}#{self.name}"
        self.table = '"' + ("c " + self.name).replace('"', '""') + '"'

    def _open(self) -> closing[sqlite3.Connection]:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS card (name TEXT PRIMARY KEY, space TEXT, found TEXT)")
        return closing(db)

    def describe(self) -> Collection:
        """Return what is there now."""
        with self._open() as db:
            card = db.execute("SELECT space, found FROM card WHERE name = ?", (self.name,)).fetchone()
            if card is None:
                return Collection(self.name, False, 0, Space())
            count = db.execute(f"SELECT count(*) FROM {self.table}").fetchone()[0]
        space, index = Space.from_dict(json.loads(card[0])), Index(**json.loads(card[1]))
        return Collection(self.name, True, count, space, index, volume=str(self.path))

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in the order of their arrival, as of one moment."""
        with self._open() as db:
            widest = db.execute(
                "SELECT max(length(vector) + coalesce(length(CAST(text AS BLOB)), 0) +"
                f" coalesce(length(CAST(metadata AS BLOB)), 0)) FROM {self.table}"
            ).fetchone()[0]
            cursor = db.execute(f"SELECT id, vector, text, metadata FROM {self.table} ORDER BY pos")
            while found := cursor.fetchmany(max(1, min(rows, PAGE_BYTES // (widest or 1)))):
                yield Page(_batch(found))

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id."""
        with self._open() as db:
            cursor = db.execute(f"SELECT id FROM {self.table} ORDER BY pos")
            while found := cursor.fetchmany(rows):
                yield pa.array([row[0] for row in found], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, vector, text, metadata FROM {self.table} WHERE id IN ({marks})"
        with self._open() as db:
            found = db.execute(query, ids.to_pylist()).fetchall()
        dimension = self.describe().space.dimension or 0
        return Page(_batch(found, dimension))

    def close(self) -> None:
        """Nothing is held open."""


class Shelf(ShelfSource):
    """A collection to write."""

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the table and its card; what is there already keeps its settings."""
        with self._open() as db:
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {self.table} (pos INTEGER PRIMARY KEY, id TEXT UNIQUE,"
                " vector BLOB, text TEXT, metadata TEXT)"
            )
            card = (self.name, json.dumps(space.to_dict()), json.dumps(vars(index)))
            db.execute("INSERT OR IGNORE INTO card VALUES (?, ?, ?)", card)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store a batch in one transaction; a record under a known id is replaced whole."""
        wanted = self.describe().space.dimension
        if dimension_of(batch) != wanted:
            raise Rejected(f"{dimension_of(batch)} components, the collection has {wanted}", where=self.address)
        rows = zip(
            batch.column("id").to_pylist(),
            [vector.tobytes() for vector in vectors_of(batch)],
            batch.column("text").to_pylist(),
            batch.column("metadata").to_pylist(),
            strict=True,
        )
        with self._open() as db, _transaction(db):
            db.executemany(
                f"INSERT INTO {self.table} (id, vector, text, metadata) VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT (id) DO UPDATE SET vector = ?2, text = ?3, metadata = ?4",
                rows,
            )

    def delete(self, ids: pa.Array) -> None:
        """Delete records; unknown ids are ignored."""
        with self._open() as db, _transaction(db):
            db.executemany(f"DELETE FROM {self.table} WHERE id = ?", [(i,) for i in ids.to_pylist()])

    def finish(self, space: Space, index: Index) -> None:
        """SQLite has nothing left to do."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers."""
        with locked(self.identity + " writer", self.address):
            yield


def open_source(address: Address) -> ShelfSource:
    """Open a collection for reading; sqlite3 would create a missing file, so look first."""
    shelf = ShelfSource(address)
    if not shelf.path.exists() or not shelf.describe().exists:
        raise NoSuchCollection(f"there is no {address}", where=str(address), next="check the name")
    return shelf


def open_target(address: Address) -> Shelf:
    """Open a collection for writing."""
    return Shelf(address)


def probe() -> Probe:
    """SQLite comes with Python."""
    return Probe("shelf", True, f"SQLite {sqlite3.sqlite_version}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _batch(rows: list[tuple[str, bytes, str | None, str | None]], dimension: int = 0) -> pa.RecordBatch:
    size = len(rows[0][1]) // 4 if rows else dimension
    vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32).reshape(len(rows), size)
    return make_batch([row[0] for row in rows], vectors, [row[2] for row in rows], [row[3] for row in rows])
