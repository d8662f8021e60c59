"""Searching a collection: the index finds candidates, what Chroma cannot decide is decided here.

Chroma is asked for k records that pass a filter; those that do not satisfy the condition are dropped, and while k
are missing it is asked for four times as many. Where the index gives fewer than it was asked for, and for an exact
search, every vector is read and compared: Chroma itself has no such search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chromadb.api.models.Collection import Collection as Handle
from chromadb.errors import InternalError

from wherry.record import Page
from wherry.space import Metric
from wherry.stores.base import Hit
from wherry.stores.chroma.filters import Form
from wherry.stores.chroma.values import from_engine
from wherry.stores.exact import Query, search_pages, similarity
from wherry.where import Where, decode, matches

_PARTS: list[Any] = ["distances", "documents", "metadatas", "uris"]
_GROWTH = 4
# What the index says where it cannot reach as many as it is asked for.
_TOO_FEW = "contiguous"
Ask = Callable[[int], list[Hit] | None]


def search(ask: Ask, scan: Callable[[], Iterator[Page]], query: Query, where: Where | None, count: int) -> list[Hit]:
    """Return the k nearest records. ask: the n nearest that pass the filter, None where the index fails.

    count: of all records.
    """
    limit = min(query.k, count)
    while limit:
        found = ask(limit)
        if found is None:
            break
        hits = [hit for hit in found if where is None or matches(where, decode(hit.metadata))]
        if len(hits) >= query.k or (len(found) == limit == count):
            return sorted(hits, key=lambda hit: (hit.distance, hit.id))[: query.k]
        if len(found) < limit:
            # No more pass the filter, or no more are reached by the index: only a look at all tells.
            break
        limit = min(limit * _GROWTH, count)
    return search_pages(scan(), query, where) if count else []


def asked(handle: Handle, query: Query, form: Form | None, limit: int) -> list[Hit] | None:
    """Return the nearest records by the index; None where it cannot reach as many."""
    try:
        found = handle.query(
            query_embeddings=[query.vector],  # type: ignore[arg-type]
            n_results=limit,
            where=form,
            include=_PARTS,
        )
    except InternalError as error:
        if _TOO_FEW not in str(error):
            raise
        return None
    # One question was asked, so each part is a list of one list.
    lists: dict[str, Any] = dict(found)
    rows = zip(*(lists[name][0] for name in ("ids", *_PARTS)), strict=True)
    return [_hit(i, apart, text, from_engine(metadata, uri), query.metric) for i, apart, text, metadata, uri in rows]


def _hit(record_id: str, apart: float, text: str | None, metadata: str | None, metric: Metric) -> Hit:
    # Chroma says the square for l2, and 1 minus the product for ip.
    distance = max(apart, 0.0) ** 0.5 if metric is Metric.L2 else apart - 1.0 if metric is Metric.IP else apart
    return Hit(record_id, similarity(distance, metric), distance, text, metadata, metric)
