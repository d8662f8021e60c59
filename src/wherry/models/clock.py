"""The clock of everything that waits for a model; tests put in one that costs no time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> float:
        """Return seconds that only ever grow."""
        ...

    def wait(self, seconds: float) -> None:
        """Let this many seconds pass."""
        ...


class RealClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let this many seconds pass."""
        time.sleep(seconds)
