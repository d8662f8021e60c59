"""Filling batches: what is new or changed waits here until there is enough of it to be written at once."""

from __future__ import annotations

from collections.abc import Iterator

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
        # A page that fills most of a batch goes as it is: joining would copy its vectors.
        if len(self.loads) == 1 and self.size * 3 // 4 <= self.rows <= self.size:
            yield from self._taken(self.rows)
        elif self.rows >= self.size:
            yield from self._taken(self.rows // self.size * self.size)

    def rest(self) -> Iterator[Load]:
        """Yield everything that is left, in batches."""
        yield from self._taken(self.rows)

    def _taken(self, rows: int) -> Iterator[Load]:
        if not rows:
            return
        whole = Load.joined(self.loads)
        self.loads = [whole.slice(rows, len(whole) - rows)] if len(whole) > rows else []
        self.rows = len(whole) - rows
        for start in range(0, rows, self.size):
            yield whole.slice(start, min(self.size, rows - start))
