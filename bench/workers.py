"""Bars w1 to w3: two workers against one where the target is not the limit, and workers of Ray against local ones.

Time counts from the moment every worker has both sides open until all is written, read back and gathered: what
publishing the target costs comes once, whoever wrote it, and stands in the details with the whole run. A worker is
given one processor, and the server that feeds it shares that: left alone, one worker's threads and its server keep more
than one of them busy, and two cannot be faster than the machine. The details tell what two gain when nobody is held.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil

import wherry
from bench import tables
from bench.measure import Bar, in_turn, multiples, per_second, rate_ratios
from wherry.moving.results import SyncResult
from wherry.postgres import server

DIMENSION, SOURCE = 1024, "bench_workers"
# More than other cases have: two workers bring 60,000 in a second, and in their first one all memory is new to them.
_TIMES = 2
_numbers = itertools.count()


class Side:
    """One way to bring a collection over, round after round. processors: how many it may use; None = all."""

    def __init__(
        self,
        folder: Path,
        source: str,
        target: str,
        rows: int,
        workers: int,
        engine: str = "local",
        processors: int | None = None,
    ) -> None:
        self.folder, self.source, self.target, self.rows = folder, source, target, rows
        self.workers, self.engine, self.processors = workers, engine, processors
        self.copying: list[float] = []
        self.whole: list[float] = []

    def __call__(self) -> None:
        """Sync into a target that is not there yet."""
        place = self.folder / f"workers-{next(_numbers)}"
        place.mkdir()
        with _held_to(self.processors):
            result = wherry.sync(self.source, self.target.format(place), workers=self.workers, engine=self.engine)
        self._note(result)
        shutil.rmtree(place)

    def _note(self, result: SyncResult) -> None:
        if result.written != self.rows or not result.equal or result.notes:
            raise RuntimeError(f"{result.written} of {self.rows} were written, equal: {result.equal}, {result.notes}")
        self.copying.append(result.copying)
        self.whole.append(result.seconds)

    def shown(self, name: str) -> str:
        """Return the rates for a person."""
        whole = statistics.median(self.whole)
        return f"{name} {per_second(self.rows, self.copying)} (the whole run {whole:.1f} s)"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure both pairs with one and two workers, and two workers of Ray."""
    rows *= _TIMES
    tables.make(SOURCE, rows, DIMENSION)
    table = f"pgvector:#{SOURCE}?metric=cosine"
    archive = str(folder / "workers.parquet")
    wherry.sync(table, archive)
    bars = [
        _two(folder, "w1", "archive -> archive", archive, "{}/to.parquet", rows, rounds),
        _two(folder, "w2", "pg -> FAISS", table, "faiss:{}#to", rows, rounds),
    ]
    if find_spec("ray") is not None:
        bars.append(_on_ray(folder, table, rows, rounds))
    tables.drop(SOURCE)
    return bars


def _two(folder: Path, number: str, name: str, source: str, target: str, rows: int, rounds: int) -> Bar:
    one, two = (Side(folder, source, target, rows, workers, processors=workers) for workers in (1, 2))
    free = Side(folder, source, target, rows, 1)
    in_turn([one, two, free], rounds)
    gain = statistics.median(rate_ratios(two.copying, free.copying))
    unheld = f"one on all {os.cpu_count()} processors {per_second(rows, free.copying)}, of which two are {gain:.2f} x"
    detail = f"{one.shown('one')}, {two.shown('two')}; {unheld}"
    ratios = rate_ratios(two.copying, one.copying)
    return Bar(number, f"{name}: two workers / one, a processor each", 1.6, True, ratios, detail)


def _on_ray(folder: Path, source: str, rows: int, rounds: int) -> Bar:
    local, ray = (Side(folder, source, "faiss:{}#to", rows, 2, engine) for engine in ("local", "ray"))
    with_ray(lambda: in_turn([local, ray], rounds))
    detail = f"{local.shown('local')}, {ray.shown('ray')}"
    ratios = multiples(ray.copying, local.copying)
    return Bar("w3", "pg -> FAISS: two workers of Ray / two local, time", 1.15, False, ratios, detail)


def with_ray(act: Callable[[], object]) -> None:
    """Do something while a Ray is up, so that no run starts one of its own."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    try:
        act()
    finally:
        ray.shutdown()


@contextmanager
def _held_to(processors: int | None) -> Iterator[None]:
    """Let this process and the embedded server, and what they start, use so many processors."""
    allowed = os.sched_getaffinity(0)
    everybody = [psutil.Process(), *_server()]
    _pin(everybody, set(sorted(allowed)[:processors]))
    try:
        yield
    finally:
        _pin(everybody, allowed)


def _server() -> list[psutil.Process]:
    if not server.is_running():
        return []
    main = psutil.Process(int((server.data_folder() / "postmaster.pid").read_text().split()[0]))
    return [main, *main.children()]


def _pin(processes: list[psutil.Process], processors: set[int]) -> None:
    for process in processes:
        # Each thread has a set of its own: those that libraries keep from earlier work, too.
        with contextlib.suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, processors)
