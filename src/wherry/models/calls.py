"""One request to a model, made with patience: gate, rates, retries, and a breaker. Shared by both guards."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from wherry.errors import AuthFailed, QuotaExceeded, RateLimited, WherryError
from wherry.models.accounts import Accounts
from wherry.models.clock import Clock, RealClock
from wherry.models.pace import Gate, Rate
from wherry.models.spec import ModelSpec

DEADLINE_S = 120.0
# A key that was refused is tried again after this long: a service outlives the mending of its key.
BROKEN_S = 30.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0

T = TypeVar("T")


@dataclass
class Patience:
    """How failures are met. deadline_s: from a request's first attempt to its last. spread: a random share of 1."""

    deadline_s: float = DEADLINE_S
    clock: Clock = field(default_factory=RealClock)
    spread: Callable[[], float] = random.random

    def wait_before(self, attempt: int, error: WherryError) -> float:
        """Return the seconds to wait after the given attempt (from 1): full jitter, never less than asked for."""
        longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 16))
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        return (asked or 0.0) + self.spread() * longest


class Calls:
    """Makes the requests to one model."""

    def __init__(self, spec: ModelSpec, most: int, accounts: Accounts, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self.deadline_s = spec.seconds("deadline") or self.patience.deadline_s
        self.clock = self.patience.clock
        self.gate = Gate(spec.whole("concurrency") or most)
        self.accounts = accounts
        self._requests = self._rate(spec, "rpm")
        self._tokens = self._rate(spec, "tpm")
        self._hold_until = 0.0
        self._broken: tuple[float, WherryError] | None = None
        self._lock = Lock()
        self._stopped = False

    def stop(self) -> None:
        """Try nothing again from now on; what is under way ends by itself."""
        self._stopped = True

    @property
    def tokens_a_minute(self) -> float | None:
        """Return the token rate of the spec, None where it has none."""
        return self._tokens.most if self._tokens else None

    def make(self, act: Callable[[], T], tokens: int) -> T:
        """Make one request, again and again while that can help. tokens: about how many it sends.

        Raises the last error when the deadline has passed or the error is one that does not go away.
        """
        attempt, deadline = 1, self.clock.now() + self.deadline_s
        while True:
            try:
                return self._attempt(act, tokens)
            except WherryError as error:
                wait = self.patience.wait_before(attempt, error)
                if self._stopped or not error.retryable or self.clock.now() + wait > deadline:
                    raise self._noted(error, attempt) from None
                self.accounts.retried()
                self._hold(error)
                self._wait(wait)
                attempt += 1

    def _attempt(self, act: Callable[[], T], tokens: int) -> T:
        with self.gate.passing() as passage:
            # Asked after waiting for a place: meanwhile the key may have been refused.
            self._require_whole()
            self._wait(self._hold_until - self.clock.now())
            for rate, amount in ((self._requests, 1), (self._tokens, tokens)):
                if rate is not None:
                    self.accounts.waited(rate.take(amount)[1])
            try:
                answer = act()
            except WherryError as error:
                if error.retryable:
                    passage.choked()
                raise
            passage.answered()
            return answer

    def _hold(self, error: WherryError) -> None:
        # What one request is asked to wait holds for all: the others would only be refused too.
        if isinstance(error, RateLimited) and error.retry_after_s:
            with self._lock:
                self._hold_until = max(self._hold_until, self.clock.now() + error.retry_after_s)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.accounts.waited(seconds)
            self.clock.wait(seconds)

    def _require_whole(self) -> None:
        broken = self._broken
        if broken and self.clock.now() < broken[0]:
            raise broken[1]

    def _noted(self, error: WherryError, attempts: int) -> WherryError:
        if isinstance(error, AuthFailed | QuotaExceeded):
            self._broken = (self.clock.now() + BROKEN_S, error)
        elif error.retryable and attempts > 1 and "attempts" not in error.left:
            error.left = f"gave up after {attempts} attempts within {self.deadline_s:g} s"
        return error

    def _rate(self, spec: ModelSpec, name: str) -> Rate | None:
        most = spec.whole(name)
        return Rate(most, self.clock) if most else None
