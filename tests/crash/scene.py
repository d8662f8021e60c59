"""A small move in a folder: a source, a target, a journal, and what is done to them between two runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.chest import Chest
from wherry.canonical import digests
from wherry.moving.sync import sync
from wherry.moving.verify import verify
from wherry.record import Record
from wherry.space import Metric, Space
from wherry.stores.base import Index, Readable
from wherry.testing.crash import Ending, in_child
from wherry.testing.faults import Calls, faulty, tapped

ROWS, BATCH, DIMENSION = 60, 8, 4
SPACE = Space(dimension=DIMENSION, metric=Metric.COSINE)
# Another class for the saboteurs.
TARGET = Chest


def record(number: int, version: int = 0) -> Record:
    """Return one version of record `number`."""
    vector = [float(number + 1), float(version), 0.5, -1.25]
    return Record(f"r{number:03d}", vector, f"본문 {number}.{version}", {"n": number, "v": version})


@dataclass(frozen=True)
class Scene:
    """Two chests and a state folder. versions: whether both prove what changed."""

    folder: Path
    versions: bool = False
    options: dict[str, Any] = field(default_factory=lambda: {"allow_mass_delete": True})

    @contextmanager
    def source(self) -> Iterator[Chest]:
        """Open the source."""
        with _closing(Chest(self.folder / "source.db", detects_changes=self.versions)) as chest:
            yield chest

    @contextmanager
    def target(self) -> Iterator[Chest]:
        """Open the target."""
        with _closing(TARGET(self.folder / "target.db", batch=BATCH, detects_changes=self.versions)) as chest:
            yield chest

    def sync(self, calls: Calls | None = None, **options: Any) -> dict[str, Any]:
        """Sync in this process; `calls` counts what goes to both stores and to the journal."""
        calls = calls or Calls()
        with self.source() as source, self.target() as target, self.state(), tapped(calls):
            result = sync(
                faulty(source, calls, page_rows=BATCH, label="source"),
                faulty(target, calls, page_rows=BATCH, label="target"),
                **self.options | options,
            )
        return {**result.to_dict(), "calls": calls.names}

    def quick(self, calls: Calls | None = None) -> dict[str, Any]:
        """Sync in this process and read nothing back."""
        return self.sync(calls, level="counted")

    def verify(self, calls: Calls | None = None, level: str = "deep") -> dict[str, Any]:
        """Verify in this process."""
        calls = calls or Calls()
        with self.source() as source, self.target() as target, self.state(), tapped(calls):
            result = verify(
                faulty(source, calls, page_rows=BATCH, label="source"),
                faulty(target, calls, page_rows=BATCH, label="target"),
                level=level,
            )
        return {**result.to_dict(), "calls": calls.names}

    @contextmanager
    def state(self) -> Iterator[None]:
        """Keep journals and locks in this folder."""
        before = os.environ.get("WHERRY_HOME")
        os.environ["WHERRY_HOME"] = str(self.folder / "state")
        try:
            yield
        finally:
            os.environ.pop("WHERRY_HOME")
            if before is not None:
                os.environ["WHERRY_HOME"] = before

    def child(self, act: str = "sync", calls: Calls | None = None, **options: Any) -> Ending:
        """Do an act in a process of its own."""
        return in_child(lambda: getattr(self, act)(calls, **options))

    def put(self, *records: Record) -> None:
        """Write to the source."""
        with self.source() as source:
            source.put(*records)

    def drop(self, *numbers: int) -> None:
        """Delete from the source."""
        with self.source() as source:
            source.drop(*(f"r{n:03d}" for n in numbers))

    def copy(self, folder: Path) -> Scene:
        """Return the same scene in another folder."""
        shutil.copytree(self.folder, folder)
        return Scene(folder, self.versions, self.options)

    def wrong(self) -> list[str]:
        """Return every way in which the target is not the source: lost, stale or extra records."""
        with self.source() as source, self.target() as target:
            wanted, held = contents(source), contents(target)
        return [
            *[f"lost {i}" for i in sorted(wanted.keys() - held.keys())],
            *[f"extra {i}" for i in sorted(held.keys() - wanted.keys())],
            *[f"stale {i}" for i in sorted(wanted.keys() & held.keys()) if wanted[i] != held[i]],
        ]

    def redone(self) -> int:
        """Return how many records were written to the target more than once since the log was cleared."""
        with self.target() as target:
            return sum(times - 1 for times in target.writes().values())


def contents(store: Readable) -> dict[str, bytes]:
    """Return the digest of every record by id; a record held twice, or unreadable, would fail here."""
    found: dict[str, bytes] = {}
    for page in store.scan(1000):
        ids = page.records["id"].to_pylist()
        assert not page.rejects
        assert not found.keys() & set(ids)
        found.update(zip(ids, digests(page.records), strict=True))
    return found


@contextmanager
def _closing(chest: Chest) -> Iterator[Chest]:
    try:
        yield chest
    finally:
        chest.close()


def first_copy(folder: Path, versions: bool = False) -> Scene:
    """Return a scene with a full source and no target."""
    folder.mkdir(parents=True)
    scene = Scene(folder, versions)
    with scene.source() as source:
        source.prepare(SPACE, Index(), ROWS)
        source.put(*(record(n) for n in range(ROWS)))
    return scene


def update(folder: Path, versions: bool = False) -> Scene:
    """Return a scene that was synced once, and whose source has changed since.

    20 records are new, 20 changed, 8 gone, one came back as another; the rest is as it was.
    """
    scene = first_copy(folder, versions)
    scene.sync()
    with scene.source() as source, scene.target() as target:
        source.put(*(record(n) for n in range(ROWS, ROWS + 20)))
        source.put(*(record(n, 1) for n in range(0, 40, 2)))
        source.drop(*(f"r{n:03d}" for n in range(41, 50)))
        source.put(record(41, 2))
        target.clear_log()
    return scene


SCENES: dict[str, Callable[..., Scene]] = {"first copy": first_copy, "update": update}
