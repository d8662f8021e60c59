"""Finding what is near a vector: FAISS proposes, the vectors themselves decide, ids settle ties.

What the index proposes is compared again with the stored vectors, so that every way of searching gives the
same scores. Where a condition or ties leave too few, more is asked for, and in the end everything is
compared: k records come back where k satisfy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from wherry.record import Page, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Hit
from wherry.stores.exact import Nearest, Query, checked, distances, search_pages
from wherry.where import Where

# Asked for beyond k: the index rounds elsewhere and may see the last ones in another order.
_MORE = 16
_GROWTH = 4
# With a condition that lets so few pass that this share of all must be proposed, comparing all is quicker.
_SHARE = 4
_SCAN_ROWS = 4096


@dataclass
class Finder:
    """What can be searched.

    pages: all records. nearest: (float32 vector, k, exact) -> the rows that the index proposes; a vector of
    length 1 under cosine. take: ascending rows -> their records.
    """

    space: Space
    shown: str
    count: int
    pages: Callable[[int], Iterator[Page]]
    nearest: Callable[[np.ndarray, int, bool], np.ndarray]
    take: Callable[[np.ndarray], pa.RecordBatch]

    def search(self, vector: np.ndarray, k: int, where: Where | None, exact: bool) -> list[Hit]:
        """Return the k nearest records, nearest first. Raises WrongDimension, Usage or UnknownMetric."""
        query = checked(vector, k, self.space, self.shown)
        asked = self._asked(query)
        wanted = k + _MORE
        while wanted < self.count and (where is None or wanted <= max(self.count // _SHARE, 4 * k)):
            batch = self.take(np.unique(self.nearest(asked, wanted, exact)))
            if batch.num_rows < wanted:
                # A graph may not lead to all of its vectors.
                break
            hits = _among(batch, query, where)
            if len(hits) == k and not _tied(batch, query, hits[-1]):
                return hits
            wanted *= _GROWTH
        return search_pages(self.pages(_SCAN_ROWS), query, where)

    def _asked(self, query: Query) -> np.ndarray:
        if self.space.metric is not Metric.COSINE:
            return query.vector
        wide = query.vector.astype(np.float64)
        return (wide / np.linalg.norm(wide)).astype(np.float32)


def _among(batch: pa.RecordBatch, query: Query, where: Where | None) -> list[Hit]:
    found = Nearest(query)
    found.see(batch, where)
    return found.hits()


def _tied(batch: pa.RecordBatch, query: Query, last: Hit) -> bool:
    """Tell whether the farthest proposal is as near as the last hit: more of its kind may be left out."""
    return bool(distances(vectors_of(batch), query).max() <= last.distance)
