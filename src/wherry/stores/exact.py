"""Exact search: every vector is compared. What memory and archives use, and every engine falls back to.

A cosine with a vector of length zero is 0, its distance 1: such a vector has no direction. Distances are
computed in float32 where that holds them, so the last digits may differ from an engine's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.errors import UnknownMetric, Usage, WrongDimension
from wherry.record import Page, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Hit
from wherry.where import Where, decode, matches

# Rows of which differences are taken at once: they are a copy, products are not.
_ROWS = 8_192
# Results and lengths between these come out of float32 sums without losing more than their last digits.
_SMALLEST, _LARGEST = 1e-15, 1e15


@dataclass(frozen=True)
class Query:
    """A vector that was checked against a collection. vector: float32, shape (dimension,), read only."""

    vector: np.ndarray
    metric: Metric
    k: int


def checked(vector: np.ndarray, k: int, space: Space, address: str) -> Query:
    """Return a query of a collection of this space.

    Raises WrongDimension; Usage for k < 1, a vector that is not finite and, under cosine, one of length zero;
    UnknownMetric.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise Usage(f"k is {k!r}; at least one record must be asked for", where=address)
    found = np.array(vector, dtype=np.float32)
    if found.ndim != 1 or (space.dimension is not None and len(found) != space.dimension):
        raise WrongDimension(
            f"the query has {_shape(found)}, the collection's vectors have {space.dimension} components",
            where=address,
            next="embed the query with the model that made the collection",
        )
    if not np.isfinite(found).all():
        raise Usage("the query vector holds NaN, an infinity or a number beyond float32", where=address)
    if space.metric is None:
        raise UnknownMetric(where=address, next="state it: add ?metric=cosine, l2, ip or l1 to the address")
    if space.metric is Metric.COSINE and not found.any():
        raise Usage("the query vector is zero: under cosine it has no direction", where=address)
    found.setflags(write=False)
    return Query(found, space.metric, k)


def distances(vectors: np.ndarray, query: Query, norms: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of every vector (float32, shape (n, d)) in the metric's own terms, float64 of (n,).

    norms: their lengths, where they are known.
    """
    with np.errstate(all="ignore"):
        found = _fast(vectors, query, norms).astype(np.float64)
        # What float32 cannot add up: far too large, or so small that squares vanish.
        odd = np.flatnonzero(~np.isfinite(found) | (found > _LARGEST) | (np.abs(found) < _SMALLEST))
        if len(odd):
            found[odd] = _slow(vectors[odd].astype(np.float64), query)
    # A stored vector that is not finite is farther than all others.
    return np.where(np.isnan(found), np.inf, found)


def similarity(distance: float, metric: Metric) -> float:
    """Return how near a distance is: higher is nearer."""
    return 1.0 - distance if metric is Metric.COSINE else -distance + 0.0


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the length of every vector, float32 of (n,)."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


class Nearest:
    """The nearest k of the records that pass by, ties by id; keeps nothing but them."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self._hits: list[Hit] = []

    def see(self, batch: pa.RecordBatch, where: Where | None = None) -> None:
        """Look at a batch; only records that satisfy the condition count."""
        apart = distances(vectors_of(batch), self.query)
        rows = np.arange(len(apart)) if where is None else passing(batch.column("metadata"), where)
        if len(self._hits) == self.query.k:
            rows = rows[apart[rows] <= self._hits[-1].distance]
        rows = nearest(apart, batch.column("id"), rows, self.query.k)
        self._hits += [hit_of(batch, int(row), float(apart[row]), self.query.metric) for row in rows]
        self._hits.sort(key=lambda hit: (hit.distance, hit.id))
        del self._hits[self.query.k :]

    def hits(self) -> list[Hit]:
        """Return what was nearest, nearest first."""
        return list(self._hits)


class Whole:
    """A whole collection in memory, to be searched many times, by several threads too."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self._vectors = vectors_of(batch)
        self._norms = lengths(self._vectors)
        self._metadata: list[dict[str, Any] | None] | None = None

    def search(self, query: Query, where: Where | None = None) -> list[Hit]:
        """Return the k nearest records that satisfy a condition, nearest first."""
        if not self.batch.num_rows:
            return []
        apart = distances(self._vectors, query, self._norms)
        rows = nearest(apart, self.batch.column("id"), self._passing(where), query.k)
        return [hit_of(self.batch, row, float(apart[row]), query.metric) for row in rows]

    def _passing(self, where: Where | None) -> np.ndarray:
        if where is None:
            return np.arange(self.batch.num_rows)
        if self._metadata is None:
            self._metadata = [decode(text) for text in self.batch.column("metadata").to_pylist()]
        return np.flatnonzero([matches(where, metadata) for metadata in self._metadata])


def search_pages(pages: Iterable[Page], query: Query, where: Where | None = None) -> list[Hit]:
    """Return the nearest k of all records of a scan; what no batch can hold is never found."""
    found = Nearest(query)
    for page in pages:
        if page.records.num_rows:
            found.see(page.records, where)
    return found.hits()


def passing(metadata: pa.Array, where: Where) -> np.ndarray:
    """Return the rows whose metadata satisfies a condition, int64."""
    return np.flatnonzero([matches(where, decode(text)) for text in metadata.to_pylist()])


def nearest(apart: np.ndarray, ids: pa.Array | Sequence[str], rows: np.ndarray, k: int) -> list[int]:
    """Return which k of some rows are nearest, in order. apart: distances of all rows; ids: of all rows."""
    if len(rows) > k:
        some = apart[rows]
        last = np.partition(some, k - 1)[k - 1]
        # All that tie for the last place, so that the id decides.
        rows = rows[some <= last]
    names = ids.take(pa.array(rows)).to_pylist() if isinstance(ids, pa.Array) else [ids[row] for row in rows]
    return [row for _, _, row in sorted(zip(apart[rows].tolist(), names, rows.tolist(), strict=True))[:k]]


def hit_of(batch: pa.RecordBatch, row: int, distance: float, metric: Metric) -> Hit:
    """Return one row of a batch as a hit."""
    values = (batch.column(name)[row].as_py() for name in ("id", "text", "metadata"))
    record_id, text, metadata = values
    return Hit(record_id, similarity(distance, metric), distance, text, metadata, metric)


def _fast(vectors: np.ndarray, query: Query, norms: np.ndarray | None) -> np.ndarray:
    if query.metric is Metric.IP:
        return -(vectors @ query.vector)
    if query.metric is Metric.COSINE:
        own = lengths(vectors) if norms is None else norms
        cosines = (vectors @ query.vector) / (own * np.linalg.norm(query.vector.astype(np.float64)))
        # Only where squares neither vanished nor overflowed; the others are looked at again.
        return np.where((own > _SMALLEST) & (own < _LARGEST), 1.0 - np.clip(cosines, -1.0, 1.0), np.nan)
    found = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        apart = vectors[start : start + _ROWS] - query.vector
        found[start : start + _ROWS] = np.abs(apart).sum(axis=1) if query.metric is Metric.L1 else lengths(apart)
    return found


def _slow(vectors: np.ndarray, query: Query) -> np.ndarray:
    """Return distances in float64, which holds the squares of every float32."""
    wanted = query.vector.astype(np.float64)
    if query.metric is Metric.L1:
        return np.abs(vectors - wanted).sum(axis=1)
    if query.metric is Metric.L2:
        return lengths(vectors - wanted)
    products = vectors @ wanted
    if query.metric is Metric.IP:
        return -products + 0.0
    scale = lengths(vectors) * np.linalg.norm(wanted)
    return np.where(scale == 0, 1.0, 1.0 - np.clip(products / scale, -1.0, 1.0))


def _shape(vector: np.ndarray) -> str:
    return f"{len(vector)} components" if vector.ndim == 1 else f"{vector.ndim} axes"
