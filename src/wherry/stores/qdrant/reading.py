"""From points to pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wherry.record import Page, Reject, make_batch
from wherry.space import Metric
from wherry.stores.packing import joined
from wherry.stores.qdrant import ids as names
from wherry.stores.qdrant.link import Points
from wherry.stores.qdrant.payload import NORM_KEY, Codec
from wherry.stores.qdrant.shape import Shape
from wherry.stores.qdrant.vectors import from_unit

PAGE_BYTES = 16 << 20
FIRST_ROWS, MOST_ROWS = 8, 1024
# No page is planned beyond half of what it may hold: rows differ in width.
_PLANNED_BYTES = PAGE_BYTES // 2


@dataclass(frozen=True)
class Reader:
    """Turns points of one collection into pages."""

    shape: Shape
    codec: Codec

    def page(self, points: Points) -> Page:
        """Return the records of these points, and a reject for each that no batch can hold."""
        owners = owners_of(points)
        rejects = self._rejects(points, owners)
        if rejects:
            good = [row for row in range(len(points.ids)) if row not in rejects]
            owners = [owners[row] for row in good]
            points = _taken(points, good)
        norms = [payload.pop(NORM_KEY, None) for payload in points.payloads]
        texts, metadata = self.codec.decode(points.payloads)
        records = make_batch([str(owner) for owner in owners], self._vectors(points, norms), texts, metadata)
        page, framework = Page(records, [rejects[row] for row in sorted(rejects)]), self.codec.records
        return page if framework is None else framework.read(page)

    def _rejects(self, points: Points, owners: list[str | None]) -> dict[int, Reject]:
        rejects = {
            row: Reject(str(points.ids[row]), "BadId", "its payload names an id that belongs to another point")
            for row, owner in enumerate(owners)
            if owner is None
        }
        for row, vector in enumerate(points.vectors):
            if vector is None:
                shown = owners[row] or str(points.ids[row])
                rejects.setdefault(row, Reject(shown, "MissingVector", _missing(self.shape.vector)))
        return rejects

    def _vectors(self, points: Points, norms: list[Any]) -> np.ndarray:
        rows = [vector for vector in points.vectors if vector is not None]
        held = joined(rows, self.shape.dimension)
        if self.shape.metric is not Metric.COSINE or not any(norms):
            return held
        return from_unit(held, np.array([_length(norm) for norm in norms]))


@dataclass
class Pace:
    """How many rows to read next, so that a page stays small however wide the rows are.

    rows: the most that is asked for. width: expected bytes of a row before the first was seen.
    """

    rows: int
    width: int

    def __post_init__(self) -> None:
        self.next = max(1, min(self.rows, FIRST_ROWS))

    def saw(self, page: Page) -> None:
        """Learn from a page: grow fourfold while rows are narrow, and shrink at once."""
        rows = max(1, page.records.num_rows)
        width = max(self.width, page.records.nbytes // rows)
        self.next = max(1, min(self.rows, MOST_ROWS, self.next * 4, _PLANNED_BYTES // width))


def cut(page: Page) -> Iterator[Page]:
    """Cut a page whose rows turned out wider than expected."""
    records = page.records
    pieces = -(-records.nbytes // PAGE_BYTES)
    if pieces <= 1:
        if page.read:
            yield page
        return
    step = max(1, records.num_rows // pieces)
    for start in range(0, records.num_rows, step):
        yield Page(records.slice(start, step), page.rejects if start == 0 else [])


def owners_of(points: Points) -> list[str | None]:
    """Return the ids of the records these points hold; None for a point that is not its record's."""
    return [names.owner_of(point, payload) for point, payload in zip(points.ids, points.payloads, strict=True)]


def _taken(points: Points, rows: list[int]) -> Points:
    ids, payloads, vectors = points.ids, points.payloads, points.vectors
    return Points([ids[r] for r in rows], [payloads[r] for r in rows], [vectors[r] for r in rows])


def _missing(vector: str) -> str:
    return f"the point has no vector {vector!r}" if vector else "the point has no vector"


def _length(norm: Any) -> float:
    return float(norm) if isinstance(norm, (int, float)) and not isinstance(norm, bool) else np.nan
