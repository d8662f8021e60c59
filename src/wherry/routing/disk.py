"""The disk that holds a collection: how full it is, how fast it fills, and when writes have to stop.

A database whose disk is full stops in the middle of something, and may not start again. So a warning comes at 80 %,
and writes by a route are refused at 95 %, before anything is written.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import DiskFull

WARNS, STOPS = 0.8, 0.95
_DAY_S = 86_400.0
Clock = Callable[[], float]


@dataclass
class Disk:
    """The volume of a collection over time. seen: (seconds, bytes used)."""

    volume: Path | None
    clock: Clock = time.monotonic
    seen: list[tuple[float, int]] = field(default_factory=list)

    def share(self) -> float | None:
        """Return how much of it is used, 0 to 1; None where the volume is not ours to see."""
        if self.volume is None or not self.volume.exists():
            return None
        usage = shutil.disk_usage(self.volume)
        self.seen.append((self.clock(), usage.used))
        return usage.used / usage.total

    def days_left(self) -> float | None:
        """Return in how many days it is full at the rate seen so far, None where it does not fill."""
        if self.volume is None or len(self.seen) < 2:
            return None
        (first, was), (last, used) = self.seen[0], self.seen[-1]
        rate = (used - was) / (last - first) if last > first else 0.0
        return shutil.disk_usage(self.volume).free / rate / _DAY_S if rate > 0 else None


def require_room(volume: Path | None, route: str) -> None:
    """Raise DiskFull while there is still room to end cleanly."""
    share = Disk(volume).share()
    if share is not None and share >= STOPS:
        raise DiskFull(
            f"the disk of the collection is {share:.0%} full, and writes by {route} stop at {STOPS:.0%}",
            where=str(volume),
            left="nothing was written; readers go on",
            next=f"make room on that disk, then write again; wherry watch {route} tells how fast it fills",
        )
