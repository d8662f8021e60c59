"""Getting records by their ids, in portions that suit Chroma and keep memory flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from wherry.record import Page, Reject
from wherry.stores.chroma.faults import LostVector
from wherry.stores.chroma.rows import batch_of, joined

PAGE_BYTES = 16 << 20
# Chroma's client makes a Python number of every component; measured best between 100 and 300 rows.
_MOST_ROWS, _MOST_BYTES = 256, 2 << 20
_FIRST_ROWS = 8
# Half of a `get` needs no Python, so a second one goes on while the first is made a batch.
_AT_ONCE = 2
# get(ids, with_everything) -> what Chroma's `get` returns.
Get = Callable[[list[str], bool], dict[str, Any]]


class Portions:
    """Reads a collection's records by id; each portion is as large as the ones before suggest."""

    def __init__(self, get: Get, dimension: int) -> None:
        self._get = get
        self._dimension = dimension
        self._row_bytes = _MOST_BYTES / _FIRST_ROWS

    def pages(self, ids: pa.Array, rows: int, limit: int = PAGE_BYTES) -> Iterator[Page]:
        """Yield the records of `ids` in their order; ids that are not there are left out.

        A page accounts for at most `rows` ids, and ends with the portion that brings it to `limit` bytes.
        """
        parts: list[Page] = []
        taken = size = 0
        for count, part in self._in_order(ids, rows):
            parts.append(part)
            taken += count
            size += part.records.nbytes
            if size >= limit or taken % rows == 0 or taken == len(ids):
                yield self._joined(parts)
                parts, size = [], 0

    def everything(self, ids: pa.Array) -> Page:
        """Read the records of all `ids`, each once."""
        unique = pa.array(list(dict.fromkeys(ids.to_pylist())), type=pa.string())
        return self._joined(list(self.pages(unique, max(1, len(unique)))))

    def _in_order(self, ids: pa.Array, rows: int) -> Iterator[tuple[int, Page]]:
        """Yield portions and how many ids each accounts for; none reaches beyond a multiple of `rows`."""
        coming: deque[tuple[int, Future[Page]]] = deque()
        asked = 0
        with ThreadPoolExecutor(_AT_ONCE, "wherry-chroma-portion") as getting:
            while coming or asked < len(ids):
                while len(coming) < _AT_ONCE and asked < len(ids):
                    portion = ids.slice(asked, min(self._fitting(), rows - asked % rows)).to_pylist()
                    coming.append((len(portion), getting.submit(self._read, portion)))
                    asked += len(portion)
                count, part = coming.popleft()
                yield count, self._measured(part.result())

    def _fitting(self) -> int:
        return max(1, min(_MOST_ROWS, int(_MOST_BYTES / self._row_bytes)))

    def _measured(self, part: Page) -> Page:
        if part.records.num_rows:
            self._row_bytes = max(1.0, part.records.nbytes / part.records.num_rows)
        return part

    def _joined(self, pages: list[Page]) -> Page:
        rejects = [reject for page in pages for reject in page.rejects]
        return Page(joined([page.records for page in pages if page.records.num_rows], self._dimension), rejects)

    def _read(self, ids: list[str]) -> Page:
        try:
            return Page(batch_of(self._get(ids, True), ids, self._dimension))
        except LostVector:
            return self._salvaged(ids)

    def _salvaged(self, ids: list[str]) -> Page:
        """Find out by halving which records have lost their vector; the others are read."""
        if len(ids) > 1:
            middle = len(ids) // 2
            return self._joined([self._read(ids[:middle]), self._read(ids[middle:])])
        there = self._get(ids, False)["ids"]
        lost = [Reject(i, "MissingVector", "the collection's index has no vector for it") for i in there]
        return Page(joined([], self._dimension), lost)
