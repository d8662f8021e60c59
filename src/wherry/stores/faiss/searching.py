"""Finding what is near a vector: FAISS proposes, the vectors themselves decide, ids settle ties.

What the index proposes is scored again from the stored vectors in 64 bits, so that every way of searching
gives the same scores. Where a condition or ties leave too few, more is asked for, and at the end everything
is compared: k records come back where k satisfy.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.errors import Rejected, UnknownMetric, Unsupported
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Hit
from wherry.where import Where, matches

# Asked for beyond k: the index compares 32 bits and may see the last ones in another order.
_MORE = 16
_GROWTH = 4
_SCAN_ROWS = 4096
Nearest = Callable[[np.ndarray, int, bool], np.ndarray]


@dataclass
class Finder:
    """What can be searched: pages of records, and where there is an index, proposals of it.

    nearest: (unit vector under cosine, k, exact) -> rows. take: ascending rows -> records. Both are None
    where there is no index to ask.
    """

    space: Space
    shown: str
    count: int
    pages: Callable[[int], Iterator[pa.RecordBatch]]
    nearest: Nearest | None = None
    take: Callable[[np.ndarray], pa.RecordBatch] | None = None

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records, nearest first. Raises Rejected, Unsupported or UnknownMetric."""
        scores = self._scores(vector)
        if k <= 0 or self.count == 0:
            return []
        if self.nearest is not None and self.take is not None:
            found = self._proposed(scores, k, where, exact)
            if found is not None:
                return found
        return self._compared(scores, k, where)

    def _scores(self, vector: np.ndarray) -> Scores:
        if self.space.metric is None:
            raise UnknownMetric(where=self.shown, next="state it in the address: ?metric=cosine (or l2, ip, l1)")
        query = np.asarray(vector, dtype=np.float64)
        if query.shape != (self.space.dimension,):
            raise Unsupported(
                f"a vector of shape {query.shape}, the collection has {self.space.dimension} components",
                where=self.shown,
            )
        if not np.isfinite(query).all():
            raise Rejected("the vector holds NaN or an infinity", where=self.shown)
        return Scores(self.space.metric, query)

    def _proposed(self, scores: Scores, k: int, where: Where | None, exact: bool) -> list[Hit] | None:
        """Return what the index finds; None when that is not enough and everything must be compared."""
        if self.nearest is None or self.take is None:
            return None
        wanted = k + _MORE
        while True:
            rows = self.nearest(scores.asked, min(wanted, self.count), exact)
            batch = self.take(np.unique(rows))
            hits = best(_hits(batch, scores, where), k)
            everything = batch.num_rows == self.count
            if everything or (len(hits) == k and not self._tied(batch, scores, hits[-1])):
                return hits
            wanted *= _GROWTH
            if batch.num_rows < min(k, self.count) or wanted >= self.count or (where and wanted > self.count // 4):
                return None

    @staticmethod
    def _tied(batch: pa.RecordBatch, scores: Scores, last: Hit) -> bool:
        """Tell whether the farthest proposal is as near as the last hit: more of its kind may be left out."""
        return bool(scores.similarities(vectors_of(batch)).min() >= last.similarity)

    def _compared(self, scores: Scores, k: int, where: Where | None) -> list[Hit]:
        """Compare every record, a page at a time."""
        hits: list[Hit] = []
        for batch in self.pages(_SCAN_ROWS):
            floor = hits[-1].similarity if len(hits) == k else -np.inf
            hits = best([*hits, *_hits(batch, scores, where, floor, k)], k)
        return hits


class Scores:
    """Similarities to one query; higher is nearer."""

    def __init__(self, metric: Metric, query: np.ndarray) -> None:
        self.metric, self.query = metric, query
        length = float(np.linalg.norm(query))
        unit = query / length if length else query
        # What FAISS is asked: it has no cosine, its index holds unit vectors.
        self.asked = (unit if metric is Metric.COSINE else query).astype(np.float32)
        self._unit = unit

    def similarities(self, vectors: np.ndarray) -> np.ndarray:
        """Return the similarity of each vector, float32 (n, d), as float64 (n,)."""
        wide = vectors.astype(np.float64)
        if self.metric is Metric.L2:
            return np.asarray(-np.sqrt(((wide - self.query) ** 2).sum(axis=1)))
        if self.metric is Metric.L1:
            return np.asarray(-np.abs(wide - self.query).sum(axis=1))
        if self.metric is Metric.IP:
            return np.asarray((wide * self.query).sum(axis=1))
        lengths = np.sqrt((wide * wide).sum(axis=1))
        products = (wide * self._unit).sum(axis=1)
        return np.divide(products, lengths, out=np.zeros(len(wide)), where=lengths > 0)

    def distance(self, similarity: float) -> float:
        """Return the distance that belongs to a similarity."""
        return 1.0 - similarity if self.metric is Metric.COSINE else -similarity


def best(hits: list[Hit], k: int) -> list[Hit]:
    """Return the k nearest hits, nearest first, ties by id."""
    return heapq.nsmallest(k, hits, key=lambda hit: (-hit.similarity, hit.id))


def _hits(
    batch: pa.RecordBatch, scores: Scores, where: Where | None, floor: float = -np.inf, k: int | None = None
) -> list[Hit]:
    """Return the records of a batch that satisfy `where` and are no farther than `floor`."""
    found = scores.similarities(vectors_of(batch))
    near = np.flatnonzero(found >= floor)
    if where is None and k is not None and len(near) > k:
        # Of many, only those as near as the k-th can be among the best.
        edge = np.partition(found[near], len(near) - k)[len(near) - k]
        near = near[found[near] >= edge]
    part = batch.take(pa.array(near))
    ids, texts, metadata = (part.column(name).to_pylist() for name in ("id", "text", "metadata"))
    return [
        Hit(ids[n], float(found[row]), scores.distance(float(found[row])), texts[n], metadata[n])
        for n, row in enumerate(near.tolist())
        if where is None or matches(where, _object(metadata[n]))
    ]


def _object(metadata: str | None) -> dict[str, Any] | None:
    found = None if metadata is None else json.loads(metadata)
    return found if isinstance(found, dict) else None
