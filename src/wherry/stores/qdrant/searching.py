"""Searching a collection: the engine finds candidates, what it cannot decide is decided here.

The engine is asked for k records that pass a filter; those that do not satisfy the condition are dropped, and
while k are missing it is asked for four times as many. An answer shorter than asked for holds everything that
the graph leads to: then it is asked once more, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from wherry.space import Metric
from wherry.stores.base import Hit
from wherry.stores.exact import Query, similarity
from wherry.stores.hits import as_records
from wherry.stores.qdrant import ids as names
from wherry.stores.qdrant.filters import Form, filter_of
from wherry.stores.qdrant.ids import Found
from wherry.stores.qdrant.payload import NORM_KEY, Codec
from wherry.where import Where, decode, matches

# The engine's own default is the build breadth.
BREADTH = 128
_GROWTH = 4
_MANY = 10_000


@dataclass(frozen=True)
class Scored:
    """A point that was found. score: as the engine says it; payload: free to be changed."""

    id: Found
    payload: dict[str, Any]
    score: float


@dataclass(frozen=True)
class Wanted:
    """What the engine is asked for. filter: in the form of the REST interface. breadth: `hnsw_ef`."""

    vector: list[float]
    using: str
    limit: int
    filter: Form | None
    exact: bool

    @property
    def breadth(self) -> int:
        """How many candidates the graph keeps while it is walked."""
        return max(BREADTH, self.limit)


@runtime_checkable
class Asking(Protocol):
    """A way to a collection that can be searched. booleans: whether it can ask for true and false."""

    booleans: bool

    def nearest(self, wanted: Wanted) -> Sequence[Scored]:
        """Return points nearest first; fewer than `limit` only where there are no more."""
        ...


def search(
    link: Asking,
    vector: str,
    codec: Codec,
    query: Query,
    where: Where | None,
    exact: bool,
    count: Callable[[], int],
) -> list[Hit]:
    """Return the k nearest records; see `Searchable.search`. count: asks for the number of points."""
    form = None if where is None else filter_of(where, codec.layout, link.booleans)
    # One more than is wanted tells whether the last of them ties with what was left out. And the engine makes
    # room for as many as it is asked for.
    limit = query.k + 1 if query.k < _MANY else min(query.k, count()) + 1
    while True:
        points = link.nearest(Wanted(query.vector.tolist(), vector, limit, form, exact))
        hits = [h for h in _hits(points, codec, query.metric) if where is None or matches(where, decode(h.metadata))]
        all_seen = len(points) < limit
        if len(hits) > query.k and not (exact and hits[query.k - 1].distance == hits[-1].distance):
            return _first(hits, query.k)
        if all_seen and (exact or len(hits) >= query.k):
            return _first(hits, query.k)
        if all_seen:
            exact = True
        else:
            limit *= _GROWTH


def _first(hits: list[Hit], k: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: (hit.distance, hit.id))[:k]


def _hits(points: Iterable[Scored], codec: Codec, metric: Metric) -> list[Hit]:
    """Return points as hits, as a scan would read them; those that no batch can hold are left out."""
    kept = [(owner, p) for p in points if (owner := names.owner_of(p.id, p.payload)) is not None]
    for _, point in kept:
        point.payload.pop(NORM_KEY, None)
    texts, metadata = codec.decode([point.payload for _, point in kept])
    hits = []
    for (owner, point), text, found in zip(kept, texts, metadata, strict=True):
        apart = _distance(point.score, metric)
        hits.append(Hit(owner, similarity(apart, metric), apart, text, found, metric))
    return as_records(hits, codec.records)


def _distance(score: float, metric: Metric) -> float:
    if metric is Metric.COSINE:
        return 1.0 - score
    return -score + 0.0 if metric is Metric.IP else score
