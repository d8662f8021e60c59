"""What the right answers are: every record of a side is read, and its distance to every question computed here.

Truth is never what an engine says, its own exact search included: that too is a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from wherry.moving.progress import Progress, silent
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Hit, Readable
from wherry.stores.exact import Nearest, Query, checked, distances, lengths

_FETCHED = 500
# A sum of float32 products is wrong by less than this share of the lengths that were multiplied.
_ROUNDING = 1e-5


@dataclass
class Truth:
    """The nearest records of every question, and distances on this side by question and id.

    A question without a vector here has no neighbours and no distances.
    """

    nearest: list[tuple[Hit, ...]]
    apart: list[dict[str, float]] = field(default_factory=list)
    queries: list[Query | None] = field(default_factory=list)
    records: int = 0


def look(
    store: Readable, space: Space, vectors: Sequence[np.ndarray | None], k: int, progress: Progress = silent
) -> Truth:
    """Read a collection once and return the k nearest records of every question, ties by id.

    Raises WrongDimension, UnknownMetric, or Usage for a vector that cannot be compared.
    """
    queries = [None if v is None else checked(v, k, space, store.address) for v in vectors]
    finders = [None if query is None else Nearest(query) for query in queries]
    seen = 0
    for page in store.scan() if any(finders) else ():
        seen += page.records.num_rows
        if page.records.num_rows:
            see(page.records, [finder for finder in finders if finder is not None])
        progress("truth", seen, None)
    nearest = [tuple(finder.hits()) if finder else () for finder in finders]
    return Truth(nearest, [{hit.id: hit.distance for hit in hits} for hits in nearest], queries, seen)


def see(batch: pa.RecordBatch, finders: Sequence[Nearest]) -> None:
    """Show a batch to every question; rows that one product of matrices rules out are not looked at one by one."""
    metric = finders[0].query.metric
    if metric not in (Metric.COSINE, Metric.IP):
        for finder in finders:
            finder.see(batch)
        return
    vectors = vectors_of(batch)
    asked = np.stack([finder.query.vector for finder in finders])
    with np.errstate(all="ignore"):
        apart, margin = -(vectors @ asked.T), _ROUNDING * lengths(vectors).max() * lengths(asked)
        if metric is Metric.COSINE:
            apart = 1 + apart / (lengths(vectors)[:, None] * lengths(asked))
            margin = np.full(len(asked), _ROUNDING)
    for number, finder in enumerate(finders):
        rows = _possible(apart[:, number], finder, float(margin[number]))
        if len(rows):
            finder.see(batch.take(pa.array(rows)))


def _possible(apart: np.ndarray, finder: Nearest, margin: float) -> np.ndarray:
    """Return the rows that may be among the nearest, and those of which float32 cannot tell."""
    # NaN sorts last: where there are not enough numbers, nothing is ruled out.
    k = finder.query.k
    limit = float(np.partition(apart, k - 1)[k - 1]) if len(apart) > k else np.inf
    held = finder.hits()
    limit = min(limit, held[-1].distance) if len(held) == k else limit
    return np.flatnonzero(~(apart > limit + margin) | ~np.isfinite(apart))


def measure(store: Readable, truth: Truth, wanted: Sequence[Iterable[str]]) -> None:
    """Add the distances of further records, wanted per question; one that is not there stays without."""
    missing = [set(names) - known.keys() for names, known in zip(wanted, truth.apart, strict=True)]
    questions: dict[str, list[int]] = {}
    for number, names in enumerate(missing):
        for name in names if truth.queries[number] is not None else ():
            if _is_unicode(name):
                questions.setdefault(name, []).append(number)
    names = sorted(questions)
    for start in range(0, len(names), _FETCHED):
        found = store.fetch(pa.array(names[start : start + _FETCHED], pa.string())).records
        if found.num_rows:
            _note(truth, found, questions)


def _is_unicode(name: str) -> bool:
    """Tell whether a store can hold an id: recorded answers may name anything."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _note(truth: Truth, found: pa.RecordBatch, questions: Mapping[str, list[int]]) -> None:
    vectors = vectors_of(found)
    for row, name in enumerate(found.column("id").to_pylist()):
        for number in questions.get(name, ()):
            query = truth.queries[number]
            if query is not None:
                truth.apart[number][name] = float(distances(vectors[row : row + 1], query)[0])
