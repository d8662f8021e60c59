"""What a search gives back: hits in order, each with where it stood in every leg that found it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from wherry.space import Metric
from wherry.stores import base

_PLAIN = ("id", "similarity", "distance", "metric", "text", "metadata", "score")


@dataclass(frozen=True)
class Part:
    """Where one leg of a search had a record. rank: from 1. score: in the leg's own terms, higher is better.

    share: what it added to the fused score; the score itself where there was only one leg.
    """

    rank: int
    score: float
    share: float


@dataclass(frozen=True)
class Hit:
    """A record that a search found.

    similarity: of its vector and the query's, higher is nearer; cosine runs from -1 to 1, for l2 and l1 it is
    minus the distance, for ip the product. distance: in the terms of `metric` (cosine: 1 - cosine; l2: the root;
    ip: minus the product). All three are None where no vector was compared. score: what the hits are ordered by.
    parts: leg (`vector`, `lexical`, ...) -> where that leg had it.
    """

    id: str
    similarity: float | None
    distance: float | None
    text: str | None
    metadata: dict[str, Any]
    score: float
    parts: Mapping[str, Part] = field(default_factory=dict)
    metric: Metric | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as a JSON object."""
        parts = {leg: {"rank": p.rank, "score": p.score, "share": p.share} for leg, p in self.parts.items()}
        values = {name: getattr(self, name) for name in _PLAIN}
        return {**values, "parts": parts}


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """The hits of one search, best first.

    address: what was searched. mode: `vector`, `lexical` or `hybrid`. seconds: from the call to the answer,
    embedding the query included. notes: what a reader should know (a leg that was left out and why), one
    sentence each.
    """

    hits: tuple[Hit, ...]
    address: str
    mode: str
    k: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, position: int) -> Hit: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[Hit, ...]: ...

    def __getitem__(self, position: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[position]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def noting(self, *notes: str) -> Hits:
        """Return the same hits with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def after(self, seconds: float) -> Hits:
        """Return the same hits with another time."""
        return replace(self, seconds=seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry search --json` prints."""
        return {
            "in": self.address,
            "mode": self.mode,
            "k": self.k,
            "count": len(self.hits),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "hits": [hit.to_dict() for hit in self.hits],
        }


def of_vectors(found: Sequence[base.Hit]) -> tuple[Hit, ...]:
    """Return what a store found by vectors as public hits: its similarity is the score."""
    return tuple(_of_vector(hit, rank) for rank, hit in enumerate(found, 1))


def decoded(metadata: str | None) -> dict[str, Any]:
    """Return a metadata text as an object; empty for none, and for a text that is no JSON object."""
    if not metadata:
        return {}
    try:
        value = json.loads(metadata)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _of_vector(hit: base.Hit, rank: int) -> Hit:
    part = Part(rank, hit.similarity, hit.similarity)
    metadata = decoded(hit.metadata)
    return Hit(hit.id, hit.similarity, hit.distance, hit.text, metadata, hit.similarity, {"vector": part}, hit.metric)
