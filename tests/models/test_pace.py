"""Gate and rate by themselves."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.kit import QuickClock, patience
from wherry.errors import RateLimited, Unreachable
from wherry.models.accounts import Accounts
from wherry.models.calls import Calls
from wherry.models.pace import WINDOW_S, Gate, Rate
from wherry.models.spec import ModelSpec


def test_the_gate_opens_while_the_provider_answers() -> None:
    gate = Gate(10)
    assert gate.limit == 4
    for _ in range(20):
        with gate.passing() as passage:
            passage.answered()
    assert gate.limit == 10


def test_the_gate_halves_once_for_all_that_were_under_way() -> None:
    gate = Gate(16)
    for _ in range(12):
        gate.answered()
    assert gate.limit == 16
    with gate.passing() as one, gate.passing() as other:
        one.choked()
        other.choked()
    assert gate.limit == 8
    with gate.passing() as later:
        later.choked()
    assert gate.limit == 4
    for _ in range(10):
        with gate.passing() as last:
            last.choked()
    assert gate.limit == 1


def test_after_trouble_the_gate_opens_slowly() -> None:
    gate = Gate(16)
    with gate.passing() as passage:
        passage.choked()
    before = gate.limit
    gate.answered()
    assert before < gate.limit <= before + 1 / before


def test_as_many_pass_as_the_limit_says_and_no_more() -> None:
    gate, inside, most, meet = Gate(3), [], [], Barrier(3)

    def pass_through() -> None:
        with gate.passing():
            inside.append(1)
            most.append(len(inside))
            meet.wait(20)
            inside.pop()

    threads = [Thread(target=pass_through) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) == 3


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 120)), min_size=1, max_size=40),
    st.integers(1, 100),
)
def test_no_window_holds_more_than_the_rate_unless_one_is_larger(steps: list[tuple[float, int]], most: int) -> None:
    clock = QuickClock()
    rate, spent = Rate(most, clock), []
    for pause, amount in steps:
        if pause > 0:
            clock.wait(pause)
        rate.take(amount)
        spent.append((clock.now(), amount))
    for start, _ in spent:
        window = [amount for at, amount in spent if start <= at < start + WINDOW_S - 1e-6]
        assert sum(window) <= most or len(window) == 1


def test_a_rate_waits_no_longer_than_it_must() -> None:
    clock = QuickClock()
    rate = Rate(10, clock)
    for _ in range(20):
        rate.take(1)
    assert sum(clock.waits) == pytest.approx(WINDOW_S, abs=0.01)


def test_what_one_request_is_asked_to_wait_holds_for_the_next() -> None:
    clock = QuickClock()
    calls = Calls(ModelSpec.parse("x:y"), 1, Accounts(None), patience(clock))
    answers = iter([RateLimited(retry_after_s=20), "혈당"])

    def act() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert calls.make(act, 1) == "혈당"
    assert sum(clock.waits) == pytest.approx(20.5)
    calls._hold(RateLimited(retry_after_s=15))
    calls.make(lambda: None, 1)
    assert sum(clock.waits) == pytest.approx(35.5)


def test_jitter_is_spread_over_the_whole_wait() -> None:
    shares = iter([0.0, 1.0, 0.25])
    clock = QuickClock()
    calls = Calls(ModelSpec.parse("x:y"), 1, Accounts(None), patience(clock))
    calls.patience.spread = lambda: next(shares)
    answers = iter([Unreachable(), Unreachable(), Unreachable(), None])

    def act() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    calls.make(act, 1)
    assert clock.waits == [2.0, 1.0], "0 of 1 s, 1 of 2 s, a quarter of 4 s"
