"""Screening: what a target cannot hold is set aside with a reason, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.canonical import canonical_metadata
from wherry.moving.screening import Screened, screen
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import IdKind
from wherry.stores.memory import CAPABILITIES
from wherry.testing.strategies import batches

NAN, INF = float("nan"), float("inf")
L2 = Space(dimension=3, metric=Metric.L2)
COSINE = Space(dimension=3, metric=Metric.COSINE)


def screened(*rows: Record, space: Space = L2, **limits: Any) -> Screened:
    """Screen records for an engine like memory, with other limits."""
    return screen(from_records(rows, 3), replace(CAPABILITIES, **limits), space)


def reasons(*rows: Record, space: Space = L2, **limits: Any) -> dict[str, str]:
    """Return id -> reason of what is set aside, after checking that the rest went on."""
    found = screened(*rows, space=space, **limits)
    rejected = {r.id: r.reason for r in found.rejects}
    assert found.records.column("id").to_pylist() == [r.id for r in rows if r.id not in rejected]
    return rejected


def of_ids(*ids: str, **limits: Any) -> dict[str, str]:
    """Screen records that differ in their ids alone."""
    return reasons(*(Record(i, (1.0, 2.0, 3.0)) for i in ids), **limits)


def of_vectors(*vectors: tuple[float, float, float], space: Space = L2, **limits: Any) -> list[int]:
    """Return the numbers of the vectors that are set aside."""
    found = screened(*(Record(str(i), v) for i, v in enumerate(vectors)), space=space, **limits)
    return [int(r.id) for r in found.rejects]


@pytest.mark.parametrize(
    "vector",
    [(NAN, 1, 1), (INF, 1, 1), (-INF, 1, 1), (INF, -INF, 1), (NAN, INF, -INF), (1, 1, NAN), (INF, NAN, 3e38)],
)
def test_a_vector_that_is_not_finite_is_set_aside(vector: tuple[float, float, float]) -> None:
    assert of_vectors((1, 2, 3), vector, (4, 5, 6)) == [1]


def test_infinities_that_cancel_across_rows_are_found() -> None:
    assert of_vectors((INF, 0, 1), (-INF, 0, 1), (1, 1, 1)) == [0, 1]


def test_the_largest_floats_are_finite() -> None:
    largest = float(np.finfo(np.float32).max)
    assert of_vectors(*[(largest, largest, -largest)] * 50) == []


@given(st.lists(st.tuples(*[st.floats(width=32)] * 3), max_size=8))
def test_no_vector_that_is_not_finite_is_missed(vectors: list[tuple[float, float, float]]) -> None:
    assert of_vectors(*vectors) == [i for i, v in enumerate(vectors) if not np.isfinite(v).all()]


@settings(max_examples=20)
@given(batches(3, finite=False), st.data())
def test_screening_a_slice_is_a_slice_of_screening(batch: pa.RecordBatch, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, batch.num_rows))
    part = batch.slice(start, data.draw(st.integers(0, batch.num_rows - start)))
    target = replace(CAPABILITIES, max_id_bytes=4, nul_in_text=False, zero_vectors=False)
    found = screen(part, target, COSINE)
    good = [i for i in range(part.num_rows) if not screen(part.slice(i, 1), target, COSINE).rejects]
    assert found.rows.tolist() == good
    assert found.records.to_pylist() == part.take(pa.array(good, pa.int64())).to_pylist()
    assert canonical_metadata(found.records.column("metadata")).faults == {}
    assert len(found.rejects) + len(good) == part.num_rows


def test_a_zero_vector_is_set_aside_only_where_it_has_no_direction() -> None:
    vectors = ((0, 0, 0), (0, 0, 1), (-0.0, 0, 0))
    assert of_vectors(*vectors, space=COSINE, zero_vectors=False) == [0, 2]
    assert of_vectors(*vectors, space=COSINE, zero_vectors=True) == []
    assert of_vectors(*vectors, space=L2, zero_vectors=False) == []


def test_another_dimension_is_set_aside() -> None:
    rows = [Record("a", (1, 2, 3)), Record("b", (1, 2, 3))]
    assert reasons(*rows, space=Space(dimension=4)) == {"a": "WrongDimension", "b": "WrongDimension"}
    assert reasons(*rows, max_dimension=2) == {"a": "WrongDimension", "b": "WrongDimension"}
    assert reasons(*rows, space=Space(), max_dimension=3) == {}


def test_components_beyond_sixteen_bits_are_set_aside() -> None:
    assert of_vectors((65504, 1, 1), (70000, 1, 1), (1, 1, -1e9), (NAN, 1, 1), precision_bits=16) == [1, 2, 3]


def test_an_empty_id_is_never_held() -> None:
    assert of_ids("a", "") == {"": "BadId"}


def test_the_length_of_an_id_is_counted_in_bytes() -> None:
    assert of_ids("abcd", "abcde", "안녕", max_id_bytes=4) == {"abcde": "BadId", "안녕": "BadId"}


def test_an_integer_id_is_spelled_in_one_way_and_fits_64_bits() -> None:
    good = ("0", "4", "-4", "9223372036854775807", "-9223372036854775808")
    bad = ("04", "+4", "4.0", " 4", "4\n", "-0", "", "a", "٤", "9223372036854775808", "9999999999999999999", "1" * 30)
    assert of_ids(*good, *bad, id_kind=IdKind.INTEGER) == dict.fromkeys(bad, "BadId")


def test_a_uuid_is_spelled_in_one_way() -> None:
    good = "00000000-0000-0000-0000-00000000000a"
    bad = (good.upper(), good.replace("-", ""), f"{{{good}}}", good + "0", good + "\n", "a")
    assert of_ids(good, *bad, id_kind=IdKind.UUID) == dict.fromkeys(bad, "BadId")


def test_nul_is_set_aside_wherever_it_stands() -> None:
    rows = [
        Record("good", (1, 2, 3), "text", {"a": "b"}),
        Record("in\x00id", (1, 2, 3)),
        Record("text", (1, 2, 3), "a\x00b"),
        Record("metadata", (1, 2, 3), None, {"a": "\x00"}),
        Record("key", (1, 2, 3), None, {"\x00": 1}),
        Record("nested", (1, 2, 3), None, {"a": [{"b": "\\\x00"}]}),
        Record("escaped", (1, 2, 3), "\\u0000", {"a": "\\u0000", "b": "\\\\u0000"}),
    ]
    bad = {"in\x00id", "text", "metadata", "key", "nested"}
    assert reasons(*rows, nul_in_text=False) == dict.fromkeys(bad, "BadText")
    assert reasons(*rows, nul_in_text=True) == {}


@given(st.text(st.sampled_from('\x00\\u0a"')), st.text(st.sampled_from('\x00\\u0a"')))
def test_nul_in_metadata_is_found_exactly(key: str, value: str) -> None:
    found = reasons(Record("a", (1, 2, 3), None, {key: value}), nul_in_text=False)
    assert bool(found) == ("\x00" in key + value)


def test_bad_metadata_is_set_aside_with_its_fault() -> None:
    texts = ['{"a":1}', "[1]", '{"a":NaN}', None, '{"a":1,"a":2}', '{"a":"\\ud800"}', '{"a":' * 2000]
    ids = [str(i) for i in range(len(texts))]
    batch = make_batch(ids, np.ones((len(texts), 3), dtype=np.float32), [None] * len(texts), texts)
    found = screen(batch, CAPABILITIES, L2)
    assert [(r.id, r.reason) for r in found.rejects] == [(i, "BadMetadata") for i in ("1", "2", "4", "5", "6")]
    assert all(r.detail for r in found.rejects)
    assert found.records.column("metadata").to_pylist() == ['{"a":1}', None]
    assert found.rows.tolist() == [0, 3]


def test_a_record_with_two_faults_is_set_aside_once() -> None:
    found = screened(Record("", (NAN, 1, 1), "\x00", {"a": "\x00"}), nul_in_text=False)
    assert [r.reason for r in found.rejects] == ["NonFinite"]
    found = screened(Record("", (NAN, 1, 1), None, {"a": NAN}))
    assert [r.reason for r in found.rejects] == ["BadMetadata"]


def test_a_reason_never_shows_the_body() -> None:
    secret = "geheim"
    found = screened(
        Record("a", (1, 2, 3), f"{secret}\x00"), Record("b", (1, 2, 3), None, {secret: "\x00"}), nul_in_text=False
    )
    assert len(found.rejects) == 2
    assert secret not in json.dumps([r.detail for r in found.rejects])


def test_an_empty_batch_passes() -> None:
    found = screened(nul_in_text=False, max_id_bytes=1, precision_bits=16, zero_vectors=False, space=COSINE)
    assert (found.records.num_rows, found.rejects) == (0, [])


def test_a_clean_batch_is_not_copied() -> None:
    batch = from_records([Record("a", (1, 2, 3))])
    assert np.shares_memory(vectors_of(screen(batch, CAPABILITIES, L2).records), vectors_of(batch))


def test_a_source_that_vouches_for_its_metadata_is_still_asked_for_what_no_engine_looks_for() -> None:
    huge, deep, long = '{"a":1' + "0" * 400 + ".5}", '{"a":' * 600 + "1" + "}" * 600, '{"a":"' + "x" * 400 + '"}'
    texts = ['{"a":1}', huge, deep, None, long]
    ids = [str(i) for i in range(len(texts))]
    batch = make_batch(ids, np.ones((len(texts), 3), dtype=np.float32), [None] * len(texts), texts)
    found = screen(batch, CAPABILITIES, L2, replace(CAPABILITIES, checked_metadata=True))
    assert [(r.id, r.reason) for r in found.rejects] == [("1", "BadMetadata"), ("2", "BadMetadata")]
