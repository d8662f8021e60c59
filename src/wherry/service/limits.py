"""How often a key may ask, and how much at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wherry.service.failing import Refusal


class Limits:
    """A bucket of tokens and a count of requests under way per key; threads may share it.

    per_minute: how fast a bucket fills. burst: how much it holds. clock: seconds.
    """

    def __init__(
        self, per_minute: int, burst: int, at_a_time: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._most, self._clock = per_minute / 60, float(burst), at_a_time, clock
        self._left: dict[str, tuple[float, float]] = {}
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Count a request. Raises Refusal (429) when the key asks too often."""
        with self._lock:
            now = self._clock()
            left, since = self._left.get(key, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._per_s)
            allowed = left >= 1
            self._left[key] = (left - 1 if allowed else left, now)
        if not allowed:
            wait_s = (1 - left) / self._per_s
            raise Refusal(429, "RateLimited", "this key asks too often", "wait as long as Retry-After says", wait_s)

    @contextmanager
    def one(self, key: str, sockets: int | None = None) -> Iterator[None]:
        """Count a request while it is under way. Raises Refusal (429) when the key has too many.

        sockets: how many web sockets a key may have open; then one of those is counted, apart from requests.
        """
        key, most = (key, self._most) if sockets is None else (f"{key} sockets", sockets)
        with self._lock:
            allowed = self._under_way[key] < most
            if allowed:
                self._under_way[key] += 1
        if not allowed:
            raise Refusal(429, "RateLimited", "too many requests of this key are under way", "ask one by one", 1)
        try:
            yield
        finally:
            with self._lock:
                self._under_way[key] -= 1
                if not self._under_way[key]:
                    del self._under_way[key]
