"""Noticing changes: what is told, when, and that nothing is missed; no test waits for a clock."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wherry.errors import NotListed
from wherry.indexing.base import Document, Part, Stamp
from wherry.indexing.sources import open_source_paths, open_sources
from wherry.indexing.sources.watching import Changes, watch


class Clock:
    """A pause that does not wait: it plays what happens meanwhile, one step each time, and then stops."""

    def __init__(self, *steps: Callable[[], object] | None) -> None:
        self.steps = list(steps)
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if not self.steps:
            return True
        step = self.steps.pop(0)
        if step is not None:
            step()
        return False


class Shelf:
    """An app's own source, whose documents have no stamps."""

    name, parser = "서가", "서가/1"

    def __init__(self, **texts: str) -> None:
        self.texts, self.broken = texts, False

    def documents(self) -> Iterator[Paper]:
        """Yield the papers; a broken shelf shows one of them."""
        for number, (id, text) in enumerate(self.texts.items()):
            if self.broken and number:
                raise NotListed("서가가 무너졌습니다")
            yield Paper(id, text)


class Paper:
    """A document without a stamp."""

    stamp: Stamp | None = None

    def __init__(self, id: str, text: str) -> None:
        self.id, self.text = id, text

    def bytes(self) -> bytes:
        """Return its text."""
        return self.text.encode()

    def read(self, data: bytes) -> Document:
        """Return it as a document."""
        return Document(self.id, (Part(data.decode()),))


def touch(path: Path, text: str) -> Callable[[], object]:
    """Return a step that writes a file in place of the old one."""
    return lambda: path.write_text(text)


def told(folder: Path, *steps: Callable[[], object] | None) -> list[Changes]:
    """Return what is told of a folder while the steps happen."""
    return list(watch([open_source_paths([folder])], pause=Clock(*steps)))


def names(keys: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the ids of keys."""
    return [id for _, id in keys]


def test_all_is_told_at_once_and_nothing_while_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("혈압")
    [first] = told(tmp_path, None, None, None)
    assert names(first.added) == ["a.md"]
    assert first.added[0][0] == str(tmp_path.resolve())


def test_changes_are_told_by_kind(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text("혈압")
    _, change = told(
        tmp_path,
        None,
        lambda: [
            touch(tmp_path / "a.md", "혈당 안내")(),
            (tmp_path / "b.md").unlink(),
            touch(tmp_path / "d.md", "새")(),
        ],
        None,
    )
    assert (names(change.added), names(change.modified), names(change.removed)) == (["d.md"], ["a.md"], ["b.md"])


def test_a_file_that_is_replaced_by_one_of_equal_size_and_time_is_noticed(tmp_path: Path) -> None:
    path, other = tmp_path / "a.md", tmp_path / "a.new"
    path.write_text("혈압")

    def replace() -> None:
        found = path.stat()
        other.write_text("혈당")
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        other.replace(path)

    _, change = told(tmp_path, replace, None)
    assert names(change.modified) == ["a.md"]


def test_many_saves_are_told_once_when_they_have_settled(tmp_path: Path) -> None:
    saves = [touch(tmp_path / f"{number}.md", "글") for number in range(5)]
    clock = Clock(*saves, None, None)
    changes = list(watch([open_source_paths([tmp_path])], every_s=2, settle_s=0.5, pause=clock))
    assert [len(change.added) for change in changes] == [0, 5]
    # One long wait until the first is seen, short ones until nothing moves, then long ones again.
    assert clock.waits == [2, 0.5, 0.5, 0.5, 0.5, 0.5, 2, 2]


def test_a_file_that_never_settles_is_told_when_patience_ends(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("")

    def grow() -> None:
        with log.open("a") as handle:
            handle.write("한 줄 더\n")

    clock = Clock(*[grow] * 12)
    changes = list(watch([open_source_paths([tmp_path])], every_s=2, settle_s=1, patience_s=3, pause=clock))
    assert clock.waits == [2, 1, 1, 1] * 3 + [2]
    assert [len(change.modified) for change in changes] == [0, 1, 1, 1]


def test_what_changes_while_the_caller_works_is_told_next(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("혈압")
    seen = []
    for change in watch([open_source_paths([tmp_path])], pause=Clock(None, None, None)):
        seen.append((names(change.added), names(change.modified)))
        if len(seen) == 1:
            (tmp_path / "a.md").write_text("혈압과 혈당")
            (tmp_path / "b.md").write_text("새 글")
    assert seen == [(["a.md"], []), (["b.md"], ["a.md"])]


def test_a_source_that_cannot_be_listed_loses_nothing(tmp_path: Path) -> None:
    shelf = Shelf(하나="1", 둘="2", 셋="3")

    def set_broken(value: bool) -> Callable[[], None]:
        return lambda: setattr(shelf, "broken", value)

    changes = list(watch([shelf], pause=Clock(set_broken(True), None, None, set_broken(False), None)))
    assert [change.failures for change in changes] == [(), ("서가: 서가가 무너졌습니다",), ()]
    assert [change.any for change in changes] == [True, False, False]


def test_a_folder_that_is_gone_for_a_while_loses_nothing(tmp_path: Path) -> None:
    folder, away = tmp_path / "docs", tmp_path / "away"
    folder.mkdir()
    (folder / "a.md").write_text("혈압")
    first, gone, back = told(folder, lambda: folder.rename(away), None, lambda: away.rename(folder), None)
    assert names(first.added) == ["a.md"]
    assert (gone.any, back.any) == (False, False)
    assert "No such file" in gone.failures[0]
    assert back.failures == ()


def test_documents_without_stamps_are_compared_by_what_they_hold() -> None:
    shelf = Shelf(하나="1", 둘="2")
    clock = Clock(None, lambda: shelf.texts.update(둘="이", 셋="삼"), None, lambda: shelf.texts.pop("하나"), None)
    _, edited, removed = watch([shelf], pause=clock)
    assert (names(edited.modified), names(edited.added)) == (["둘"], ["셋"])
    assert names(removed.removed) == ["하나"]


def test_a_link_that_leads_somewhere_again_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to("b")
    _, change = told(tmp_path, touch(tmp_path / "b", "이제 있음"), None)
    assert names(change.modified) == ["a.md"]


def test_several_sources_are_watched_together(tmp_path: Path) -> None:
    for name in ("하나", "둘"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "글.md").write_text("글")
    sources = open_sources([tmp_path / "하나", tmp_path / "둘"])
    first, change = watch(sources, pause=Clock(lambda: shutil.rmtree(tmp_path / "하나"), None, None))
    assert len(first.added) == 2
    assert (change.any, len(change.failures)) == (False, 1)


def test_it_stops_when_the_event_is_set(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[Changes] = []
    started = threading.Event()

    def follow() -> None:
        for change in watch([open_source_paths([tmp_path])], every_s=60, pause=stop.wait):
            seen.append(change)
            started.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert started.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len(seen) == 1


def test_it_stops_while_it_waits_for_quiet(tmp_path: Path) -> None:
    clock = Clock(touch(tmp_path / "a.md", "글"))
    assert [change.any for change in watch([open_source_paths([tmp_path])], pause=clock)] == [False]


@pytest.mark.parametrize("settle_s", [0, 0.5])
def test_a_change_is_told_with_and_without_settling(tmp_path: Path, settle_s: float) -> None:
    clock = Clock(touch(tmp_path / "a.md", "글"), None, None)
    changes = list(watch([open_source_paths([tmp_path])], settle_s=settle_s, pause=clock))
    assert [names(change.added) for change in changes] == [[], ["a.md"]]
