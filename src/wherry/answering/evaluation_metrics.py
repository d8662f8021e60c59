"""What a ranking is worth: nDCG, recall, reciprocal rank and hit at one, with intervals by bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
_SEED = 20_260_301


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds it with 95 % confidence; all three NaN where nothing was measured."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the interval as a JSON object."""
        return {"mean": round(self.mean, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def ndcg(ranked: Sequence[str], grades: Mapping[str, float], k: int) -> float:
    """Return the discounted gain of the first k of a ranking over that of the best ranking possible."""
    best = _gain(sorted(grades.values(), reverse=True)[:k])
    return _gain([grades.get(name, 0.0) for name in ranked[:k]]) / best if best else 0.0


def recall(ranked: Sequence[str], grades: Mapping[str, float], k: int) -> float:
    """Return the share of what is wanted that is among the first k."""
    wanted = {name for name, grade in grades.items() if grade > 0}
    return len(wanted.intersection(ranked[:k])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, float], k: int) -> float:
    """Return 1 / rank of the first of the first k that is wanted, 0 where none is."""
    return next((1 / rank for rank, name in enumerate(ranked[:k], 1) if grades.get(name, 0) > 0), 0.0)


def hit_at_one(ranked: Sequence[str], grades: Mapping[str, float]) -> float:
    """Return 1 where the first is wanted, else 0."""
    return float(bool(ranked) and grades.get(ranked[0], 0) > 0)


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of some questions' scores with its 95 % interval: percentiles of 2,000 resamples."""
    if not values:
        return Interval(math.nan, math.nan, math.nan)
    scores = np.asarray(values, dtype=np.float64)
    # The same seed each time: an evaluation that is repeated says the same.
    picks = np.random.default_rng(_SEED).integers(0, len(scores), size=(RESAMPLES, len(scores)))
    low, high = np.percentile(scores[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(scores.mean()), float(low), float(high))


def _gain(grades: Sequence[float]) -> float:
    return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
