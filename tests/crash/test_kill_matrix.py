"""SIGKILL at every call of sync and verify: to the source, to the target, and to the journal.

A commit strikes each kind of call at its first and last time and now and then between; a campaign strikes all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.crash.scene import BATCH, SCENES, Scene, contents, first_copy, record, update
from tests.sampled import sampled
from wherry.testing.faults import Calls, Fault, Moment

KILL, KILL_HALF_WAY = Fault(Moment.BEFORE), Fault(Moment.MIDDLE)
MUTATING = ("upsert", "delete")

each_scene = pytest.mark.parametrize("make", SCENES.values(), ids=SCENES)
with_versions = pytest.mark.parametrize("versions", [False, True], ids=["digests", "versions"])
thoroughly = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.campaign)])


def kills(
    template: Scene,
    folder: Path,
    new_calls: Callable[[int], Calls],
    act: str = "sync",
    numbers: Iterable[int] | None = None,
) -> Iterator[tuple[int, Scene]]:
    """Kill an act at its first call, its second, and so on until one runs to its end; yield what is left.

    numbers: the calls to strike, where not all of them.
    """
    for at in numbers or count(1):
        scene = template.copy(folder / f"{act}-{at}")
        ending = scene.child(act, new_calls(at))
        if not ending.killed:
            assert ending.error == "", ending
            assert at > 3, "the faults never struck"
            return
        yield at, scene


def some(template: Scene, folder: Path, act: str = "sync") -> list[int]:
    """Return the numbers of the calls of an act that are struck in a commit."""
    whole = template.copy(folder / f"whole-{act}").child(act, Calls())
    return sampled(whole.value["calls"])


def resumed(scene: Scene, at: int) -> None:
    """Resume in this process, which knows nothing of the dead one, and demand a perfect target."""
    result = scene.sync()
    assert result["equal"], f"call {at}: {result}"
    assert scene.wrong() == [], f"call {at}"


@thoroughly
@each_scene
@with_versions
def test_killed_at_every_call_ends_equal_with_a_batch_redone_at_most(
    make: Callable[..., Scene], versions: bool, every: bool, tmp_path: Path
) -> None:
    template = make(tmp_path / "template", versions)
    numbers = None if every else some(template, tmp_path)
    for at, scene in kills(template, tmp_path, lambda at: Calls(at, KILL), numbers=numbers):
        resumed(scene, at)
        assert scene.redone() <= BATCH, f"call {at}"


@each_scene
def test_killed_in_the_middle_of_a_write_ends_equal(make: Callable[..., Scene], tmp_path: Path) -> None:
    template = make(tmp_path / "template")
    for at, scene in kills(template, tmp_path, lambda at: Calls(at, KILL_HALF_WAY, MUTATING)):
        resumed(scene, at)
        assert scene.redone() <= BATCH, f"write {at}"


@thoroughly
@with_versions
def test_source_that_changes_while_the_run_is_dead(versions: bool, every: bool, tmp_path: Path) -> None:
    template = update(tmp_path / "template", versions)
    # One half of what a commit strikes with marks, the other without.
    numbers = None if every else some(template, tmp_path)[versions::2]
    for at, scene in kills(template, tmp_path, lambda at: Calls(at, KILL), numbers=numbers):
        meanwhile(scene)
        resumed(scene, at)


def meanwhile(scene: Scene) -> None:
    """Change the source of `update` while nobody looks; old values come back, which is the trap.

    Records that were to become version 1 are version 0 again, a record that was to vanish is back as
    it was, one that was new is gone, one is new, one is changed once more.
    """
    scene.put(*(record(n) for n in range(0, 20, 2)))
    scene.put(record(45), record(46), record(200), record(22, 3))
    scene.drop(60, 61, 1)


@thoroughly
@with_versions
def test_killed_twice_ends_equal(versions: bool, every: bool, tmp_path: Path) -> None:
    template = update(tmp_path / "template", versions)
    step = 2 if every else 14
    for at, scene in kills(template, tmp_path, lambda at: Calls(step * at, KILL)):
        meanwhile(scene)
        scene.child("sync", Calls(5 * at % 70 + 10, KILL))
        resumed(scene, at)


@thoroughly
def test_verify_killed_at_every_call_leaves_both_sides_and_the_way_on(every: bool, tmp_path: Path) -> None:
    template = update(tmp_path / "template")
    numbers = None if every else some(template, tmp_path, "verify")
    with template.source() as source, template.target() as target:
        before = contents(source), contents(target)
    for at, scene in kills(template, tmp_path, lambda at: Calls(at, KILL), "verify", numbers):
        with scene.source() as source, scene.target() as target:
            assert (contents(source), contents(target)) == before, f"call {at}"
        if at % 4 == 0:
            resumed(scene, at)


@thoroughly
def test_killed_without_read_back_then_resumed_with_it(every: bool, tmp_path: Path) -> None:
    """A run that reads nothing back leaves batches nobody looked at; the next default run must look."""
    template = first_copy(tmp_path / "template")
    step = 1 if every else 8
    for at, scene in kills(template, tmp_path, lambda at: Calls(step * at, KILL), "quick"):
        resumed(scene, at)
        assert scene.redone() <= BATCH
