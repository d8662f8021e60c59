"""How fast requests go out: how many at once, and how many a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Lock

from wherry.models.clock import Clock

WINDOW_S = 60.0
_FIRST_CONCURRENCY = 4


class Gate:
    """Lets as many requests through at once as the provider bears: more while it answers, half when it chokes.

    most: the upper bound, at least 1.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(min(_FIRST_CONCURRENCY, most))
        self._running = 0
        self._cuts = 0
        self._growing_fast = True
        self._change = Condition()

    @contextmanager
    def passing(self) -> Iterator[Passage]:
        """Hold one place; wait for one when all are taken."""
        with self._change:
            self._change.wait_for(lambda: self._running < int(self.limit))
            self._running += 1
            passage = Passage(self, self._cuts)
        try:
            yield passage
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()

    def answered(self) -> None:
        """Note a success: quick growth until the first trouble, one more per round after it."""
        with self._change:
            self.limit = min(float(self.most), self.limit + (1 if self._growing_fast else 1 / self.limit))
            self._change.notify_all()

    def choked(self, cuts_at_start: int) -> None:
        """Note trouble: half as many, once for all requests that were under way together."""
        with self._change:
            if cuts_at_start == self._cuts:
                self._cuts += 1
                self._growing_fast = False
                self.limit = max(1.0, self.limit / 2)


@dataclass(frozen=True)
class Passage:
    """One request on its way through the gate."""

    gate: Gate
    cuts_at_start: int

    def answered(self) -> None:
        """Note that it was answered."""
        self.gate.answered()

    def choked(self) -> None:
        """Note that the provider could not bear it."""
        self.gate.choked(self.cuts_at_start)


@dataclass
class Spent:
    """What one request takes from a rate; corrected when the provider tells the true amount."""

    at: float
    amount: float


@dataclass
class Rate:
    """At most `most` within any 60 seconds; one request larger than that goes alone."""

    most: float
    clock: Clock
    _spent: deque[Spent] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)

    def take(self, amount: float) -> tuple[Spent, float]:
        """Wait until `amount` may be spent, spend it; return the entry and the seconds waited."""
        waited = 0.0
        while True:
            with self._lock:
                wait = self._wait_for(amount)
                if wait <= 0:
                    entry = Spent(self.clock.now(), amount)
                    self._spent.append(entry)
                    return entry, waited
            self.clock.wait(wait)
            waited += wait

    def _wait_for(self, amount: float) -> float:
        now = self.clock.now()
        while self._spent and self._spent[0].at <= now - WINDOW_S:
            self._spent.popleft()
        over = sum(entry.amount for entry in self._spent) + amount - self.most
        for entry in self._spent:
            if over <= 0:
                return 0.0
            over -= entry.amount
            if over <= 0:
                return max(entry.at + WINDOW_S - now, 1e-3)
        # Too large for any minute: it goes when the minute holds nothing else.
        return max(self._spent[-1].at + WINDOW_S - now, 1e-3) if self._spent else 0.0
