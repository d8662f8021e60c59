"""What `compare` returns; `to_dict` is the JSON its command prints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing.costs import Cost
from wherry.errors import Different
from wherry.stores.base import Hit

QUANTILES = (0.5, 0.95, 0.99)
NAMES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Bar:
    """What had to be reached. low: the lower end of the interval, which has to reach `least`."""

    name: str
    mean: float
    low: float
    least: float

    @property
    def met(self) -> bool:
        """Whether the questions prove it; a mean alone does not."""
        # A sum of ones divided by their number may miss 1 by the last digit.
        return self.low >= self.least - 1e-9

    def to_dict(self) -> dict[str, Any]:
        """Return the bar as a JSON object."""
        return {"name": self.name, "mean": _r(self.mean), "low": _r(self.low), "least": self.least, "met": self.met}


@dataclass(frozen=True)
class Times:
    """Milliseconds. search: p50, p95 and p99 of an answer, embedding left out; embedding: median, None where none.

    samples: every measured search, in order of the questions.
    """

    search: tuple[Interval, ...]
    embedding: float | None
    samples: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the times as a JSON object, without the samples."""
        return {
            "search_ms": {name: plain(found, 3) for name, found in zip(NAMES, self.search, strict=False)},
            "embedding_ms": _r(self.embedding, 3),
            "measured": len(self.samples),
        }


@dataclass(frozen=True)
class SideReport:
    """One side. recall: of its answers against its own exact neighbours, None where that cannot be measured.

    records: held, None for recorded answers. disk: bytes. model: what embedded its questions. memory: bytes this
    process grew by while it was opened and warmed up. ghosts: answers naming a record that is not there.
    """

    address: str
    records: int | None
    model: str | None
    metric: str | None
    recall: Interval | None
    cost: Cost | None
    disk: int | None
    memory: int | None
    times: Times | None
    ghosts: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what does not depend on the moment as a JSON object; `measured` has the rest."""
        return {
            "address": self.address,
            "records": self.records,
            "model": self.model,
            "metric": self.metric,
            "recall": plain(self.recall),
            "disk": self.disk,
            "cost": self.cost.to_dict() if self.cost else None,
            "ghosts": self.ghosts,
            "notes": list(self.notes),
        }

    def measured(self) -> dict[str, Any]:
        """Return what the machine and the moment decide."""
        return {"memory": self.memory, **(self.times.to_dict() if self.times else {})}


@dataclass(frozen=True)
class Asked:
    """One question and how both sides answered it. exact: overlap of the exact neighbours, None where not measured.

    drift: mean of B's similarity minus A's over the records both found, NaN where there is none.
    """

    name: str
    shown: str
    overlap: float
    exact: float | None
    rank: float
    drift: float
    recall: tuple[float | None, float | None]
    hits: tuple[tuple[Hit, ...], tuple[Hit, ...]] = ((), ())

    def to_dict(self) -> dict[str, Any]:
        """Return the question with both answers as a JSON object."""
        return {
            "name": self.name,
            "question": self.shown,
            "overlap": _r(self.overlap),
            "exact_overlap": _r(self.exact),
            "rank_biased_overlap": _r(self.rank),
            "drift": _r(self.drift),
            "recall": [_r(value) for value in self.recall],
            "a": [_hit(hit) for hit in self.hits[0]],
            "b": [_hit(hit) for hit in self.hits[1]],
        }


@dataclass(frozen=True)
class Drift:
    """How similarities moved from A to B on the records both found. most: the largest move of one record.

    significant: the whole interval is beyond `matters` on one side of zero. comparable: False where the sides
    measure likeness in different terms, so that the figure says nothing.
    """

    mean: Interval
    most: float
    matters: float
    comparable: bool
    pairs: int

    @property
    def significant(self) -> bool:
        """Whether the questions prove a move that matters."""
        return self.comparable and (self.mean.low > self.matters or self.mean.high < -self.matters)

    def to_dict(self) -> dict[str, Any]:
        """Return the drift as a JSON object."""
        return {
            **(plain(self.mean) or {}),
            "largest": _r(self.most),
            "matters_beyond": _r(self.matters),
            "significant": self.significant,
            "comparable": self.comparable,
            "pairs": self.pairs,
        }


@dataclass(frozen=True)
class Comparison:
    """What both sides answered to the same questions.

    overlap: of the answers as they were served, ties counted as agreement. exact: of the exact neighbours of both
    sides, which shows what happened to the data apart from the indexes; None where one cannot be measured.
    rank: rank-biased overlap. recall_change: recall of B minus recall of A. differing: questions whose overlap is
    below 1; at_most: the largest share of all questions that could be like that, with 95 % confidence.
    """

    a: SideReport
    b: SideReport
    questions: int
    k: int
    overlap: Interval
    exact: Interval | None
    rank: Interval
    drift: Drift
    recall_change: Interval | None
    median_change: Interval | None
    differing: int
    at_most: float
    bars: tuple[Bar, ...]
    worst: tuple[Asked, ...]
    asked: tuple[Asked, ...] = field(default=(), repr=False)
    seed: int = 0
    rounds: int = 1
    copied: bool = True
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every bar was reached."""
        return all(bar.met for bar in self.bars)

    @property
    def exit_code(self) -> int:
        """0 every bar was reached, 1 not."""
        return 0 if self.passed else Different.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry compare --json` prints; what time decides is under `measured`."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "questions": self.questions,
            "k": self.k,
            "overlap": plain(self.overlap),
            "exact_overlap": plain(self.exact),
            "rank_biased_overlap": plain(self.rank),
            "drift": self.drift.to_dict(),
            "recall_change": plain(self.recall_change),
            "differing": {"questions": self.differing, "at_most": _r(self.at_most, 4)},
            "bars": [bar.to_dict() for bar in self.bars],
            "passed": self.passed,
            "worst": [asked.to_dict() for asked in self.worst],
            "copied": self.copied,
            "notes": list(self.notes),
            "seed": self.seed,
            "measured": {
                "a": self.a.measured(),
                "b": self.b.measured(),
                "median_change_ms": plain(self.median_change, 3),
                "rounds": self.rounds,
                "seconds": round(self.seconds, 2),
            },
        }


def plain(found: Interval | None, digits: int = 6) -> dict[str, float | None] | None:
    """Return an interval as a JSON object, None for none and for one of nothing."""
    if found is None or math.isnan(found.mean):
        return None
    return {"mean": _r(found.mean, digits), "low": _r(found.low, digits), "high": _r(found.high, digits)}


def _hit(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "similarity": _r(hit.similarity), "text": hit.text}


def _r(value: float | None, digits: int = 6) -> float | None:
    # Zero is written one way: the last digit of a sum may fall on either side of it.
    return None if value is None or not math.isfinite(value) else round(value, digits) + 0.0
