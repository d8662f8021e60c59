"""Several rankings of the same records become one: reciprocal ranks, weighted per leg, ties by id.

    score of a record = sum over legs of  weight(leg) / (60 + rank of the record in the leg)

Ranks are fused and not scores, because a BM25 of 14 and a cosine of 0.6 say nothing about each other. The weights
come from `agreement`: a leg that does not understand the language of a collection weighs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wherry.stores.lexical import SMOOTHING

# What a weight is before anything was measured.
UNMEASURED = {"lexical": 1.0, "vector": 0.0}


@dataclass(frozen=True)
class Standing:
    """Where one leg had a record. rank: from 1. score: in the leg's own terms. share: of the fused score."""

    rank: int
    score: float
    share: float


@dataclass(frozen=True)
class Fused:
    """A record as the legs together see it."""

    id: str
    score: float
    parts: Mapping[str, Standing] = field(default_factory=dict)


def fuse(
    legs: Mapping[str, Sequence[tuple[str, float]]], weights: Mapping[str, float], k: int | None = None
) -> list[Fused]:
    """Return the records of some legs by their fused score, best first, ties by id.

    legs: for each leg its (id, score) pairs, best first. weights: of each leg, at least 0; a leg that weighs
    nothing adds no record of its own.
    """
    parts: dict[str, dict[str, Standing]] = {}
    # The heaviest first, so that a leg without weight only explains what others found.
    for leg in sorted(legs, key=lambda name: (-weights.get(name, 0.0), name)):
        ranked, weight = legs[leg], weights.get(leg, 0.0)
        for rank, (record_id, score) in enumerate(ranked, 1):
            if weight > 0 or record_id in parts:
                parts.setdefault(record_id, {})[leg] = Standing(rank, score, weight / (SMOOTHING + rank))
    found = [Fused(name, sum(s.share for s in held.values()), held) for name, held in parts.items()]
    return sorted(found, key=lambda hit: (-hit.score, hit.id))[:k]
