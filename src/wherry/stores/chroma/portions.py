"""Getting records by their ids, in portions that suit Chroma and keep memory flat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
        while taken < min(rows, len(ids)) and size < limit:
            room = max(1, int((limit - size) / self._row_bytes))
            portion = ids.slice(taken, min(rows - taken, room, self._most)).to_pylist()
            batch, lost = self._portion(portion)
            taken += len(portion)
            size += batch.nbytes
            rejects += lost
            if batch.num_rows:
                self._row_bytes = max(1.0, batch.nbytes / batch.num_rows)
                batches.append(batch)
        return Page(joined(batches, self._dimension), rejects), taken

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

    def _portion(self, ids: list[str]) -> tuple[pa.RecordBatch, list[Reject]]:
        try:
            return batch_of(self._get(ids, True), ids, self._dimension), []
        except LostVector:
            return self._salvaged(ids)

    def _salvaged(self, ids: list[str]) -> tuple[pa.RecordBatch, list[Reject]]:
        """Find out by halving which records have lost their vector; the others are read."""
        if len(ids) == 1:
            there = self._get(ids, False)["ids"]
            lost = [Reject(i, "MissingVector", "the collection's index has no vector for it") for i in there]
            return joined([], self._dimension), lost
        middle = len(ids) // 2
        halves = [self._portion(half) for half in (ids[:middle], ids[middle:])]
        batches = [batch for batch, _ in halves if batch.num_rows]
        return joined(batches, self._dimension), [reject for _, lost in halves for reject in lost]
