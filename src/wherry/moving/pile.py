"""Filling batches: what is new or changed waits here until there is enough of it to be written at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

from wherry.moving.conveyor import Load


class Pile:
    """Collects loads until they fill a batch of `size` records. absent: none of them is at the target."""

    def __init__(self, size: int, absent: bool) -> None:
        self.size, self.absent = size, absent
        self.loads: list[Load] = []
        self.rows = 0

    def add(self, load: Load) -> Iterator[Load]:
        """Add a load and yield every full batch; what does not fill one waits for more."""
        if len(load):
            self.loads.append(load)
            self.rows += len(load)
        if len(self.loads) == 1 and self._goes_as_it_is():
            yield from self._taken(self.rows)
        elif self.rows >= self.size:
            yield from self._taken(self.rows // self.size * self.size)

    def rest(self) -> Iterator[Load]:
        """Yield everything that is left, in batches."""
        yield from self._taken(self.rows)

    def _goes_as_it_is(self) -> bool:
        """Whether a load makes good batches by itself: what it left over would be joined, which copies vectors."""
        return self.size * 3 // 4 <= self.rows <= self.size or self.rows >= 2 * self.size

    def _taken(self, rows: int) -> Iterator[Load]:
        if not rows:
            return
        whole = Load.joined(self.loads)
        self.loads = [whole.slice(rows, len(whole) - rows)] if len(whole) > rows else []
        self.rows = len(whole) - rows
        # As large as each other, rather than full ones and a small one.
        batches = ceil(rows / self.size)
        ends = [rows * number // batches for number in range(batches + 1)]
        for start, end in pairwise(ends):
            yield whole.slice(start, end - start)
