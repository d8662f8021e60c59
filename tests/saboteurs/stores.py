"""Stores that are wrong on purpose, each in one way that some real engine or tool really is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.crash.chest import Chest
from wherry.errors import RateLimited
from wherry.record import Page, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import PAGE_ROWS, Collection, Index
from wherry.stores.memory import MemoryStore


class Offset(MemoryStore):
    """Pages by LIMIT and OFFSET over what is there at that moment."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        start = 0
        while ids := list(self._shelf.rows)[start : start + rows]:
            start += len(ids)
            yield self.fetch(pa.array(ids))


class LastPage(MemoryStore):
    """Stops when a page is not full, before yielding it."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        size = min(rows, 16)
        for page in super().scan(size):
            if page.records.num_rows == size:
                yield page


class Glances(MemoryStore):
    """Leaves out the last page where it is read for a comparison alone."""

    def scan_to_compare(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        *pages, _ = super().scan(rows)
        yield from pages


class Samples(MemoryStore):
    """Returns all it holds where a few records are asked for."""

    def sample(self, rows: int) -> Page:
        return next(super().scan(rows + len(self._shelf.rows)))


class Swap(MemoryStore):
    """Exchanges the vectors of two neighbours in each batch."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        vectors = vectors_of(batch).copy()
        if len(vectors) > 1:
            vectors[[0, 1]] = vectors[[1, 0]]
        super().upsert(_with(batch, vectors=vectors), absent)


class Half(MemoryStore):
    """Stores 16-bit floats and says 32."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        with np.errstate(over="ignore"):
            super().upsert(_with(batch, vectors=vectors_of(batch).astype(np.float16).astype(np.float32)), absent)


class Swallow(MemoryStore):
    """Is asked to wait at every other write, says nothing, and drops the batch."""

    writes: ClassVar[int] = 0

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        Swallow.writes += 1
        try:
            if Swallow.writes % 2 == 0:
                raise RateLimited("429")
            super().upsert(batch, absent)
        except RateLimited:
            pass


class OldCount(MemoryStore):
    """Answers the count of its first describe for ever."""

    def describe(self) -> Collection:
        found = super().describe()
        self.first = getattr(self, "first", found.count)
        return replace(found, count=self.first)


class TooManyIds(MemoryStore):
    """Lists ids that no scan shows."""

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        yield from super().ids(rows)
        yield pa.array(["ghost"])


class FetchAll(MemoryStore):
    """Ignores the filter: whatever is asked for, everything comes."""

    def fetch(self, ids: pa.Array) -> Page:
        return super().fetch(pa.array(list(self._shelf.rows), type=pa.string()))


class PrefixDelete(MemoryStore):
    """Deletes by LIKE 'id%'."""

    def delete(self, ids: pa.Array) -> None:
        for prefix in ids.to_pylist():
            for record_id in [i for i in self._shelf.rows if i.startswith(prefix)]:
                del self._shelf.rows[record_id]


class NoDelete(MemoryStore):
    """Accepts a deletion and does nothing."""

    def delete(self, ids: pa.Array) -> None: ...


class Merge(MemoryStore):
    """An upsert keeps the metadata keys that the new record does not name."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        merged = []
        for record_id, text in zip(batch["id"].to_pylist(), batch["metadata"].to_pylist(), strict=True):
            old = self._shelf.rows.get(record_id)
            before = old["metadata"][0].as_py() if old is not None else None
            both = None if text is None and before is None else json.loads(before or "{}") | json.loads(text or "{}")
            merged.append(None if both is None else json.dumps(both))
        super().upsert(_with(batch, metadata=merged), absent)


class OneBuffer(MemoryStore):
    """Yields every page as a view of the same buffer, which the next page overwrites."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        buffer: np.ndarray | None = None
        for page in super().scan(min(rows, 8)):
            vectors = vectors_of(page.records)
            buffer = vectors.copy() if buffer is None else buffer
            view = buffer[: len(vectors)]
            view[:] = vectors
            yield Page(_with(page.records, vectors=view))


class Sticky(MemoryStore):
    """Keeps its place between scans: a second scan goes on where the first one was left."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        ids = list(self._shelf.rows)
        self.place = getattr(self, "place", 0)
        while self.place < len(ids):
            part = ids[self.place : self.place + rows]
            self.place += len(part)
            yield self.fetch(pa.array(part))


class NewRanges(MemoryStore):
    """Draws new ranges for every scan: one at random is never read."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        pages = list(super().scan(min(rows, 8)))
        random.Random(len(pages)).shuffle(pages)
        yield from pages[1:]


class Fold(MemoryStore):
    """Takes ids for numbers: '4' and '0004' are one record."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        folded = [str(int(i)) if i.isascii() and i.isdigit() else i for i in batch["id"].to_pylist()]
        super().upsert(batch.set_column(0, batch.schema.field("id"), pa.array(folded)), absent)


class CaseFold(MemoryStore):
    """Compares ids without case, as some collations do."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        known = {i.lower(): i for i in self._shelf.rows}
        ids = [known.setdefault(i.lower(), i) for i in batch["id"].to_pylist()]
        super().upsert(batch.set_column(0, batch.schema.field("id"), pa.array(ids)), absent)


class AlwaysCosine(MemoryStore):
    """Takes the usual metric for the recorded one."""

    def describe(self) -> Collection:
        found = super().describe()
        return replace(found, space=replace(found.space, metric=Metric.COSINE))


class GuessesMetric(MemoryStore):
    """Fills in cosine where no metric was recorded."""

    def describe(self) -> Collection:
        found = super().describe()
        return replace(found, space=found.space.filled_from(Space(metric=Metric.COSINE)))


class LostNull(MemoryStore):
    """Stores an empty text where there was none."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        super().upsert(_with(batch, texts=pc.fill_null(batch.column("text"), "")), absent)


class ReadsItsOwnWrites(MemoryStore):
    """Answers a fetch from a cache of what it was given, not from what it stored (rounded vectors)."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        self.cache = getattr(self, "cache", {})
        for row, record_id in enumerate(batch["id"].to_pylist()):
            self.cache[record_id] = batch.slice(row, 1)
        super().upsert(_with(batch, vectors=np.round(vectors_of(batch), 2)), absent)

    def fetch(self, ids: pa.Array) -> Page:
        held = [self.cache[i] for i in ids.to_pylist() if i in getattr(self, "cache", {})]
        if not held:
            return super().fetch(ids)
        return Page(pa.Table.from_batches(held).combine_chunks().to_batches()[0])


class BulkAppends(MemoryStore):
    """Takes the bulk path for every write: a second write of an id makes a second record."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        rows = self._shelf.rows
        for row, record_id in enumerate(batch["id"].to_pylist()):
            rows[record_id if record_id not in rows else f"{record_id}\x00{len(rows)}"] = batch.slice(row, 1)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        for page in super().scan(rows):
            ids = [i.partition("\x00")[0] for i in page.records["id"].to_pylist()]
            yield Page(page.records.set_column(0, page.records.schema.field("id"), pa.array(ids)))


class Loose(Chest):
    """Says "durable" when a record is in memory; writes when it is asked to finish."""

    pending: dict[str, pa.RecordBatch]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pending = {}

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        for row, record_id in enumerate(batch["id"].to_pylist()):
            self.pending[record_id] = batch.slice(row, 1)

    def fetch(self, ids: pa.Array) -> Page:
        waiting = [self.pending[i] for i in ids.to_pylist() if i in self.pending]
        if not waiting:
            return super().fetch(ids)
        return Page(pa.Table.from_batches(waiting).combine_chunks().to_batches()[0])

    def finish(self, space: Space, index: Index) -> None:
        for batch in self.pending.values():
            super().upsert(batch)
        self.pending.clear()


def _with(batch: pa.RecordBatch, **columns: Any) -> pa.RecordBatch:
    kept = {"vectors": vectors_of(batch), "texts": batch.column("text"), "metadata": batch.column("metadata")}
    return make_batch(batch.column("id"), **kept | columns)
