"""Ids, payloads, lengths and request sizes: the forms records take in Qdrant."""

from __future__ import annotations

import json
import random
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from qdrant_edge import Distance, EdgeConfig, EdgeShard, EdgeVectorParams, Point, ScrollRequest, UpdateOperation

from wherry.canonical import canonical_json
from wherry.stores.packing import joined, packer
from wherry.stores.qdrant.floats import survives
from wherry.stores.qdrant.ids import ID_KEY, clash_in, is_hashed, owner_of, plain, point_of
from wherry.stores.qdrant.payload import METADATA_KEY, Codec, Layout, layout_of
from wherry.stores.qdrant.sending import REQUEST_BYTES, slices
from wherry.stores.qdrant.vectors import from_unit, not_finite, to_unit

UUID_TEXT = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("record_id", "point"),
    [("0", 0), ("5", 5), (str(2**64 - 1), 2**64 - 1), (UUID_TEXT, UUID_TEXT)],
)
def test_own_spellings_are_their_own_points(record_id: str, point: int | str) -> None:
    assert point_of(record_id) == point
    assert owner_of(point, {}) == record_id


@pytest.mark.parametrize(
    "record_id",
    ["0004", "-1", "+5", "5.0", " 5", "٥", "²", str(2**64), "9" * 20, "abc", UUID_TEXT.upper(),
     UUID_TEXT.replace("-", ""), "{" + UUID_TEXT + "}", "urn:uuid:" + UUID_TEXT, "가", "a\x00b", "x" * 5000],
)  # fmt: skip
def test_other_ids_are_hashed_and_come_back(record_id: str) -> None:
    point = point_of(record_id)
    assert is_hashed(point)
    # The engine in this process names it by an object.
    for form in (point, UUID(str(point))):
        payload = {ID_KEY: record_id, "page": 3}
        assert owner_of(form, payload) == record_id
        assert payload == {"page": 3}


def test_the_map_never_changes() -> None:
    """Points that were written by one version must be found by the next."""
    assert point_of("abc") == "a21c06f1-0c9a-8cd0-ac22-b765b259457c"
    assert point_of("0004") == "a4a0ea2b-9fd9-81b8-aab3-b3e312206fb4"


@given(st.text(min_size=1), st.text(min_size=1))
@example("4", "0004")
@example(UUID_TEXT, UUID_TEXT.upper())
def test_two_ids_are_two_points(one: str, other: str) -> None:
    assert (point_of(one) == point_of(other)) == (one == other)


@pytest.mark.parametrize("claimed", ["someone else", "5", UUID_TEXT, 7, None, ""])
def test_a_payload_that_names_a_foreign_id_is_not_believed(claimed: object) -> None:
    point = str(point_of("abc"))
    assert owner_of(point, {ID_KEY: claimed}) is None
    assert owner_of(UUID(point), {ID_KEY: claimed}) is None


def test_a_native_id_is_the_text_of_its_point_whatever_form_that_has() -> None:
    assert owner_of(UUID(UUID_TEXT), {}) == owner_of(UUID_TEXT, {}) == UUID_TEXT
    assert plain(UUID(UUID_TEXT)) == plain(UUID_TEXT) == UUID_TEXT
    assert plain(5) == 5


def test_an_id_that_is_the_hash_of_another_is_seen() -> None:
    forged = str(point_of("abc"))
    ids = ["x", forged, "abc"]
    assert clash_in(ids, [point_of(i) for i in ids]) == (forged, "abc")
    assert clash_in(["x", "x"], [point_of("x")] * 2) is None


_numbers = st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_keys = st.sampled_from(["text", "metadata", "page_content", ID_KEY, METADATA_KEY, "_wherry_norm", "a"]) | st.text()


@given(
    st.none() | st.text(),
    st.none() | st.dictionaries(_keys, _values, max_size=4),
    st.sampled_from([Layout(), Layout("document"), Layout("page_content", nested=True)]),
)
def test_payloads_come_back(text: str | None, metadata: dict | None, layout: Layout) -> None:
    codec = Codec(layout)
    written = None if metadata is None else json.dumps(metadata)
    payload = codec.encode(pa.array([text], pa.string()), pa.array([written], pa.string()))
    assert orjson.loads(orjson.dumps(payload)) == payload, "the engine can hold every value"
    texts, found = codec.decode(payload)
    assert texts == [text]
    assert [None if m is None else canonical_json(m) for m in found] == [
        None if written is None else canonical_json(written)
    ]


@pytest.mark.parametrize(
    ("metadata", "beside"),
    [
        ({"page": 3, "tags": ["a"], "none": None}, {"page": 3, "tags": ["a"], "none": None}),
        ({"page": 3, "text": "mine"}, {"page": 3}),
        ({"page": 3, "long": 2**70}, {"page": 3}),
        ({"score": 1.1579208923731604e77}, {"score": 1.1579208923731604e77}),
    ],
    ids=["plain", "reserved", "long", "float"],
)
def test_filters_find_the_users_own_keys(metadata: dict, beside: dict) -> None:
    [payload] = Codec(Layout()).encode(pa.array(["가"]), pa.array([json.dumps(metadata)]))
    assert payload.pop("text") == "가"
    whole = payload.pop(METADATA_KEY, None)
    assert payload == beside
    assert (whole is None) == (metadata.keys() == beside.keys() and "score" not in metadata)


def test_deep_payloads_never_reach_the_engine() -> None:
    """A payload beyond some 120 levels is taken and then makes the collection unreadable."""
    deep = '{"v":' * 300 + "1" + "}" * 300
    [payload] = Codec(Layout()).encode(pa.array(["가"]), pa.array([deep]))
    assert payload == {"text": "가", METADATA_KEY: deep}


@pytest.mark.parametrize(
    ("payloads", "layout"),
    [
        ([], Layout()),
        ([{}, {"a": 1}], Layout()),
        ([{"document": "x", "a": 1}], Layout("document")),
        ([{"page_content": "x", "metadata": {"a": 1}}, {"page_content": "y", "metadata": None}],
         Layout("page_content", nested=True)),
        ([{"page_content": "x", "source": "s"}], Layout("page_content")),
        ([{"text": 5, "document": "x"}], Layout("document")),
        ([{"text": "x", "document": "x"}], Layout("text")),
    ],
)  # fmt: skip
def test_layouts_of_other_tools_are_recognised(payloads: list[dict], layout: Layout) -> None:
    assert layout_of(payloads) == layout


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_that_survive_are_known(values: list[float]) -> None:
    assert all(survives(v) for v in values if v == int(v) and abs(v) < 2**53 / 10)


def test_floats_are_predicted_exactly_as_the_engine_does(tmp_path) -> None:
    rng = random.Random(3)
    values = [rng.random() * 10.0 ** rng.randint(-300, 300) for _ in range(4000)]
    values += [rng.random() for _ in range(4000)] + [5e-324, 1e22, 1e23, float(2**53), 123456789012345.6]
    shard = EdgeShard.create(str(tmp_path), EdgeConfig(vectors=EdgeVectorParams(size=1, distance=Distance.Dot)))
    shard.update(UpdateOperation.upsert_points([Point(1, [1.0], {"v": values})]))
    [record], _ = shard.scroll(ScrollRequest(limit=1, with_payload=True))
    shard.close()
    assert [a == b for a, b in zip(values, record.payload["v"], strict=True)] == [survives(v) for v in values]


def test_lengths_come_back() -> None:
    rng = np.random.default_rng(1)
    scales = 10.0 ** rng.integers(-35, 35, (300, 1))
    vectors = (rng.standard_normal((300, 16)) * scales).astype(np.float32)
    held, norms = to_unit(vectors)
    lengths = np.linalg.norm(held.astype(np.float64), axis=1)
    assert np.abs(lengths - 1).max() < 1e-6
    back = from_unit(held, norms)
    error = np.linalg.norm(back.astype(np.float64) - vectors, axis=1) / np.linalg.norm(
        vectors.astype(np.float64), axis=1
    )
    assert error.max() < 1e-6


def test_unit_and_zero_vectors_are_left_alone() -> None:
    vectors = np.random.default_rng(2).standard_normal((500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = 0
    held, norms = to_unit(vectors)
    assert np.isnan(norms).all()
    assert held.tobytes() == from_unit(held, norms).tobytes() == vectors.tobytes()


def test_largest_and_smallest_floats_keep_their_length() -> None:
    limits = np.finfo(np.float32)
    tiny = np.array([1], dtype=np.uint32).view(np.float32)[0]
    vectors = np.array([[limits.max] * 4, [tiny, 0, 0, 0], [limits.max, tiny, 0, 0]], dtype=np.float32)
    back = from_unit(*to_unit(vectors))
    assert np.isfinite(back).all()
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    assert (np.abs(back.astype(np.float64) - vectors) <= 1e-6 * lengths).all()


def test_packing_is_exact_for_every_float() -> None:
    bits = np.random.default_rng(3).integers(0, 2**32, 40 * 8, dtype=np.uint32)
    vectors = np.where(np.isnan(bits.view(np.float32)), np.float32(0), bits.view(np.float32)).reshape(40, 8)
    pack = packer(8)
    assert joined([pack(*row) for row in vectors.tolist()], 8).tobytes() == vectors.tobytes()
    assert joined([], 8).shape == (0, 8)


def test_rows_that_are_no_numbers_are_found() -> None:
    vectors = np.ones((5, 3), dtype=np.float32)
    assert not_finite(vectors).tolist() == []
    vectors[1, 2], vectors[3, 0], vectors[4, 0] = np.nan, np.inf, -np.inf
    assert not_finite(vectors).tolist() == [1, 3, 4]


@given(st.lists(st.integers(0, 3_000_000), max_size=40), st.sampled_from([None, 1, 3]))
def test_requests_stay_small_and_cover_everything(widths: list[int], limit: int | None) -> None:
    payloads = [{"text": "x" * width} for width in widths]
    parts = list(slices(payloads, 8, limit))
    assert [row for first, end in parts for row in range(first, end)] == list(range(len(widths)))
    for first, end in parts:
        assert sum(widths[first:end]) <= REQUEST_BYTES or end - first == 1
        assert limit is None or end - first <= limit
