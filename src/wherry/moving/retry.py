"""Trying again what can succeed: the one place of the house that sleeps.

A sync that met a store which was down, slow or busy is simply run again: planning anew is how it
resumes. Only error classes that say `retryable` are tried, with full jitter, never before the time a
store asked for, and within a deadline.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from wherry.errors import RateLimited, WherryError

ATTEMPTS = 6
DEADLINE_S = 120.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 20.0

T = TypeVar("T")


def retrying(
    act: Callable[[], T],
    worth: Callable[[], bool],
    heard: Callable[[WherryError, float], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call `act` until it succeeds, fails for good, or the deadline (seconds) passes.

    worth: whether a failure at this point is worth another try. heard: told of each error that will be
    tried again and of the wait in seconds.
    """
    deadline = clock() + DEADLINE_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return act()
        except WherryError as error:
            wait = _wait(error, attempt)
            if not (error.retryable and worth()) or attempt == ATTEMPTS or clock() + wait > deadline:
                raise
            heard(error, wait)
            sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _wait(error: WherryError, attempt: int) -> float:
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt)
    asked = error.retry_after_s if isinstance(error, RateLimited) else None
    return (asked or 0.0) + random.uniform(_FIRST_WAIT_S / 2, longest)
