"""How fast the service is asked, and how often again: one pace for all threads of a store.

LlamaCloud publishes no limits. So there is a rate to begin with, which halves whenever the service asks
to wait and recovers with each answer, and a moment before which nobody asks anything.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

from wherry.errors import Interrupted, RateLimited, StoreError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 20.0
# A server that fails is asked this often; one that asks to wait is waited for until the deadline.
_ATTEMPTS = 6
_LOWEST_RATE, _RECOVERY = 0.5, 0.1

T = TypeVar("T")


class Pace:
    """Asks for one store. rate: requests per second, as many at once. deadline_s: how long one is tried.

    now: seconds that only grow. wait: lets seconds pass, and returns True when `stop` was called meanwhile.
    """

    def __init__(
        self,
        rate: float,
        deadline_s: float,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.rate = self._most = rate
        self._deadline_s, self._now = deadline_s, now
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._lock = threading.Lock()
        self._due = self._not_before = -math.inf
        # The latest request to wait, raised where the wait would be too long.
        self._limit: StoreError | None = None
        self._closed = False

    def ask(self, act: Callable[[], T]) -> T:
        """Call `act` until it succeeds, fails for good, or the deadline would pass while waiting."""
        ends = self._now() + self._deadline_s
        for attempt in count(1):
            self._take_turn(ends)
            try:
                answer = act()
            except StoreError as error:
                if not error.retryable:
                    raise
                self._put_off(error, attempt, ends)
            else:
                with self._lock:
                    self.rate = min(self._most, self.rate + _RECOVERY)
                return answer
        raise Interrupted

    def stop(self) -> None:
        """Let every thread that waits give up; nothing can be asked any more."""
        self._closed = True
        self._stopped.set()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Let every thread that waits give up, for as long as the block lasts."""
        self._stopped.set()
        try:
            yield
        finally:
            if not self._closed:
                self._stopped.clear()

    def _take_turn(self, ends: float) -> None:
        with self._lock:
            now = self._now()
            # As many requests as the rate allows per second may go at once.
            self._due = max(self._due, now - 1) + 1 / self.rate
            pause = self._due - now
        self._pause(pause)
        while (pause := self._not_before - self._now()) > 0:
            if self._not_before > ends:
                raise self._limit or RateLimited(retry_after_s=pause)
            self._pause(pause)

    def _put_off(self, error: StoreError, attempt: int, ends: float) -> None:
        limited = isinstance(error, RateLimited)
        asked = (error.retry_after_s or 0.0) if isinstance(error, RateLimited) else 0.0
        pause = asked + random.uniform(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt))
        with self._lock:
            if limited:
                self.rate = max(_LOWEST_RATE, self.rate / 2)
                self._not_before, self._limit = max(self._not_before, self._now() + asked), error
            if self._now() + pause > ends or (attempt >= _ATTEMPTS and not limited):
                raise error
        self._pause(pause)

    def _pause(self, seconds: float) -> None:
        if self._stopped.is_set() or (seconds > 0 and self._wait(seconds)):
            raise Interrupted("the reading was stopped", left="what was read is kept for a while")


__all__ = ["Pace"]
