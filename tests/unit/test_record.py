"""Batches: what goes in comes out, sliced or not."""

from __future__ import annotations

import gc
import json
import weakref

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.record import (
    Native,
    Page,
    Record,
    Reject,
    Sealed,
    dimension_of,
    from_records,
    make_batch,
    schema,
    to_records,
    vectors_of,
)
from wherry.testing.strategies import batches, records


def values(batch: pa.RecordBatch) -> list[tuple]:
    """Return the records of a batch in a form that == compares bit by bit."""
    return [
        (r.id, np.asarray(r.vector, dtype=np.float32).tobytes(), r.text, json.dumps(r.metadata))
        for r in to_records(batch)
    ]


@settings(max_examples=20)
@given(st.lists(records(4, finite=False), max_size=5))
def test_records_survive_the_way_through_a_batch(rows: list[Record]) -> None:
    assert values(from_records(rows, 4)) == [
        (r.id, np.asarray(r.vector).tobytes(), r.text, json.dumps(r.metadata)) for r in rows
    ]


@settings(max_examples=20)
@given(batches(3), st.data())
def test_a_slice_holds_its_own_rows(batch: pa.RecordBatch, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, batch.num_rows))
    rows = data.draw(st.integers(0, batch.num_rows - start))
    part = batch.slice(start, rows)
    assert vectors_of(part).tobytes() == vectors_of(batch)[start : start + rows].tobytes()
    assert vectors_of(part).shape == (rows, 3)
    assert values(part) == values(batch)[start : start + rows]


def test_vectors_are_used_without_a_copy() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    batch = make_batch(list("abcd"), vectors, [None] * 4, [None] * 4)
    assert np.shares_memory(vectors_of(batch), vectors)
    assert np.shares_memory(vectors_of(batch.slice(1, 2)), vectors)


def test_vectors_of_another_layout_are_brought_into_form() -> None:
    wide = np.arange(12, dtype=np.float64).reshape(3, 4).T
    batch = make_batch(list("abcd"), wide, [None] * 4, [None] * 4)
    assert (vectors_of(batch) == wide).all()
    assert vectors_of(batch).dtype == np.float32


def test_an_empty_batch_knows_its_dimension() -> None:
    batch = from_records([], 7)
    assert (batch.num_rows, dimension_of(batch)) == (0, 7)
    assert vectors_of(batch).shape == (0, 7)
    assert to_records(batch) == []
    assert batch.schema == schema(7)


def test_columns_of_another_string_type_are_cast() -> None:
    ids = pa.array(["a"], type=pa.large_string())
    batch = make_batch(ids, np.ones((1, 2), dtype=np.float32), pa.nulls(1), pa.nulls(1, pa.string()))
    assert batch.schema == schema(2)


def test_a_page_accounts_for_its_rejects() -> None:
    page = Page(from_records([Record("a", [1.0])]), [Reject("b", "MissingVector")])
    assert page.read == 2


def test_parts_of_rows_as_they_arrived_know_their_ids() -> None:
    def decode(rows: pa.ChunkedArray) -> pa.RecordBatch:
        raise AssertionError("nobody asked for the records")

    rows = [pa.chunked_array([pa.array([b"a", b"b"]), pa.array([b"c"])]), pa.chunked_array([pa.array([b"d"])])]
    parts = [Native("letters", each, each.combine_chunks().cast(pa.string()), True, decode) for each in rows]
    whole = Native.joined(parts)
    assert whole is not None
    part = whole.slice(1, 3).take(pa.array([2, 0]))
    assert (part.ids.to_pylist(), part.rows.to_pylist()) == (["d", "b"], [b"d", b"b"])
    assert parts[0].slice(1, 2).ids.to_pylist() == ["b", "c"]


def test_a_page_is_exactly_what_has_its_bytes_and_form() -> None:
    def look(rows: pa.ChunkedArray) -> Page:
        raise AssertionError("what equals sound rows need not be looked at")

    rows = pa.chunked_array([["a", "b"]], pa.binary())
    native = Native("letters", rows, pa.array(["a", "b"]), True, look)
    for page in (Page(Sealed("letters", rows, lambda rows: True, look)), Page(native)):
        assert page.is_exactly(native)
        assert not page.is_exactly(native.slice(1, 1))
    assert not Page(Sealed("numbers", rows, lambda rows: True, look)).is_exactly(native)
    assert not Page(from_records([Record("a", [1.0]), Record("b", [1.0])])).is_exactly(native)


def test_sealed_rows_are_looked_at_once_and_only_when_somebody_asks() -> None:
    looks: list[int] = []

    def look(rows: pa.ChunkedArray) -> Page:
        looks.append(len(rows))
        return Page(make_batch(["a"], np.ones((1, 2), np.float32), [None], [None]), [Reject("b", "MissingVector")])

    def sound(rows: pa.ChunkedArray) -> bool:
        return False

    rows = pa.chunked_array([["a", "b"]], pa.binary())
    page, same = Page(Sealed("letters", rows, sound, look)), Page(Sealed("letters", rows, sound, look))
    assert page.sealed is not None
    assert same.sealed is not None
    assert page.sealed.equals(same.sealed)
    assert not page.sealed.equals(Sealed("numbers", rows, sound, look))
    assert not page.sealed.equals(Sealed("letters", rows.slice(1), sound, look))
    assert (page.read, looks) == (2, [])
    assert page.ids.to_pylist() == ["a"]
    assert ([r.id for r in page.rejects], page.records.num_rows, page.native) == (["b"], 1, None)
    assert (page.read, looks) == (2, [2])


def test_a_page_goes_when_nobody_has_it_any_more() -> None:
    made = from_records([Record("a", [1.0, 2.0], "글", None)], 2)
    rows = pa.chunked_array([pa.array([b"a"])])
    native = Native("letters", rows, pa.array(["a"]), True, lambda rows: made)
    for held in (made, native, Sealed("letters", rows, lambda rows: True, lambda rows: Page(native))):
        page = Page(held)
        assert page.ids.to_pylist() == ["a"]
        assert page.records.num_rows == 1
        left = weakref.ref(page)
        gc.disable()
        try:
            del page
            assert left() is None
        finally:
            gc.enable()
