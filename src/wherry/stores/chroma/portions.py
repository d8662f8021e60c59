"""Getting records by their ids, in portions that suit Chroma and keep memory flat."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from wherry.record import Page, Reject
from wherry.stores.chroma.faults import LostVector
from wherry.stores.chroma.rows import batch_of, joined

PAGE_BYTES = 16 << 20
# Chroma's client makes a Python number of every component; measured best between 100 and 300 rows.
_MOST_ROWS, _MOST_VECTOR_BYTES = 256, 2 << 20
_FIRST_ROWS = 8
# get(ids, with_everything) -> what Chroma's `get` returns.
Get = Callable[[list[str], bool], dict[str, Any]]


class _Portion(NamedTuple):
    """Records that were asked for."""

    ids: list[str]
    found: Future[dict[str, Any]]


class Portions:
    """Reads a collection's records by id; each portion is as large as the one before suggests."""

    def __init__(self, get: Get, dimension: int) -> None:
        self._get = get
        self._dimension = dimension
        self._row_bytes = PAGE_BYTES / _FIRST_ROWS
        self._most = max(1, min(_MOST_ROWS, _MOST_VECTOR_BYTES // (4 * max(1, dimension))))

    def page(self, ids: pa.Array, rows: int, limit: int = PAGE_BYTES) -> tuple[Page, int]:
        """Read the first records of `ids`: at most `rows`, and about `limit` bytes.

        Returns the page and how many ids it accounts for; ids that are not there are left out.
        """
        batches: list[pa.RecordBatch] = []
        rejects: list[Reject] = []
        taken = size = 0
        wanted, coming = ids.slice(0, rows), None
        # Chroma works without Python half of the time: the next portion comes while this one is made a batch.
        with ThreadPoolExecutor(1, "wherry-chroma-portion") as beside:
            while taken < len(wanted) and size < limit:
                left = limit - size
                portion = coming or self._asked(beside, wanted.slice(taken), max(left, self._row_bytes))
                taken += len(portion.ids)
                coming = self._next(beside, wanted.slice(taken), left - len(portion.ids) * self._row_bytes)
                batch, lost = self._read(portion.ids, portion.found.result)
                size += batch.nbytes
                rejects += lost
                if batch.num_rows:
                    self._row_bytes = max(1.0, batch.nbytes / batch.num_rows)
                    batches.append(batch)
        return Page(joined(batches, self._dimension), rejects), taken

    def _asked(self, beside: ThreadPoolExecutor, ids: pa.Array, room: float) -> _Portion:
        """Ask for as many of the first records as `room` bytes may hold."""
        portion = ids.slice(0, min(self._most, int(room / self._row_bytes))).to_pylist()
        return _Portion(portion, beside.submit(self._get, portion, True))

    def _next(self, beside: ThreadPoolExecutor, ids: pa.Array, room: float) -> _Portion | None:
        """Ask for the next records, unless there are none or the page may be full before."""
        return self._asked(beside, ids, room) if len(ids) and room >= self._row_bytes else None

    def everything(self, ids: pa.Array) -> Page:
        """Read the records of all `ids`, each once."""
        unique = pa.array(list(dict.fromkeys(ids.to_pylist())), type=pa.string())
        pages = []
        taken = 0
        while taken < len(unique):
            page, count = self.page(unique.slice(taken), len(unique))
            pages.append(page)
            taken += count
        rejects = [reject for page in pages for reject in page.rejects]
        return Page(joined([p.records for p in pages if p.records.num_rows], self._dimension), rejects)

    def _read(self, ids: list[str], found: Callable[[], dict[str, Any]]) -> tuple[pa.RecordBatch, list[Reject]]:
        try:
            return batch_of(found(), ids, self._dimension), []
        except LostVector:
            return self._salvaged(ids)

    def _salvaged(self, ids: list[str]) -> tuple[pa.RecordBatch, list[Reject]]:
        """Find out by halving which records have lost their vector; the others are read."""
        if len(ids) == 1:
            there = self._get(ids, False)["ids"]
            lost = [Reject(i, "MissingVector", "the collection's index has no vector for it") for i in there]
            return joined([], self._dimension), lost
        middle = len(ids) // 2
        halves = [self._read(half, partial(self._get, half, True)) for half in (ids[:middle], ids[middle:])]
        batches = [batch for batch, _ in halves if batch.num_rows]
        return joined(batches, self._dimension), [reject for _, lost in halves for reject in lost]
