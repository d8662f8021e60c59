"""Asking the engine in this process for what is near, with a filter in the form of the REST interface."""

from __future__ import annotations

from typing import Any

from qdrant_edge import (
    EdgeShard,
    FieldCondition,
    Filter,
    IsEmptyCondition,
    IsNullCondition,
    MatchValue,
    Query,
    RangeFloat,
    SearchParams,
    SearchRequest,
)

from wherry.stores.qdrant.filters import Form
from wherry.stores.qdrant.searching import Scored, Wanted


def nearest(shard: EdgeShard, wanted: Wanted) -> list[Scored]:
    """Return the points nearest to a vector, nearest first."""
    request = SearchRequest(
        query=Query.Nearest(wanted.vector, using=wanted.using),
        limit=wanted.limit,
        filter=None if wanted.filter is None else as_filter(wanted.filter),
        params=SearchParams(hnsw_ef=wanted.breadth, exact=wanted.exact),
        with_payload=True,
    )
    found = shard.search(request)
    return [Scored(p.id, p.payload or {}, p.score) for p in found]


def as_filter(form: Form) -> Filter:
    """Return the engine's own form of a filter."""
    parts: Any = {name: [_condition(each) for each in form[name]] for name in form}
    return Filter(**parts)


def _condition(form: Form) -> Any:
    if "is_empty" in form:
        return IsEmptyCondition(form["is_empty"]["key"])
    if "is_null" in form:
        return IsNullCondition(form["is_null"]["key"])
    if "match" in form:
        return FieldCondition(form["key"], match=MatchValue(form["match"]["value"]))
    if "range" in form:
        return FieldCondition(form["key"], range=RangeFloat(**form["range"]))
    return as_filter(form)
