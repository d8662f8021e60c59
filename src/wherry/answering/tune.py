"""Finding the settings of an approximate index: recall against exact search, and time, on a sample.

    wherry.tune("pgvector:#guides", recall=0.98)

Every build of the grid is made once, and asked with one search breadth after the other until the recall is
reached or no more is gained. Of what reaches the wanted recall the fastest is chosen, of equally fast ones the
smallest. Recall counts a record that ties with the last of the true ones as right.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherry.address import Address
from wherry.answering.tune_plot import drawn
from wherry.errors import Unsupported, Usage
from wherry.moving.opening import reading
from wherry.state import file_name, home
from wherry.stores.base import Readable
from wherry.stores.tuning import Build, Cost, Form, Trial, Tunable

GRAPHS = ((8, 64), (16, 64), (16, 128), (32, 128))
BREADTHS = (10, 20, 40, 80, 160, 320, 640)
# Times that differ by less are equal: the smaller index wins.
_EQUAL = 1.05
_TIE = 1e-6
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Tried:
    """One setting as it was measured. ms, p95_ms: time of a question; bytes, build_seconds: of the sample's index."""

    form: Form
    m: int
    ef_construction: int
    ef_search: int
    recall: float
    ms: float
    p95_ms: float
    bytes: int
    build_seconds: float

    @property
    def build(self) -> Build:
        """The index it was measured with."""
        return Build(self.form, self.m, self.ef_construction)


@dataclass(frozen=True)
class Tuning:
    """What tuning found.

    rows, of: records in the sample and in the collection. exact_ms: time of an exact search of the sample. chosen:
    the fastest that reaches `wanted`, None where nothing does. applied: whether the collection has it now. files:
    where the curve was written.
    """

    address: str
    rows: int
    of: int
    questions: int
    k: int
    wanted: float
    exact_ms: float
    tried: tuple[Tried, ...]
    chosen: Tried | None
    applied: bool = False
    files: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where a setting reaches the wanted recall, else 1."""
        return 0 if self.chosen else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry tune --json` prints."""
        return asdict(self)


def tune(
    in_: str | Path | Address | Readable,
    recall: float = 0.98,
    k: int = 10,
    *,
    rows: int = 20_000,
    questions: int = 100,
    apply: bool = False,
    graphs: Sequence[tuple[int, int]] = GRAPHS,
    progress: Progress | None = None,
) -> Tuning:
    """Measure index settings of a collection on a sample of it, and choose one.

    recall: the part of the true k nearest that has to be found. rows: of the sample; a larger collection needs a
    larger breadth than its sample. apply: build the chosen index for the collection and drop the former one.
    graphs: pairs of m and ef_construction. Raises Usage, Unsupported or the store's own errors.
    """
    if not 0 < recall <= 1:
        raise Usage(f"recall is {recall}; it is a part, above 0 and at most 1", where="recall")
    if min(k, rows, questions) < 1:
        raise Usage("k, rows and questions are at least 1", where="tune")
    with reading(in_) as store:
        if not isinstance(store, Tunable):
            raise Unsupported("the index of this collection cannot be tuned", where=store.address)
        with store.trial(rows, questions) as trial:
            if not len(trial.questions):
                raise Unsupported("the collection holds no vector, so there is nothing to measure", where=store.address)
            found = _measured(trial, store.address, recall, k, graphs, progress or _quiet)
        chosen = found.chosen
        if apply and chosen is not None:
            store.retune(chosen.build, chosen.ef_search)
        return _written(found, store.identity, applied=apply and chosen is not None)


def chosen_of(tried: Sequence[Tried], wanted: float) -> Tried | None:
    """Return the fastest that reaches a recall, of equally fast ones the smallest."""
    enough = [each for each in tried if each.recall >= wanted]
    if not enough:
        return None
    limit = min(each.ms for each in enough) * _EQUAL
    return min((each for each in enough if each.ms <= limit), key=lambda each: (each.bytes, each.ms))


def _measured(
    trial: Trial, address: str, wanted: float, k: int, graphs: Sequence[tuple[int, int]], progress: Progress
) -> Tuning:
    builds = [Build(form, *graph) for form in trial.forms for graph in graphs]
    truth, exact = _truth(trial, k)
    tried: list[Tried] = []
    for number, build in enumerate(builds):
        progress("tune", number, len(builds))
        tried += _curve(trial, build, trial.build(build), k, wanted, truth)
    progress("tune", len(builds), len(builds))
    return Tuning(
        address, trial.rows, trial.of, len(trial.questions), k, wanted, exact, tuple(tried), chosen_of(tried, wanted)
    )


def _truth(trial: Trial, k: int) -> tuple[list[set[str]], float]:
    """Return for each question the ids that count as right, and the median time of an exact search in ms."""
    right, seconds = [], []
    for vector in trial.questions:
        started = time.perf_counter()
        # Twice as many, for what ties with the last.
        found = trial.truth(vector, 2 * k)
        seconds.append(time.perf_counter() - started)
        last = found[min(k, len(found)) - 1][1] if found else 0.0
        right.append({i for rank, (i, apart) in enumerate(found) if rank < k or apart <= last + _TIE})
    return right, statistics.median(seconds) * 1e3 if seconds else 0.0


def _curve(trial: Trial, build: Build, cost: Cost, k: int, wanted: float, truth: list[set[str]]) -> Iterator[Tried]:
    """Measure one index with growing breadths, until the wanted recall is passed."""
    # What the first questions bring into memory, the others find there.
    for vector in trial.questions[:5]:
        trial.ask(vector, k, BREADTHS[0])
    reached = 0
    for breadth in BREADTHS:
        found = _asked(trial, build, cost, k, breadth, truth)
        yield found
        # One step beyond shows on the curve what more breadth would cost.
        reached += found.recall >= wanted
        if reached == 2 or (breadth >= trial.rows and breadth > k):
            return


def _asked(trial: Trial, build: Build, cost: Cost, k: int, breadth: int, truth: list[set[str]]) -> Tried:
    seconds, right, possible = [], 0, 0
    for vector, true in zip(trial.questions, truth, strict=True):
        started = time.perf_counter()
        found = trial.ask(vector, k, breadth)
        seconds.append(time.perf_counter() - started)
        right += min(len(true & set(found)), k)
        possible += min(k, len(true))
    ms = np.array(seconds) * 1e3
    return Tried(
        build.form, build.m, build.ef_construction, breadth,
        recall=right / possible if possible else 1.0,
        ms=float(np.median(ms)), p95_ms=float(np.percentile(ms, 95)),
        bytes=cost.bytes, build_seconds=cost.seconds,
    )  # fmt: skip


def _written(found: Tuning, identity: str, applied: bool) -> Tuning:
    """Write the curve as JSON and as a plot into the state folder; return the result with their names."""
    folder = home() / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{file_name(identity)}.{suffix}" for suffix in ("json", "svg"))
    result = Tuning(**{**vars(found), "applied": applied, "files": tuple(map(str, paths))})
    paths[0].write_text(json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    paths[1].write_text(drawn(found), encoding="utf-8")
    return result


def _quiet(phase: str, done: int, total: int | None) -> None:
    return None
