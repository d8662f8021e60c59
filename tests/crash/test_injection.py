"""The fault injector itself: transparent while nothing is due, exact when it is; children end as told."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from wherry.address import Address
from wherry.errors import Busy, Unreachable
from wherry.record import Record, from_records
from wherry.space import Space
from wherry.stores import memory
from wherry.stores.base import Index, Versioned, Writable
from wherry.testing.conformance import Fixtures, StoreConformance, verdicts
from wherry.testing.crash import Runner, in_child, killed_after
from wherry.testing.faults import ERRORS, KILLS, Calls, Fault, Moment, faulty

BATCH = from_records([Record(f"r{n}", [float(n), 1.0]) for n in range(6)])


class Wrapped(Fixtures):
    """Memory stores inside an injector that has nothing to do."""

    examples = 3

    def open_target(self, name: str) -> Any:
        return faulty(memory.MemoryStore(name), Calls())

    def open_source(self, name: str) -> Any:
        return faulty(memory.open_source(Address("memory", "", name)), Calls())

    def drop(self, name: str) -> None:
        memory.clear()


def test_injector_with_nothing_to_do_passes_the_suite(tmp_path: Path) -> None:
    found = verdicts(StoreConformance, Wrapped(tmp_path))
    assert len(found) > 150
    assert {name: v for name, v in found.items() if v not in ("passed", "skipped")} == {}


def prepared(calls: Calls) -> Any:
    store = memory.MemoryStore("t")
    store.prepare(Space(dimension=2), Index(), 6)
    return faulty(store, calls, label="t")


@pytest.mark.parametrize(("moment", "written"), [(Moment.BEFORE, 0), (Moment.MIDDLE, 3), (Moment.AFTER, 6)])
def test_moment_says_how_much_was_done(moment: Moment, written: int) -> None:
    calls = Calls(2, Fault(moment, Unreachable))
    store = prepared(calls)
    store.describe()
    with pytest.raises(Unreachable):
        store.upsert(BATCH)
    assert calls.struck
    assert store.describe().count == written
    assert calls.names == ["t describe", "t upsert", "t describe"]


def test_only_some_calls_are_counted() -> None:
    calls = Calls(1, Fault(Moment.BEFORE, Unreachable), only=("delete",))
    store = prepared(calls)
    store.upsert(BATCH)
    with pytest.raises(Unreachable):
        store.delete(BATCH["id"])
    assert calls.names == ["t delete"]


def test_every_page_is_a_call() -> None:
    calls = Calls()
    store = faulty(memory.MemoryStore("t"), calls, page_rows=2)
    prepared(Calls()).upsert(BATCH)
    assert [page.read for page in store.scan()] == [2, 2, 2]
    assert calls.names == ["store scan"] * 4


def test_injector_has_the_protocols_of_the_store_inside() -> None:
    source = faulty(memory.MemorySource("t"), Calls())
    assert not isinstance(source, Writable)
    assert not isinstance(prepared(Calls()), Versioned)
    assert isinstance(prepared(Calls()), Writable)


def test_there_is_a_fault_of_each_kind() -> None:
    assert {fault.moment for fault in KILLS} == set(Moment)
    assert len({str(fault) for fault in ERRORS}) == len(ERRORS) == 15


def test_child_returns_a_value_an_error_or_its_death() -> None:
    assert in_child(lambda: 6 * 7).value == 42
    failed = in_child(_busy)
    assert (failed.error, failed.message, failed.killed) == ("Busy", "not now", False)
    assert in_child(KILLS[0].strike).killed


def test_child_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError):
        in_child(lambda: time.sleep(60), limit_s=0.2)
    assert killed_after(lambda: time.sleep(60), 0.1).killed
    assert killed_after(os.getpid, 5).value != os.getpid()


def test_runner_calls_by_name_and_kills_by_the_clock() -> None:
    with Runner({"WHERRY_TEST": "4"}, ["json"]) as runner:
        assert runner.call("os:getenv", "WHERRY_TEST").value == "4"
        assert runner.call("json:loads", "{").error == "JSONDecodeError"
        assert runner.call("time:sleep", 60, kill_after_s=0.1).message == signal.Signals.SIGKILL.name


def _busy() -> None:
    raise Busy("not now")
