"""Errors at every call: before it, after half of it, or after all of it with the reply lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import pytest

from tests.crash.scene import SCENES, Scene, update
from tests.sampled import sampled
from wherry.errors import DiskFull, RateLimited, TimedOut, Unreachable, WherryError
from wherry.testing.faults import ERRORS, Calls, Fault, Moment

# One of each error and each moment belongs to a commit; all of them crossed to the campaign.
DAILY = (
    Fault(Moment.AFTER, Unreachable),
    Fault(Moment.MIDDLE, TimedOut),
    Fault(Moment.BEFORE, RateLimited),
    Fault(Moment.MIDDLE, DiskFull),
    Fault(Moment.AFTER, RuntimeError),
)
# Calls to the stores alone: what a journal does when it fails is a test of its own.
STORES = ("describe", "scan", "ids", "fetch", "prepare", "upsert", "delete", "finish", "mark", "touched")


def attempt(scene: Scene, calls: Calls) -> type[Exception] | None:
    """Sync and return the class of the error; None means that it ended and said "equal"."""
    try:
        assert scene.sync(calls)["equal"]
    except (WherryError, RuntimeError) as error:
        return type(error)
    return None


def every_fault(template: Scene, folder: Path, fault: Fault, numbers: Iterable[int] | None = None) -> int:
    """Let each call fail in turn; demand a named error or a true result, and a resumption that works.

    numbers: the calls that fail, where not all of them. Returns how many failed.
    """
    for failed, at in enumerate(numbers or count(1)):
        scene = template.copy(folder / f"{at}")
        calls = Calls(at, fault, STORES)
        outcome = attempt(scene, calls)
        if not calls.struck:
            assert outcome is None
            assert scene.wrong() == []
            return failed
        assert outcome is fault.error, f"call {at} ({calls.names[at - 1]}): {outcome}"
        assert scene.sync()["equal"], f"call {at}"
        assert scene.wrong() == [], f"call {at}"
    return failed + 1


@pytest.mark.parametrize("fault", DAILY, ids=str)
def test_failed_call_is_named_and_resumable(fault: Fault, tmp_path: Path) -> None:
    """A commit strikes each kind of call at its first and last time and now and then between."""
    template = update(tmp_path / "template", versions=fault.moment is Moment.AFTER)
    calls = Calls(only=STORES)
    template.copy(tmp_path / "whole").sync(calls)
    assert every_fault(template, tmp_path, fault, sampled(calls.names)) > 15


@pytest.mark.parametrize("level", ["counted", "ids", "digests", "deep"])
def test_verify_never_calls_an_unread_part_equal(level: str, tmp_path: Path) -> None:
    """Whatever call fails, a verification fails with it: no part that was not read counts as equal."""
    scene = update(tmp_path / "template")
    scene.sync()
    for at in count(1):
        calls = Calls(at, Fault(Moment.AFTER, TimedOut), STORES)
        if not calls.struck and at > _calls(scene, level):
            assert scene.verify(level=level)["equal"]
            return
        with pytest.raises(TimedOut):
            scene.verify(calls, level)


def _calls(scene: Scene, level: str) -> int:
    calls = Calls(only=STORES)
    scene.verify(calls, level)
    return len(calls.names)


@pytest.mark.campaign
@pytest.mark.parametrize("make", SCENES.values(), ids=SCENES)
@pytest.mark.parametrize("versions", [False, True], ids=["digests", "versions"])
@pytest.mark.parametrize("fault", ERRORS, ids=str)
def test_every_fault_at_every_call(fault: Fault, versions: bool, make: Callable[..., Scene], tmp_path: Path) -> None:
    assert every_fault(make(tmp_path / "template", versions), tmp_path, fault) > 20
