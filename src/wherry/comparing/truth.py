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
from wherry.space import Space
from wherry.stores.base import Hit, Readable
from wherry.stores.exact import Nearest, Query, checked, distances

_FETCHED = 500


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
        for finder in finders if page.records.num_rows else ():
            if finder is not None:
                finder.see(page.records)
        progress("truth", seen, None)
    nearest = [tuple(finder.hits()) if finder else () for finder in finders]
    return Truth(nearest, [{hit.id: hit.distance for hit in hits} for hits in nearest], queries, seen)


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
