"""Collections for workers, and crews that need no processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil
import pyarrow as pa

from tests.crash.scene import contents
from wherry.moving.crew import Lost, Worker
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Desk, Job, Part
from wherry.space import Metric, Space
from wherry.stores.archive import publish
from wherry.stores.base import Index
from wherry.stores.faiss import sidecar
from wherry.stores.registry import open_source, open_target
from wherry.testing.samples import sample

DIMENSION, ROWS, GROUP = 8, 1200, 200
SPACE = Space(dimension=DIMENSION, metric=Metric.L2)


@contextmanager
def _small_groups() -> Iterator[None]:
    """Let files be written in row groups of GROUP records."""
    with patch.object(publish, "PAGE_ROWS", GROUP), patch.object(sidecar, "_GROUP_ROWS", GROUP):
        yield


def fill(address: str, rows: int = ROWS, version: int = 0, group: int = 600) -> None:
    """Write sample records 0 to `rows`, some hundred at a time; an archive in row groups of GROUP."""
    store = open_target(address)
    store.prepare(SPACE, Index(), rows)
    with store.exclusive():
        for start in range(0, rows, group):
            store.upsert(sample(min(group, rows - start), DIMENSION, version, start=start))
        with _small_groups():
            store.finish(SPACE, Index())
    store.close()


def drop(address: str, first: int, rows: int) -> None:
    """Delete some of the sample records."""
    store = open_target(address)
    store.prepare(SPACE, Index(), 0)
    with store.exclusive():
        store.delete(sample(rows, DIMENSION, start=first).column("id"))
        with _small_groups():
            store.finish(SPACE, Index())
    store.close()


def differences(one: str, other: str) -> list[str]:
    """Return the ids that are not the same in two collections, read anew."""
    sides = open_source(one), open_source(other)
    wanted, held = map(contents, sides)
    for side in sides:
        side.close()
    return sorted(i for i in wanted.keys() | held.keys() if wanted.get(i) != held.get(i))


def leftovers(folder: Path) -> list[str]:
    """Return what workers left beside their targets."""
    return sorted(path.name for path in folder.rglob("*portion-*"))


def processes(words: str = "wherry.moving.worker") -> list[psutil.Process]:
    """Return the workers that this process has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any(words in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


class KillOnce:
    """Progress that kills one worker as soon as the first partition is through."""

    def __init__(self, victims: Callable[[], Sequence[int]]) -> None:
        self.victims, self.killed = victims, 0

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Hear how far the run is."""
        if phase == "sync" and not self.killed:
            self.killed = self.victims()[0]
            os.kill(self.killed, signal.SIGKILL)


class HereWorker:
    """A worker inside this process."""

    def __init__(self, job: Job, crew: HereCrew) -> None:
        self.desk, self.crew = Desk(job), crew
        self.part: Part | None = None

    def ready(self) -> None:
        """It is ready at once."""

    def begin(self, part: Part) -> None:
        """Note the partition."""
        self.part = part

    def result(self) -> Crossed:
        """Bring it over now."""
        assert self.part is not None
        self.crew.begun.append(self.part.number)
        return self.crew.around(self.part, lambda: self.desk.cross(self.part))  # type: ignore[arg-type]


class HereCrew:
    """Workers inside this process. around: called with a partition and what brings it over."""

    def __init__(self, job: Job, around: Callable[[Part, Callable[[], Crossed]], Crossed]) -> None:
        self.job, self.around = job, around
        self.begun: list[int] = []
        self.workers: list[HereWorker] = []

    def hire(self) -> Worker:
        """Make one."""
        self.workers.append(HereWorker(self.job, self))
        return self.workers[-1]

    def let_go(self) -> None:
        """Close what they have open."""
        for worker in self.workers:
            worker.desk.close()

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """The last one answers first."""
        return [busy[-1]]


@contextmanager
def here(
    job: Job, around: Callable[[Part, Callable[[], Crossed]], Crossed] = lambda part, act: act()
) -> Iterator[HereCrew]:
    """Give a crew of this process, in place of `wherry.moving.sync.hiring`."""
    crew = HereCrew(job, around)
    try:
        yield crew
    finally:
        crew.let_go()


def lost(words: str = "on purpose") -> Lost:
    """Return the end of a worker."""
    return Lost(words)


def ids(first: int, rows: int) -> pa.Array:
    """Return the ids of sample records."""
    return sample(rows, DIMENSION, start=first).column("id")
