"""Intervals by paired bootstrap: the questions are drawn anew, and every figure is taken of the same draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wherry.answering.evaluation_metrics import Interval

RESAMPLES = 2_000
# Draws held at once: numbers of questions, 8 bytes each.
_CELLS = 4_000_000
_ENDS = [2.5, 97.5]


class Bootstrap:
    """Draws of n questions. The same n and seed give the same draws, so figures of one set are paired."""

    def __init__(self, count: int, seed: int = 0, resamples: int = RESAMPLES) -> None:
        self.count, self.seed, self.resamples = count, seed, resamples

    def mean(self, values: Sequence[float]) -> Interval:
        """Return the mean of a value per question with its 95 % interval."""
        return self._interval(np.asarray(values, dtype=np.float64)[None, :], lambda drawn: drawn[0].mean(axis=-1))

    def quantile(self, values: Sequence[float], share: float) -> Interval:
        """Return a quantile of a value per question with its 95 % interval."""
        held = np.asarray(values, dtype=np.float64)[None, :]
        return self._interval(held, lambda drawn: np.quantile(drawn[0], share, axis=-1))

    def quantile_change(self, before: Sequence[float], after: Sequence[float], share: float) -> Interval:
        """Return by how much a quantile grew from one side to the other: the same questions are drawn of both."""
        held = np.asarray([before, after], dtype=np.float64)

        def change(drawn: np.ndarray) -> np.ndarray:
            first, second = np.quantile(drawn, share, axis=-1)
            return second - first

        return self._interval(held, change)

    def _interval(self, values: np.ndarray, figure: Callable[[np.ndarray], Any]) -> Interval:
        """Return a figure of values (sides, questions) and the ends of 95 % of it over the draws."""
        whole = float(figure(values))
        rng = np.random.default_rng((self.seed, self.count))
        rows = max(1, min(self.resamples, _CELLS // max(1, self.count)))
        found = []
        for start in range(0, self.resamples, rows):
            picks = rng.integers(0, self.count, size=(min(rows, self.resamples - start), self.count))
            found.append(figure(values[:, picks]))
        low, high = np.percentile(np.concatenate(found), _ENDS)
        # Rounding of sums must not put a mean of equal values outside its own interval.
        return Interval(whole, min(float(low), whole), max(float(high), whole))


def at_most(differing: int, count: int) -> float:
    """Return the largest share of all questions that could differ, with 95 % confidence (Clopper and Pearson).

    differing: questions that did, of `count` that were asked.
    """
    if differing >= count:
        return 1.0
    low, high = differing / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _so_few(differing, count, middle) > 0.05 else (low, middle)
    return high


def _so_few(differing: int, count: int, share: float) -> float:
    """Return the chance of at most so many among `count`, when each differs with chance `share`."""
    places = np.arange(1, differing + 1)
    steps = np.log(count - places + 1) - np.log(places) + np.log(share) - np.log1p(-share)
    return float(np.exp(count * np.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])).sum())
