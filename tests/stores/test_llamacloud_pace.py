"""How fast the service is asked and how long is waited, by a clock that costs no time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from wherry.errors import AuthFailed, Interrupted, RateLimited, StoreError, Unreachable
from wherry.stores.llamacloud.pace import Pace


class Clock:
    """Tells a time that only waiting moves."""

    def __init__(self) -> None:
        self.time, self.waits = 1000.0, list[float]()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.time += seconds
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(*errors: StoreError) -> Callable[[], str]:
    """Return an act that fails in these ways, one after another, and then succeeds."""
    left = list(errors)

    def act() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return act


def test_a_burst_goes_at_once_and_the_rest_at_the_rate(clock: Clock) -> None:
    pace = Pace(10, 60, clock.now, clock.wait)
    for _ in range(10):
        pace.ask(lambda: None)
    assert sum(clock.waits) == pytest.approx(0)
    for _ in range(30):
        pace.ask(lambda: None)
    assert sum(clock.waits) == pytest.approx(3)


def test_what_was_asked_for_is_waited_at_least(clock: Clock) -> None:
    pace = Pace(10, 60, clock.now, clock.wait)
    assert pace.ask(failing(RateLimited(retry_after_s=7), RateLimited(retry_after_s=5))) == "done"
    assert 12 <= sum(clock.waits) <= 12 + 0.5 + 1 + 0.5


def test_waits_grow_with_jitter_and_have_an_end(clock: Clock) -> None:
    pace = Pace(1000, 600, clock.now, clock.wait)
    with pytest.raises(Unreachable):
        pace.ask(failing(*[Unreachable() for _ in range(9)]))
    assert len(clock.waits) == 5
    assert all(wait <= 0.25 * 2**n for n, wait in enumerate(clock.waits, 1))
    assert len(set(clock.waits)) == 5


def test_a_service_that_asks_to_wait_is_waited_for_until_the_deadline(clock: Clock) -> None:
    pace = Pace(1000, 300, clock.now, clock.wait)
    assert pace.ask(failing(*[RateLimited(retry_after_s=20) for _ in range(8)])) == "done"
    pace = Pace(1000, 300, clock.now, clock.wait)
    began = clock.time
    with pytest.raises(RateLimited):
        pace.ask(failing(*[RateLimited(retry_after_s=40) for _ in range(99)]))
    assert 200 <= clock.time - began <= 300


def test_a_wait_beyond_the_deadline_is_not_begun_by_anybody(clock: Clock) -> None:
    pace = Pace(1000, 30, clock.now, clock.wait)
    with pytest.raises(RateLimited) as caught:
        pace.ask(failing(RateLimited(retry_after_s=31)))
    assert (clock.waits, caught.value.retry_after_s) == ([], 31)
    asked = []
    with pytest.raises(RateLimited):
        pace.ask(lambda: asked.append(1))
    assert asked == []


def test_what_cannot_succeed_is_asked_once(clock: Clock) -> None:
    with pytest.raises(AuthFailed):
        Pace(10, 60, clock.now, clock.wait).ask(failing(AuthFailed()))
    assert clock.waits == []


def test_the_rate_falls_and_recovers(clock: Clock) -> None:
    pace = Pace(8, 600, clock.now, clock.wait)
    pace.ask(failing(RateLimited(), RateLimited()))
    assert 2 <= pace.rate < 2.2
    for _ in range(100):
        pace.ask(lambda: None)
    assert pace.rate == 8
    with pytest.raises(RateLimited):
        pace.ask(failing(*[RateLimited(retry_after_s=1) for _ in range(10_000)]))
    assert pace.rate == 0.5


def test_one_thread_that_is_told_to_wait_holds_all(clock: Clock) -> None:
    pace = Pace(1000, 600, clock.now, clock.wait)
    with pytest.raises(RateLimited):
        Pace(1000, 1, clock.now, clock.wait).ask(failing(RateLimited(retry_after_s=50)))
    began = clock.time
    pace._not_before = began + 50
    pace.ask(lambda: None)
    assert clock.time >= began + 50


def test_stopping_wakes_who_waits() -> None:
    pace = Pace(1000, 3600)
    asked, failed = threading.Event(), []

    def act() -> None:
        asked.set()
        raise RateLimited(retry_after_s=600)

    def run() -> None:
        try:
            pace.ask(act)
        except Interrupted as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert asked.wait(30)
    with pace.halted():
        thread.join(30)
    assert not thread.is_alive()
    assert len(failed) == 1
    pace.stop()
    with pytest.raises(Interrupted):
        pace.ask(lambda: None)
