"""The rules by which runs are judged, hashed and found; pure functions of what they are given.

A metric passes when its score is at least its threshold: the metric's own, else the run's, else 0.7. A stored 0 is
0. A score that is missing or not finite was not measured, and counts in no average.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from wherry import BadRecord
from wherry_apps.evals.runs import SCORE_DIGITS, Case, EvaluationRun, Score

USUAL_THRESHOLD = 0.7
# Starting weights of the two legs of a search; the core lowers a leg that measures badly on the collection.
WEIGHTS: Mapping[str, float] = {"lexical": 0.4, "vector": 0.6}


@dataclass(frozen=True)
class Judged:
    """A metric of a case with the threshold that holds for it. passed: None where it was not measured."""

    name: str
    score: float | None
    threshold: float
    passed: bool | None
    reason: str | None = None

    @property
    def margin(self) -> float:
        """How far the score is from its threshold; below 0 it failed. 0 where it was not measured."""
        return 0.0 if self.score is None else self.score - self.threshold


@dataclass(frozen=True)
class Totals:
    """What a run comes to. pass_rate, metric_pass_rate: from 0 to 1, None where nothing was measured."""

    cases: int
    passed: int
    unevaluated: int
    pass_rate: float | None
    metric_pass_rate: float | None
    averages: dict[str, float]


def threshold_of(score: Score, run: EvaluationRun) -> float:
    """Return the threshold of a metric: its own, else the run's, else 0.7. A threshold of 0 is one."""
    if score.threshold is not None:
        return score.threshold
    return run.thresholds.get(score.name, USUAL_THRESHOLD)


def judged(case: Case, run: EvaluationRun) -> tuple[Judged, ...]:
    """Return the metrics of a case, each with whether it passed."""
    found = []
    for score in case.scores:
        threshold = threshold_of(score, run)
        passed = None if score.score is None else score.score >= threshold
        found.append(Judged(score.name, score.score, threshold, passed, score.reason))
    return tuple(found)


def verdict(metrics: Sequence[Judged]) -> bool | None:
    """Tell whether a case passed: all that was measured did; None where nothing was measured."""
    measured = [metric.passed for metric in metrics if metric.passed is not None]
    return all(measured) if measured else None


def totals(run: EvaluationRun) -> Totals:
    """Return what a run comes to, computed from its cases and from nothing that was stored about them."""
    verdicts = [verdict(judged(case, run)) for case in run.cases]
    evaluated = [one for one in verdicts if one is not None]
    averages = {name: mean for name in run.metrics if (mean := _average(run, name)) is not None}
    good = sum(mean >= run.thresholds.get(name, USUAL_THRESHOLD) for name, mean in averages.items())
    return Totals(
        cases=len(run.cases),
        passed=sum(evaluated),
        unevaluated=len(verdicts) - len(evaluated),
        pass_rate=round(sum(evaluated) / len(evaluated), SCORE_DIGITS) if evaluated else None,
        metric_pass_rate=round(good / len(run.metrics), SCORE_DIGITS) if averages else None,
        averages=averages,
    )


def stored_differs(run: EvaluationRun, computed: Totals) -> str | None:
    """Return what to tell about a stored pass rate that its cases do not bear out, None where it is right."""
    if run.pass_rate is None or run.pass_rate == computed.pass_rate:
        return None
    return f"{run.source}: the stored pass_rate {run.pass_rate} is not what its cases give ({computed.pass_rate})"


def canonical(value: Any) -> bytes:
    """Return JSON that is the same for equal values: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def source_hash(
    documents: Sequence[tuple[str, Mapping[str, Any]]], embedder: Mapping[str, Any], chunker: Mapping[str, Any],
    limit: int | None,
) -> str:  # fmt: skip
    """Return the sha256 that tells whether a source has to be indexed again, 64 hexadecimal digits.

    documents: (content, metadata) in their order. embedder: provider, model, dim, normalised. limit: of chunks, None
    where there is none. One recipe for the command line and for the service.
    """
    parts = {"documents": [[text, dict(metadata)] for text, metadata in documents], "chunker": chunker, "limit": limit}
    return sha256(canonical({**parts, **embedder})).hexdigest()


def cut(vectors: np.ndarray, dimension: int, where: str) -> np.ndarray:
    """Return the first components of each vector, brought to length 1 again: float32, shape (n, dimension).

    Matryoshka models pack most meaning into the first components; without renormalising, inner product and L2 would
    be wrong. Raises BadRecord for vectors that are shorter, not finite or zero.
    """
    if vectors.ndim != 2 or vectors.shape[1] < dimension:
        raise BadRecord(f"the model gives {vectors.shape[-1]} components, not {dimension}", where=where)
    wide = vectors[:, :dimension].astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise BadRecord("the model gave a vector that is zero or not finite", where=where)
    return (wide / lengths).astype(np.float32)


def _average(run: EvaluationRun, name: str) -> float | None:
    measured = [s.score for case in run.cases for s in case.scores if s.name == name and s.score is not None]
    return round(sum(measured) / len(measured), SCORE_DIGITS) if measured else None
