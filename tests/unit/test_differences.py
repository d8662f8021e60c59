"""Comparing batches: tolerances that still see a swap, and messages without bodies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.moving.differences import Aligned, Tolerance, align, differences, tolerance_between
from wherry.record import Record, from_records, make_batch
from wherry.space import Metric
from wherry.stores.memory import CAPABILITIES
from wherry.testing.samples import sample
from wherry.testing.strategies import batches

DIMENSIONS = (3, 64, 1536)


def of_vectors(vectors: np.ndarray) -> pa.RecordBatch:
    """Return a batch that differs from others in its vectors alone."""
    rows = len(vectors)
    return make_batch([str(i) for i in range(rows)], vectors.astype(np.float32), [None] * rows, [None] * rows)


def differ(one: np.ndarray, other: np.ndarray, tolerance: Tolerance) -> bool:
    """Tell whether two vectors differ."""
    return bool(differences(of_vectors(one[None, :]), of_vectors(other[None, :]), tolerance))


def of_metadata(one: str | None, other: str | None) -> list[str]:
    """Return what is said about two metadata texts."""
    ones = np.ones((1, 2), dtype=np.float32)
    left, right = make_batch(["a"], ones, [None], [one]), make_batch(["a"], ones, [None], [other])
    return [d.detail for d in differences(left, right, Tolerance.EXACT)]


@settings(max_examples=20)
@given(batches(3), st.data())
def test_a_batch_equals_itself_sliced_and_shuffled(batch: pa.RecordBatch, data: st.DataObject) -> None:
    order = pa.array(data.draw(st.permutations(range(batch.num_rows))), pa.int64())
    pair = align(batch, batch.take(order))
    assert (pair.only_expected.num_rows, pair.only_actual.num_rows) == (0, 0)
    for tolerance in Tolerance:
        assert differences(pair.expected, pair.actual, tolerance) == []


@settings(max_examples=20)
@given(batches(3), st.data())
def test_slices_are_aligned_by_their_own_rows(batch: pa.RecordBatch, data: st.DataObject) -> None:
    rows = batch.num_rows
    start, end = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    low, high = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    pair: Aligned = align(batch.slice(start, end - start), batch.slice(low, high - low))
    ids = batch.column("id").to_pylist()
    mine, theirs = ids[start:end], ids[low:high]
    both = [i for i in mine if i in theirs]
    assert pair.expected.column("id").to_pylist() == pair.actual.column("id").to_pylist() == both
    assert pair.only_expected.column("id").to_pylist() == [i for i in mine if i not in theirs]
    assert pair.only_actual.column("id").to_pylist() == [i for i in theirs if i not in mine]
    assert differences(pair.expected, pair.actual, Tolerance.EXACT) == []


def test_differences_of_slices_name_their_own_rows() -> None:
    mine, theirs = sample(10, seed=1), sample(10, seed=2)
    expected = {d.id for d in differences(mine, theirs, Tolerance.EXACT)}
    found = differences(mine.slice(4, 3), theirs.slice(4, 3), Tolerance.EXACT)
    assert {d.id for d in found} == expected & set(mine.column("id").to_pylist()[4:7])
    assert len(found) >= 3


def test_a_second_record_of_an_id_is_left_over() -> None:
    batch = sample(3)
    doubled = pa.Table.from_batches([batch, batch.slice(1, 1)]).combine_chunks().to_batches()[0]
    pair = align(batch, doubled)
    assert pair.expected.num_rows == 3
    assert pair.only_actual.column("id").to_pylist() == batch.column("id").to_pylist()[1:2]


def test_every_field_that_differs_is_named() -> None:
    left = from_records([Record("a", (1, 2), "x", {"k": 1}), Record("b", (1, 2), "x", {"k": 1})])
    right = from_records([Record("a", (1, 3), "y", {"k": 2}), Record("b", (1, 2), None, None)])
    found = [(d.id, d.kind, d.field) for d in differences(left, right, Tolerance.EXACT)]
    assert found == [
        ("a", "different", "vector"),
        ("a", "different", "text"),
        ("a", "different", "metadata"),
        ("b", "different", "text"),
        ("b", "different", "metadata"),
    ]


def test_another_dimension_is_a_difference_of_every_record() -> None:
    found = differences(sample(3, 4), sample(3, 5), Tolerance.UNIT)
    assert [d.detail for d in found if d.field == "vector"] == ["4 components / 5"] * 3


def test_exact_sees_the_last_bit_and_the_sign_of_zero() -> None:
    one = np.array([1.0, 0.0], dtype=np.float32)
    assert differ(one, np.nextafter(one, np.float32(2)), Tolerance.EXACT)
    assert differ(one, np.array([1.0, -0.0], dtype=np.float32), Tolerance.EXACT)


@pytest.mark.parametrize("tolerance", list(Tolerance))
def test_nan_never_agrees_with_a_number(tolerance: Tolerance) -> None:
    one = np.array([1.0, 2.0], dtype=np.float32)
    for wrong in (np.nan, np.inf, -np.inf):
        other = np.array([1.0, wrong], dtype=np.float32)
        assert differ(one, other, tolerance)
        assert differ(other, one, tolerance)
    payload = np.array([0x7FC00001, 0x3F800000], dtype=np.uint32).view(np.float32)
    assert differ(np.array([np.nan, 1.0], dtype=np.float32), payload, tolerance)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("length", [1e-3, 1.0, 50.0])
def test_unit_tolerance_accepts_the_rounding_of_an_engine(dimension: int, length: float) -> None:
    rng = np.random.default_rng(dimension)
    vectors = rng.standard_normal((50, dimension)).astype(np.float32) * np.float32(length)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    rounded = (vectors / norms).astype(np.float32) * norms
    assert differences(of_vectors(vectors), of_vectors(rounded), Tolerance.UNIT) == []
    assert differences(of_vectors(vectors), of_vectors(vectors * np.float32(1 + 1e-7)), Tolerance.UNIT) == []


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("length", [1e-3, 1.0, 50.0])
def test_unit_tolerance_sees_a_swap_of_near_duplicates(dimension: int, length: float) -> None:
    rng = np.random.default_rng(dimension)
    for _ in range(20):
        one = rng.standard_normal(dimension)
        one /= np.linalg.norm(one)
        # Spread evenly over the components, so that no single one of them gives it away.
        step = rng.choice([-1.0, 1.0], dimension)
        step -= one * (step @ one)
        other = one + 1e-5 * step / np.linalg.norm(step)
        assert differ(one * length, other * length, Tolerance.UNIT)


def test_unit_tolerance_sees_another_length_and_a_zero_vector() -> None:
    one = np.array([3.0, 4.0])
    assert differ(one, one * 1.00001, Tolerance.UNIT)
    assert differ(one, one * 0, Tolerance.UNIT)
    assert differ(one * 0, one, Tolerance.UNIT)
    assert differ(one, -one, Tolerance.UNIT)
    assert not differ(one * 0, one * -0.0, Tolerance.UNIT)


def test_half_tolerance_accepts_rounding_to_sixteen_bits_and_no_more() -> None:
    one = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    half = one.astype(np.float16).astype(np.float32)
    assert not differ(one, half, Tolerance.HALF)
    assert differ(one, one * np.float32(1.002), Tolerance.HALF)
    tiny = np.array([1e-9, 1.0], dtype=np.float32)
    assert not differ(tiny, tiny.astype(np.float16).astype(np.float32), Tolerance.HALF)


def test_the_tolerance_follows_from_both_engines() -> None:
    half = replace(CAPABILITIES, precision_bits=16)
    unit = replace(CAPABILITIES, normalises=frozenset({Metric.COSINE}))
    assert tolerance_between(CAPABILITIES, CAPABILITIES, Metric.COSINE) is Tolerance.EXACT
    assert tolerance_between(half, half, None) is Tolerance.EXACT
    for one, other in ((CAPABILITIES, half), (half, CAPABILITIES)):
        assert tolerance_between(one, other, Metric.L2) is Tolerance.HALF
    for one, other in ((CAPABILITIES, unit), (unit, CAPABILITIES), (unit, unit)):
        assert tolerance_between(one, other, Metric.COSINE) is Tolerance.UNIT
        assert tolerance_between(one, other, Metric.L2) is Tolerance.EXACT
        assert tolerance_between(one, other, None) is Tolerance.EXACT


@pytest.mark.parametrize(
    ("one", "other"),
    [('{"a":1,"b":2}', '{ "b": 2, "a": 1 }'), ('{"a":"é"}', '{"a":"\\u00e9"}'), (None, None), ("{}", "{ }")],
)
def test_metadata_is_compared_by_value(one: str | None, other: str | None) -> None:
    assert of_metadata(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (None, "{}", "none / present"),
        ('{"a":1}', None, "present / none"),
        ('{"a":1}', '{"a":1.0}', "keys: a"),
        ('{"a":1}', '{"a":true}', "keys: a"),
        ('{"a":null}', "{}", "keys: a"),
        ('{"a":0.0,"b":1}', '{"a":-0.0,"b":1}', "keys: a"),
        ("[1]", "[2]", "no JSON object"),
        ("{", "{}", "no JSON object"),
        pytest.param("[" * 100_000, "{}", "no JSON object", id="nesting"),
    ],
)
def test_metadata_that_differs_is_told_by_its_keys(one: str | None, other: str | None, words: str) -> None:
    assert of_metadata(one, other) == [words]


def test_nested_metadata_is_told_by_the_outer_key() -> None:
    deep = '{"a":' + "[" * 450 + "{}" + "]" * 450 + "}"
    assert of_metadata(deep, deep.replace("{}", "1")) == ["keys: a"]


def test_a_message_never_shows_a_body() -> None:
    secret = "geheim"
    left = from_records([Record("a", (1, 2), secret, {"k": secret})])
    right = from_records([Record("a", (1, 3), secret + "!", {"k": secret + "!"})])
    found = differences(left, right, Tolerance.EXACT)
    assert len(found) == 3
    assert secret not in json.dumps([[d.field, d.detail] for d in found])


def test_long_keys_do_not_flood_a_message() -> None:
    one: dict[str, Any] = {"k" * 100_000 + str(i): 1 for i in range(9)}
    (words,) = of_metadata(json.dumps(one), "{}")
    assert len(words) < 500
