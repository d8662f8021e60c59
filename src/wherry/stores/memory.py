"""The memory store: the reference every other engine is compared with.

Collections live in this process under their name (`memory:#name`) and keep records exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from wherry.address import Address
from wherry.errors import Busy, NoSuchCollection
from wherry.record import Page, dimension_of, schema
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, IdKind, Index, Probe

CAPABILITIES = Capabilities(
    id_kind=IdKind.TEXT,
    max_id_bytes=None,
    max_batch=None,
    max_dimension=None,
    precision_bits=32,
    normalises=frozenset(),
    metrics=frozenset(Metric),
    zero_vectors=True,
    null_text=True,
    nul_in_text=True,
    metadata=ALL_KINDS,
    filterable=ALL_KINDS,
    integer_bits=None,
    negative_zero=True,
    text_in_place=True,
    snapshot_scan=True,
    stable_order=True,
    unique_ids=True,
    atomic_batch=True,
    detects_changes=False,
    atomic_switch=False,
)


class _Shelf:
    """One collection: rows by id, each a batch of one row, in order of first arrival."""

    def __init__(self) -> None:
        self.space = Space()
        self.index = Index()
        self.rows: dict[str, pa.RecordBatch] = {}
        self.lock = threading.Lock()


_shelves: dict[str, _Shelf] = {}


class MemoryStore:
    """A collection in memory."""

    def __init__(self, name: str, create: bool) -> None:
        self.name = name
        if create:
            _shelves.setdefault(name, _Shelf())

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return f"memory:#{self.name}"

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection."""
        return self.address

    @property
    def capabilities(self) -> Capabilities:
        """Everything survives here."""
        return CAPABILITIES

    @property
    def _shelf(self) -> _Shelf:
        if self.name not in _shelves:
            raise NoSuchCollection(f"there is no collection {self.name!r} in memory", where=self.address)
        return _shelves[self.name]

    def describe(self) -> Collection:
        """Return what is there now."""
        shelf = self._shelf
        return Collection(self.name, bool(shelf.space.dimension), len(shelf.rows), shelf.space, shelf.index)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in the order of their first arrival, as of now."""
        batches = list(self._shelf.rows.values())
        for start in range(0, len(batches), rows):
            yield Page(_joined(batches[start : start + rows], self._shelf.space))

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id."""
        found = list(self._shelf.rows)
        for start in range(0, len(found), rows):
            yield pa.array(found[start : start + rows], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        shelf = self._shelf
        batches = [shelf.rows[i] for i in ids.to_pylist() if i in shelf.rows]
        return Page(_joined(batches, shelf.space))

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection if it is not there."""
        shelf = self._shelf
        if shelf.space.dimension is None:
            shelf.space, shelf.index = space, index

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records, each replacing what was under its id."""
        rows = self._shelf.rows
        for position, record_id in enumerate(batch.column("id").to_pylist()):
            rows[record_id] = batch.slice(position, 1)

    def delete(self, ids: pa.Array) -> None:
        """Delete records; unknown ids are ignored."""
        for record_id in ids.to_pylist():
            self._shelf.rows.pop(record_id, None)

    def finish(self, space: Space, index: Index) -> None:
        """Nothing is left to do in memory."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers of this process."""
        if not self._shelf.lock.acquire(blocking=False):
            raise Busy(f"another run is writing {self.address}", where=self.address)
        try:
            yield
        finally:
            self._shelf.lock.release()

    def close(self) -> None:
        """Nothing is held open."""


def open_source(address: Address) -> MemoryStore:
    """Open a collection for reading. Raises NoSuchCollection when it is not there."""
    store = MemoryStore(address.collection, create=False)
    store.describe()
    return store


def open_target(address: Address) -> MemoryStore:
    """Open a collection for writing."""
    return MemoryStore(address.collection, create=True)


def probe() -> Probe:
    """Memory is always there."""
    return Probe("memory", True, "this process")


def clear() -> None:
    """Forget every collection: for tests."""
    _shelves.clear()


def _joined(batches: list[pa.RecordBatch], space: Space) -> pa.RecordBatch:
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=schema(space.dimension or 0))
    wanted = schema(dimension_of(batches[0]))
    return pa.Table.from_batches([b.cast(wanted) for b in batches]).combine_chunks().to_batches()[0]
