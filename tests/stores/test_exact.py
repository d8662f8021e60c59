"""Exact search, which every engine is judged by: against the plainest arithmetic there is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UnknownMetric, Usage, WrongDimension
from wherry.record import Page, Record, from_records
from wherry.space import Metric, Space
from wherry.stores import memory, registry
from wherry.stores.base import Index, Searchable
from wherry.stores.exact import Nearest, Whole, checked, distances, search_pages
from wherry.where import Compare

_FLOATS = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3e38, 1e-38, -1e-30, 1e20]) | st.floats(width=32, allow_nan=False)
METRICS = list(Metric)


def plain(metric: Metric, a: list[float], b: list[float]) -> float:
    """Return a distance in Python's own numbers, sums exactly rounded."""
    if metric is Metric.L1:
        return math.fsum(abs(x - y) for x, y in zip(a, b, strict=True))
    if metric is Metric.L2:
        return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    product = math.fsum(x * y for x, y in zip(a, b, strict=True))
    if metric is Metric.IP:
        return -product
    scale = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b))
    return 1.0 if scale == 0 else 1 - product / scale


@pytest.mark.parametrize("metric", METRICS)
@given(data=st.data())
def test_distances_are_right_at_every_size(metric: Metric, data: st.DataObject) -> None:
    floats = _FLOATS.filter(math.isfinite)
    rows = data.draw(st.lists(st.lists(floats, min_size=3, max_size=3), min_size=1, max_size=5))
    wanted = data.draw(st.lists(floats, min_size=3, max_size=3).filter(any))
    vectors = np.array(rows, dtype=np.float32)
    found = distances(vectors, checked(np.array(wanted, dtype=np.float32), 1, Space(3, metric), "here"))
    for row, distance in zip(rows, found, strict=True):
        # What a float32 product can be off by, which cancellation makes visible.
        scale = max(1e-30, sum(abs(x * y) for x, y in zip(row, wanted, strict=True))) if metric is Metric.IP else 1.0
        assert distance == pytest.approx(plain(metric, row, wanted), rel=1e-5, abs=2e-6 * scale)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 45), st.integers(1, 7))
def test_ties_are_ordered_by_id_however_the_pages_fall(values: list[int], k: int, rows: int) -> None:
    records = [Record(f"r{i:02d}", [float(value)]) for i, value in enumerate(values)]
    query = checked(np.array([0.0]), k, Space(1, Metric.L2), "here")
    expected = [r.id for r in sorted(records, key=lambda r: (r.vector[0], r.id))][:k]
    pages = [Page(from_records(records[i : i + rows])) for i in range(0, len(records), rows)]
    assert [hit.id for hit in search_pages(reversed(pages), query)] == expected
    assert [hit.id for hit in Whole(from_records(records)).search(query)] == expected


def test_a_stored_vector_that_is_not_finite_is_the_farthest() -> None:
    found = Nearest(checked(np.array([1.0, 0.0]), 3, Space(2, Metric.COSINE), "here"))
    found.see(from_records([Record("nan", [math.nan, 1]), Record("back", [-1, 0]), Record("zero", [0, 0])]))
    assert [(hit.id, hit.distance) for hit in found.hits()] == [("zero", 1.0), ("back", 2.0), ("nan", math.inf)]
    assert [hit.similarity for hit in found.hits()[:2]] == [0.0, -1.0]


@pytest.mark.parametrize(
    ("vector", "k", "space", "error", "named"),
    [
        ([1.0, 2.0, 3.0], 5, Space(2, Metric.L2), WrongDimension, "3 components"),
        ([[1.0, 2.0]], 5, Space(2, Metric.L2), WrongDimension, "2 axes"),
        ([math.nan, 2.0], 5, Space(2, Metric.L2), Usage, "NaN"),
        ([1e39, 2.0], 5, Space(2, Metric.L2), Usage, "infinity"),
        ([0.0, 0.0], 5, Space(2, Metric.COSINE), Usage, "zero"),
        ([1.0, 2.0], 0, Space(2, Metric.L2), Usage, "k is 0"),
        ([1.0, 2.0], True, Space(2, Metric.L2), Usage, "k is True"),
        ([1.0, 2.0], 5, Space(2, None), UnknownMetric, "metric"),
    ],
)
def test_a_query_that_cannot_be_asked(vector: list, k: int, space: Space, error: type[Exception], named: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(error, match=named) as raised:
        checked(np.array(vector), k, space, "memory:#here")
    assert "memory:#here" in str(raised.value)


def test_memory_sees_what_was_written_since_the_last_search(name: str) -> None:
    store = registry.open_target(f"memory:#{name}")
    assert isinstance(store, Searchable)
    store.prepare(Space(1, Metric.L2), Index(), 3)
    store.upsert(from_records([Record("a", [1.0], "하나", {"p": 1}), Record("b", [2.0], "둘", {"p": 2})]))
    assert [h.id for h in store.search(np.array([2.0]), 5)] == ["b", "a"]
    store.upsert(from_records([Record("c", [2.5], "셋", {"p": 2})]))
    assert [h.id for h in store.search(np.array([2.6]), 5, Compare("p", "eq", 2))] == ["c", "b"]
    store.delete(from_records([Record("c", [0.0])]).column("id"))
    hit = store.search(np.array([2.0]), 1)[0]
    assert (hit.id, hit.similarity, hit.distance, hit.text, hit.metadata) == ("b", 0.0, 0.0, "둘", '{"p": 2}')
    memory.clear()


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_an_archive_is_searched(tmp_path: Path, suffix: str) -> None:
    address = str(tmp_path / f"보관{suffix}")
    store = registry.open_target(address)
    store.prepare(Space(2, Metric.COSINE), Index(), 3)
    store.upsert(from_records([Record("a", [1.0, 0.0]), Record("b", [0.6, 0.8], metadata={"쪽": 3})]))
    assert isinstance(store, Searchable)
    assert [h.id for h in store.search(np.array([1.0, 0.1]), 5)] == ["a", "b"]
    store.finish(Space(2, Metric.COSINE), Index())
    store.close()
    source = registry.open_source(address)
    assert isinstance(source, Searchable)
    assert [h.id for h in source.search(np.array([1.0, 0.0]), 1)] == ["a"]
    found = source.search(np.array([1.0, 0.0]), 5, Compare("쪽", "gte", 3))
    assert [(h.id, round(h.similarity, 6), json.loads(h.metadata or "")) for h in found] == [("b", 0.6, {"쪽": 3})]
    source.close()
