"""SIGKILL at every call that touches a file: the archive is the old one or the new one, never half.

The profiler of the interpreter sees every call into C before it is made. A commit strikes the first and the last
call of each kind and some between, a campaign every one.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import pytest

from tests.sampled import sampled
from tests.stores.archive_kit import INDEX, SPACE, by_id, contents, names, target, write
from wherry.testing.crash import Ending, in_child
from wherry.testing.samples import sample

TOUCHING = frozenset(
    {"open", "write", "pwrite", "fsync", "fdatasync", "ftruncate", "fchmod", "flock", "close", "replace", "unlink"}
    | {"connect", "execute", "executemany", "executescript"}
)
OLD = by_id(sample(20, 4))
FIRST, SECOND = sample(8, 4, seed=1), sample(6, 4, seed=1, start=18)
DELETED = sample(3, 4, start=10).column("id")
NEW = {i: d for i, d in (OLD | by_id(FIRST) | by_id(SECOND)).items() if i not in DELETED.to_pylist()}


class Countdown:
    """Kills this process just before its n-th call that touches a file. seen: the names of the calls so far."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen: list[str] = []

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        # Texts and bytes have a `replace` too.
        if event == "c_call" and called.__name__ in TOUCHING and not isinstance(called.__self__, str | bytes):
            self.seen.append(f"{type(called.__self__).__name__} {called.__name__}")
            if len(self.seen) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def run(path: Path, done: Callable[[str], None] = lambda step: None) -> None:
    """Change an archive as a sync does; `done` hears of each step that was acknowledged."""
    store = target(path)
    with store.exclusive():
        store.prepare(SPACE, INDEX, 20)
        store.upsert(FIRST)
        done("first")
        store.upsert(SECOND)
        done("second")
        store.delete(DELETED)
        done("deleted")
        store.finish(SPACE, INDEX)
        done("finished")
    store.close()


def dying_run(path: Path, at: int) -> tuple[Ending, list[str]]:
    """Run in a process that dies at a call, or tells its calls; return its end, and the steps it had acknowledged."""
    log = path.parent.parent / "steps"
    log.write_text("")

    def act() -> list[str]:
        with log.open("a") as handle:

            def done(step: str) -> None:
                sys.setprofile(None)
                handle.write(f"{step}\n")
                handle.flush()
                sys.setprofile(countdown)

            countdown = Countdown(at)
            sys.setprofile(countdown)
            run(path, done)
            sys.setprofile(None)
            return countdown.seen

    ending = in_child(act)
    assert ending.error == "", ending
    return ending, log.read_text().split()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder, in memory where there is such a place: a killed process loses nothing a disk would keep."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(params=["update-json", "new-parquet"])
def template(request: pytest.FixtureRequest, place: Path) -> Path:
    """A folder with an archive, or without one."""
    kind, suffix = request.param.split("-")
    folder = place / "template"
    folder.mkdir()
    path = folder / f"a.{suffix}"
    if kind == "update":
        write(path, sample(20, 4))
    return path


def expected(template: Path, steps: list[str]) -> dict[str, bytes]:
    """What must be there after some steps were acknowledged."""
    found = dict(OLD) if template.exists() else {}
    if "first" in steps:
        found |= by_id(FIRST)
    if "second" in steps:
        found |= by_id(SECOND)
    if "deleted" in steps:
        found = {i: d for i, d in found.items() if i not in DELETED.to_pylist()}
    return found


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.campaign)])
def test_killed_at_every_call(template: Path, place: Path, every: bool) -> None:
    shutil.copytree(template.parent, place / "whole" / "here")
    whole, steps = dying_run(place / "whole" / "here" / template.name, 0)
    assert steps == ["first", "second", "deleted", "finished"]
    assert len(whole.value) > 40
    old = contents(template) if template.exists() else None
    new = expected(template, ["first", "second", "deleted"])
    for at in sampled(whole.value, whole=every):
        folder = place / f"run-{at}" / "here"
        shutil.copytree(template.parent, folder)
        path = folder / template.name
        if old is not None:
            # A copy is another file, so the staging of the run is the only thing it knows.
            assert contents(path) == old
        ending, steps = dying_run(path, at)
        assert ending.killed, f"call {at}"
        published = contents(path) if path.exists() else None
        assert published in (old, new), f"call {at}"
        acknowledged(path, template, steps, at)
        run(path)
        assert contents(path) == new, f"call {at}"
        assert names(folder) == [path.name], f"call {at}"
        shutil.rmtree(folder.parent)


def acknowledged(path: Path, template: Path, steps: list[str], at: int) -> None:
    """Assert that the next run finds all that was acknowledged, and nothing that was deleted."""
    store = target(path)
    wanted = expected(template, steps)
    held = {i for chunk in store.ids() for i in chunk.to_pylist()}
    # The batch that was under way may be there too, whole; nothing else.
    later = expected(template, ["first", "second", "deleted"][: len(steps) + 1])
    assert held in (wanted.keys(), later.keys()), f"call {at}"
    found = by_id(store.fetch(pa.array(sorted(held), type=pa.string())).records) if held else {}
    assert found in (wanted, later), f"call {at}"
    store.close()


def test_killed_run_over_an_archive_that_somebody_else_changes(place: Path) -> None:
    folder = place / "in" / "here"
    folder.mkdir(parents=True)
    path = folder / "a.json"
    other = write(place / "other.json", sample(30, 4, seed=5))
    theirs = by_id(sample(30, 4, seed=5))
    for at in range(10, 80, 7):
        write(path, sample(20, 4))
        ending, steps = dying_run(path, at)
        if "finished" in steps or not ending.killed:
            break
        published = contents(path) == expected(path, ["first", "second", "deleted"])
        shutil.copy(other, folder / "b.json")
        (folder / "b.json").replace(path)
        store = target(path)
        store.finish(SPACE, INDEX)
        store.close()
        if not published:
            possible = [laid_over(theirs, ("first", "second", "deleted")[:n]) for n in range(len(steps), 4)]
            assert contents(path) in possible, f"call {at}"
        path.unlink()


def laid_over(theirs: dict[str, bytes], steps: Sequence[str]) -> dict[str, bytes]:
    """What an archive of somebody else becomes when the steps of a run are laid over it."""
    found = dict(theirs)
    for step, batch in (("first", FIRST), ("second", SECOND)):
        if step in steps:
            found |= by_id(batch)
    gone = DELETED.to_pylist() if "deleted" in steps else []
    return {i: d for i, d in found.items() if i not in gone}
