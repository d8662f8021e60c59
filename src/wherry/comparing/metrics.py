"""What two answers to one question are worth beside each other; ties are no misses.

Two records whose distances to the question differ by less than a small slack are equally right answers, so either
may stand in for the other. That slack is 0.001, as ann-benchmarks has it, for cosine, whose distances run from
0 to 2; for other metrics it is a thousandth of the distance where distances are smaller than 1, and never less
than what float32 can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wherry.space import Metric

TIE = 1e-3
PERSISTENCE = 0.9
_FLOAT32 = 1e-6


@dataclass(frozen=True)
class Ranked:
    """The answer of one side to one question, and how far records are from it there.

    ids: best first, each once. apart: id -> distance by that side's own vector, lower is nearer; a record that
    the side does not hold is missing. known: False where the side cannot be measured (a recorded answer).
    """

    ids: tuple[str, ...]
    apart: Mapping[str, float] = field(default_factory=dict)
    metric: Metric | None = None
    known: bool = True

    def holds_as_well(self, name: str) -> bool:
        """Tell whether a record that is not among the answers is as near as the last that is."""
        if not self.ids or not self.known or name not in self.apart:
            return False
        last = max((self.apart[found] for found in self.ids if found in self.apart), default=-math.inf)
        return self.apart[name] <= last + slack(last, self.metric)


def slack(distance: float, metric: Metric | None) -> float:
    """Return by how much a distance may exceed another and still be a tie with it."""
    if not math.isfinite(distance):
        return 0.0
    if metric in (Metric.COSINE, None):
        return TIE
    return max(min(TIE, TIE * abs(distance)), _FLOAT32 * abs(distance))


def recall(found: Sequence[float], exact: Sequence[float], metric: Metric | None) -> float:
    """Return the share of the exact neighbours' places that what was found fills.

    found: distances of the records found, infinite for one that is not there any more. exact: distances of the k
    nearest, nearest first. 1 where there is nothing to find.
    """
    if not exact:
        return 1.0
    limit = exact[-1] + slack(exact[-1], metric)
    return min(sum(distance <= limit for distance in found), len(exact)) / len(exact)


def overlap(one: Ranked, other: Ranked) -> float:
    """Return the share of both answers that agrees; the side that agrees less counts. 1 where both are empty.

    A record of one answer agrees when it is in the other, or as near there as the last of the other's.
    """
    most = max(len(one.ids), len(other.ids))
    if not most:
        return 1.0
    return min(_agreeing(one, other), _agreeing(other, one)) / most


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE) -> float:
    """Return how alike two rankings are, the first places counting most: extrapolated RBO, 0 to 1.

    persistence: the chance that a reader goes on to the next place.
    """
    depth = max(len(one), len(other))
    if not depth:
        return 1.0
    first: set[str] = set()
    second: set[str] = set()
    total = agreement = 0.0
    for place in range(1, depth + 1):
        first.update(one[place - 1 : place])
        second.update(other[place - 1 : place])
        agreement = 2 * len(first & second) / (len(first) + len(second))
        total += agreement * persistence ** (place - 1)
    return min(1.0, (1 - persistence) * total + agreement * persistence**depth)


def _agreeing(one: Ranked, other: Ranked) -> int:
    there = set(other.ids)
    return sum(name in there or other.holds_as_well(name) for name in one.ids)
