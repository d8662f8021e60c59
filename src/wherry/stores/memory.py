"""The memory store: the reference every other engine is compared with.

Collections live in this process under their name (`memory:#name`) and keep records exactly.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from wherry.address import Address
from wherry.errors import Busy, NoSuchCollection, Rejected
from wherry.record import Page, dimension_of, schema
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, Hit, IdKind, Index, Probe
from wherry.stores.exact import Whole, checked
from wherry.where import Where

CAPABILITIES = Capabilities(
    id_kind=IdKind.TEXT,
    max_id_bytes=None,
    max_batch=None,
    max_dimension=None,
    precision_bits=32,
    normalises=frozenset(),
    metrics=frozenset(Metric),
    needs_metric=False,
    zero_vectors=True,
    null_text=True,
    nul_in_text=True,
    metadata=ALL_KINDS,
    checked_metadata=False,
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


# A page of wide records ends at about this many bytes, however few they are.
_PAGE_BYTES = 16 << 20


class _Shelf:
    """One collection: rows by id, each a batch of one row, in order of first arrival."""

    def __init__(self, space: Space, index: Index) -> None:
        self.space = space
        self.index = index
        self.rows: dict[str, pa.RecordBatch] = {}
        # Counts the changes, so that what was made for searching is known to be of now.
        self.changes = 0
        self.whole: tuple[int, Whole] | None = None

    def searchable(self) -> Whole:
        """Return all records as searching needs them; made again after a change."""
        whole, changes = self.whole, self.changes
        if whole is None or whole[0] != changes:
            whole = self.whole = (changes, Whole(_joined(list(self.rows.values()), self.space)))
        return whole[1]


_shelves: dict[str, _Shelf] = {}
# Apart from the shelves: a collection can be held before it is made.
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class MemorySource:
    """A collection in memory, to be read."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return str(Address("memory", "", self.name))

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
        return Collection(self.name, True, len(shelf.rows), shelf.space, shelf.index)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in the order of their first arrival, as of now."""
        shelf = self._shelf
        for batches in _pages(list(shelf.rows.values()), rows):
            yield Page(_joined(batches, shelf.space))

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id."""
        found = list(self._shelf.rows)
        for start in range(0, len(found), rows):
            yield pa.array(found[start : start + rows], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        shelf = self._shelf
        found = [shelf.rows.get(record_id) for record_id in dict.fromkeys(ids.to_pylist())]
        return Page(_joined([batch for batch in found if batch is not None], shelf.space))

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records; every search here is exact."""
        shelf = self._shelf
        return shelf.searchable().search(checked(vector, k, shelf.space, self.address), where)

    def close(self) -> None:
        """Nothing is held open."""


class MemoryStore(MemorySource):
    """A collection in memory, to be written."""

    def describe(self) -> Collection:
        """Return what is there now, which may be nothing yet."""
        if self.name not in _shelves:
            return Collection(self.name, False, 0, Space())
        return super().describe()

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection if it is not there."""
        shelf = _shelves.setdefault(self.name, _Shelf(space, index))
        # Made for a source that was empty and said nothing: the first that knows decides.
        if shelf.space.dimension is None:
            shelf.space = shelf.space.filled_from(space)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records, each replacing what was under its id. Raises Rejected for another dimension."""
        shelf = self._shelf
        if dimension_of(batch) != shelf.space.dimension:
            raise Rejected(
                f"{dimension_of(batch)} components, the collection has {shelf.space.dimension}",
                where=self.address,
                left="nothing of the batch was written",
            )
        for position, record_id in enumerate(batch.column("id").to_pylist()):
            shelf.rows[record_id] = batch.slice(position, 1)
        shelf.changes += 1

    def delete(self, ids: pa.Array) -> None:
        """Delete records; unknown ids are ignored."""
        for record_id in ids.to_pylist():
            self._shelf.rows.pop(record_id, None)
        self._shelf.changes += 1

    def finish(self, space: Space, index: Index) -> None:
        """Nothing is left to do in memory."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers of this process."""
        lock = _locks[self.name]
        if not lock.acquire(blocking=False):
            raise Busy(f"another run is writing {self.address}", where=self.address)
        try:
            yield
        finally:
            lock.release()


def open_source(address: Address) -> MemorySource:
    """Open a collection for reading. Raises NoSuchCollection when it is not there."""
    store = MemorySource(address.collection)
    store.describe()
    return store


def open_target(address: Address) -> MemoryStore:
    """Open a collection for writing; it is made by prepare, not here."""
    return MemoryStore(address.collection)


def probe() -> Probe:
    """Memory is always there."""
    return Probe("memory", True, "this process")


def clear() -> None:
    """Forget every collection: for tests."""
    _shelves.clear()


def _pages(batches: list[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Cut single records into pages of at most `rows` records and about 16 MiB."""
    page: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        page.append(batch)
        size += batch.nbytes
        if len(page) == rows or size >= _PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


def _joined(batches: list[pa.RecordBatch], space: Space) -> pa.RecordBatch:
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=schema(space.dimension or 0))
    wanted = schema(dimension_of(batches[0]))
    same = [batch if batch.schema.equals(wanted) else batch.cast(wanted) for batch in batches]
    return pa.Table.from_batches(same).combine_chunks().to_batches()[0]
