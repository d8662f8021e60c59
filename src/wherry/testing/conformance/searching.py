"""Searching: what a store finds is what comparing every vector finds, and a condition means the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import Usage, WherryError, WrongDimension
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Metric
from wherry.stores.base import Hit, Readable, Searchable
from wherry.stores.exact import Query, checked, distances, similarity
from wherry.testing.conditions import conditions, metadata
from wherry.testing.conformance.hostile import settings_for
from wherry.testing.conformance.place import DIMENSION, NO_INDEX, Place, scanned
from wherry.testing.conformance.suite import Suite
from wherry.where import Compare, Where, decode, matches, parse

# What engines may differ by: they add up in float32, or in 16 bits where that is what they keep.
TOLERANCE = 2e-4
ROWS = 60
_METRICS = list(Metric)


class Searching(Suite):
    """What every store does that can search; others skip this."""

    @pytest.mark.parametrize("metric", _METRICS, ids=[str(metric) for metric in _METRICS])
    def test_search_agrees_with_comparing_everything(self, place: Place, metric: Metric) -> None:
        """Ids, order, distance, similarity, text and metadata are those of a scan, under every metric."""
        if metric not in place.capabilities.metrics:
            pytest.skip(f"the engine does not know {metric}")
        store = searchable(place.filled(place.sample(ROWS), place.space(metric)))
        held, space = _joined(store), _space(store)
        for wanted in _questions(5):
            for k in (1, 7, ROWS):
                for exact in (True, False):
                    expect_nearest(store.search(wanted, k, exact=exact), held, checked(wanted, k, space, ""))

    def test_search_returns_all_there_are_when_asked_for_more(self, place: Place) -> None:
        """k beyond the number of records is no error, and nothing comes twice."""
        store = searchable(place.filled(place.sample(9)))
        for exact in (True, False):
            found = store.search(_questions(1)[0], 50, exact=exact)
            assert sorted(hit.id for hit in found) == sorted(place.ids(*range(9)).to_pylist())

    def test_search_of_an_empty_collection_finds_nothing(self, place: Place) -> None:
        """A collection without records is searched like any other."""
        store = searchable(place.target())
        store.finish(place.space(), NO_INDEX)
        assert searchable(store).search(_questions(1)[0], 3) == []

    def test_search_orders_ties_by_id(self, place: Place) -> None:
        """Of records that are equally near the lesser ids come first, and are the ones that come."""
        records = [place.record(number=n, vector=[1.0] * DIMENSION) for n in range(12)]
        store = searchable(place.filled(from_records(records[::-1])))
        found = store.search(np.ones(DIMENSION) * 2, 5, exact=True)
        assert [hit.id for hit in found] == sorted(record.id for record in records)[:5]

    def test_search_by_a_condition_returns_k_rows_where_k_fit(self, place: Place) -> None:
        """However few fit: a condition takes nothing away from the number of rows."""
        texts = [json.dumps({"n": n, "lang": "ko" if n % 2 else "en"}) for n in range(ROWS)]
        batch = place.sample(ROWS)
        batch = make_batch(batch.column("id"), vectors_of(batch), batch.column("text"), texts)
        store = searchable(place.filled(batch))
        held, space = _joined(store), _space(store)
        for where in map(parse, ({"lang": "ko"}, {"n": {"$gte": 55}}, {"n": 17}, {"n": {"$lt": 0}}, {"m": {"$ne": 1}})):
            for wanted in _questions(2):
                fitting = held.filter(
                    pa.array([matches(where, decode(m)) for m in held.column("metadata").to_pylist()])
                )
                query = checked(wanted, 6, space, "")
                expect_nearest(store.search(wanted, 6, where), fitting, query)
                expect_nearest(store.search(wanted, 6, where, exact=True), fitting, query)

    def test_search_by_any_condition_agrees_with_the_reference(self, place: Place) -> None:
        """Property: an engine's own filters let through exactly what `where.matches` does."""
        store, ids = place.target(), place.ids(*range(8)).to_pylist()
        searching, nul = searchable(store), place.capabilities.nul_in_text

        @settings_for(place, divide=4)
        @given(
            st.lists(metadata(nul), min_size=8, max_size=8),
            st.lists(conditions(), max_size=4),
        )
        def holds(rows: list[dict[str, Any] | None], wheres: list[Where]) -> None:
            for record_id, row in zip(ids, rows, strict=True):
                _replaced(store, Record(record_id, [1.0] * DIMENSION, "가", row))
            held = {r.column("id")[0].as_py(): r for r in _rows(_joined(searching))}
            for where in wheres:
                expected = {i for i, row in held.items() if matches(where, decode(row.column("metadata")[0].as_py()))}
                assert {hit.id for hit in searching.search(np.ones(DIMENSION), 20, where)} == expected, where

        holds()

    def test_search_sees_what_was_just_written(self, place: Place) -> None:
        """A record is found as soon as its write returned, under its new vector, and not after its deletion."""
        store = place.target()
        searching = searchable(store)
        store.upsert(from_records([place.record(number=n, vector=_axis(n)) for n in range(4)]))
        assert searching.search(_axis(2), 1)[0].id == place.ids(2)[0].as_py()
        store.upsert(from_records([place.record(number=2, vector=_axis(7), text="나")]))
        hit = searching.search(_axis(7), 1)[0]
        assert (hit.id, hit.text) == (place.ids(2)[0].as_py(), "나")
        store.delete(place.ids(2))
        assert place.ids(2)[0].as_py() not in {hit.id for hit in searching.search(_axis(7), 10)}

    def test_search_of_a_vector_that_does_not_fit_is_refused(self, place: Place) -> None:
        """Another dimension, a number that is none, a zero without direction, no rows: each is named."""
        store = searchable(place.filled(place.sample(3)))
        for vector, error in (
            (np.ones(DIMENSION + 1), WrongDimension),
            (np.ones((2, DIMENSION)), WrongDimension),
            (np.full(DIMENSION, np.nan), Usage),
            (np.full(DIMENSION, np.inf), Usage),
        ):
            with pytest.raises(error) as raised:
                store.search(vector, 3)
            assert isinstance(raised.value, WherryError)
        with pytest.raises(Usage):
            store.search(np.ones(DIMENSION), 0)

    def test_search_for_a_zero_vector(self, place: Place) -> None:
        """Under cosine it has no direction and is refused; elsewhere it is a vector like any other."""
        store = searchable(place.filled(place.sample(3)))
        if _space(store).metric is not Metric.COSINE:
            assert len(store.search(np.zeros(DIMENSION), 3)) == 3
        if Metric.COSINE in place.capabilities.metrics:
            with pytest.raises(Usage, match="zero"):
                searchable(place.filled(place.sample(3), place.space(Metric.COSINE))).search(np.zeros(DIMENSION), 3)

    def test_search_by_many_threads_at_once(self, place: Place) -> None:
        """Threads share a store, and each gets the answer to its own question."""
        store = searchable(place.filled(place.sample(ROWS)))
        questions = _questions(24)
        expected = [store.search(wanted, 3) for wanted in questions]
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda wanted: store.search(wanted, 3), questions)) == expected

    def test_search_treats_a_condition_as_data(self, place: Place) -> None:
        """Quotes, signs of statements and of patterns in a key or value find nothing and harm nothing."""
        batch = place.sample(5)
        store = searchable(place.filled(batch))
        for text in (
            "'; DROP TABLE x; --",
            '" OR 1=1 --',
            "%",
            "{}",
            "$1",
            "\\",
            "가'나",
            "a\x00b",
            "'||'",
            "]",
            "a]b",
        ):
            for where in (Compare(text, "eq", text), Compare("category", "in", (text,)), Compare("x", "gt", text)):
                assert store.search(_questions(1)[0], 5, where) == []
            assert len(store.search(_questions(1)[0], 5, Compare(text, "ne", text))) == 5
        place.expect(cast(Readable, store), batch)


def searchable(store: object) -> Any:
    """Return a store that can search, with all that it is; skip the test for one that cannot."""
    if not isinstance(store, Searchable):
        pytest.skip("the store does not search")
    return store


def expect_nearest(found: Sequence[Hit], held: pa.RecordBatch, query: Query) -> None:
    """Assert that hits are the k nearest of some records, as far as rounding can tell."""
    apart = dict(zip(held.column("id").to_pylist(), distances(vectors_of(held), query).tolist(), strict=True))
    rows = {row.column("id")[0].as_py(): row for row in _rows(held)}
    scale = max([1.0, *map(abs, apart.values())])
    assert len(found) == min(query.k, len(apart))
    assert len({hit.id for hit in found}) == len(found)
    assert [hit.distance for hit in found] == sorted(hit.distance for hit in found)
    farthest = sorted(apart.values())[len(found) - 1] if found else 0.0
    for hit in found:
        assert hit.distance == pytest.approx(apart[hit.id], abs=TOLERANCE * scale)
        assert apart[hit.id] <= farthest + TOLERANCE * scale
        assert hit.similarity == pytest.approx(similarity(hit.distance, query.metric))
        assert hit.metric is query.metric
        assert hit.text == rows[hit.id].column("text")[0].as_py()
        assert decode(hit.metadata) == decode(rows[hit.id].column("metadata")[0].as_py())


def _replaced(store: Any, record: Record) -> None:
    """Write a record; one whose metadata the engine refuses is written without."""
    try:
        store.upsert(from_records([record]))
    except (WherryError, ValueError):
        store.upsert(from_records([Record(record.id, record.vector, record.text)]))


def _joined(store: Readable) -> pa.RecordBatch:
    batches = scanned(store)
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _rows(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    return [batch.slice(row, 1) for row in range(batch.num_rows)]


def _space(store: Readable) -> Any:
    return store.describe().space


def _questions(count: int) -> np.ndarray:
    return np.random.default_rng(11).normal(size=(count, DIMENSION)).astype(np.float32)


def _axis(number: int) -> np.ndarray:
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[number] = 1.0
    return vector
