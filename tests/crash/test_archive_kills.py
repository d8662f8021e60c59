"""SIGKILL at every call of a sync into an archive, and at every step of publishing the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.scene import Scene, contents, first_copy, record
from tests.crash.test_kill_matrix import KILL, kills, thoroughly
from wherry.stores.base import Writable
from wherry.stores.registry import open_source, open_target
from wherry.testing.faults import Calls, tapped, watch_files

FORMS = ("jsonl", "json", "parquet")
each_form = pytest.mark.parametrize("form", FORMS)
# In a commit every so many calls are struck; what the forms have in common is struck most often in one of them.
STEP = {"jsonl": 7, "json": 17, "parquet": 19}


@dataclass(frozen=True)
class Filing(Scene):
    """A scene whose target is an archive."""

    form: str = "jsonl"

    @contextmanager
    def target(self) -> Iterator[Writable]:  # type: ignore[override]
        """Open the archive for writing."""
        store = open_target(str(self.archive))
        try:
            yield store
        finally:
            store.close()

    @property
    def archive(self) -> Path:
        """The file."""
        return self.folder / f"target.{self.form}"

    def copy(self, folder: Path) -> Filing:
        """Return the same scene in another folder."""
        scene = super().copy(folder)
        return Filing(scene.folder, form=self.form)

    def watched(self, calls: Calls) -> dict[str, Any]:
        """Sync, counting what happens to the archive's files and to its staging."""
        watch_files(calls, self.folder)
        with tapped(calls, "staging"):
            return self.sync(calls)


def filing(folder: Path, form: str) -> Filing:
    """Return a scene whose archive was published once, and whose source has changed since."""
    scene = Filing(first_copy(folder).folder, form=form)
    scene.sync()
    scene.put(*(record(n, 1) for n in range(0, 24, 2)), record(70))
    scene.drop(3, 5)
    return scene


@thoroughly
@each_form
def test_killed_while_writing_an_archive_leaves_the_old_or_the_new_one(form: str, every: bool, tmp_path: Path) -> None:
    step = 1 if every else STEP[form]
    template = filing(tmp_path / "template", form)
    with template.source() as source, template.target() as target:
        old, new = contents(target), contents(source)
    for at, scene in kills(template, tmp_path, lambda at: Calls(step * at, KILL), "watched"):
        published = open_source(str(scene.archive))
        assert contents(published) in (old, new), f"call {at}"
        published.close()
        # The trap: a value that was being replaced is the source's value again.
        scene.put(record(0), record(2))
        assert scene.sync()["equal"], f"call {at}"
        assert scene.wrong() == [], f"call {at}"
        assert sorted(p.name for p in scene.folder.glob("*target*")) == left_over(scene), f"call {at}"


def left_over(scene: Filing) -> list[str]:
    """Return what may lie in the folder after a run that ended well: the archive, and its lock."""
    return sorted(p.name for p in scene.folder.glob("*target*") if p == scene.archive or "lock" in p.name)


@thoroughly
@each_form
def test_archive_to_archive_killed_at_every_so_many_calls(form: str, every: bool, tmp_path: Path) -> None:
    """An archive as the source, too: what it held is never touched."""
    step = 1 if every else 11
    template = Filing(first_copy(tmp_path / "first").folder, form=form)
    template.sync()
    before = template.archive.read_bytes()
    onward = Onward(template.folder, form=form)
    for _, scene in kills(onward, tmp_path / "kills", lambda at: Calls(step * at, KILL), "onward"):
        scene = Onward(scene.folder, form=form)
        ending = scene.child("onward")
        assert (ending.error, ending.value["equal"]) == ("", True)
        assert scene.archive.read_bytes() == before
        one, other = open_source(str(scene.archive)), open_source(str(scene.other))
        assert contents(one) == contents(other)
        one.close()
        other.close()


@dataclass(frozen=True)
class Onward(Filing):
    """A scene that copies its archive into another."""

    @property
    def other(self) -> Path:
        """The second file: JSON lines."""
        return self.folder / "other.jsonl"

    def copy(self, folder: Path) -> Onward:
        """Return the same scene in another folder."""
        return Onward(super().copy(folder).folder, form=self.form)

    def onward(self, calls: Calls | None = None) -> dict[str, Any]:
        """Sync the archive into the other one."""
        from wherry.moving.sync import sync
        from wherry.testing.faults import faulty

        calls = calls or Calls()
        with self.state(), tapped(calls):
            source, target = open_source(str(self.archive)), open_target(str(self.other))
            result = sync(faulty(source, calls, page_rows=8, label="source"), faulty(target, calls, label="target"))
        return result.to_dict()
