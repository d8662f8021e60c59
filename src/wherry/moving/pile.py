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
        """Add a load and yield every full batch."""
        if len(load):
            self.loads.append(load)
            self.rows += len(load)
        # A page that fills most of a batch goes as it is: joining would copy its vectors.
        if self.rows >= self.size * 3 // 4:
            yield from self.rest()

    def rest(self) -> Iterator[Load]:
        """Yield everything that is left, in batches."""
        if not self.rows:
            return
        whole = Load.joined(self.loads)
        self.loads, self.rows = [], 0
        for start in range(0, len(whole), self.size):
            yield whole.slice(start, self.size)
