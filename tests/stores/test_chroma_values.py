"""Metadata on the way to Chroma and back, without and with the engine."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.canonical import canonical_json
from wherry.stores.chroma.values import BESIDE, URI, from_engine, to_engine

INT64 = 2**63 - 1
NATIVE = [
    {"a": 1, "b": -(2**63), "c": INT64},
    {"a": 1.0, "b": 0.5, "c": -2.25e-5, "d": 123456789.125},
    {"a": True, "b": "", "c": "가\x00"},
    {"a": [1, 2], "b": ["x", ""], "c": [True], "d": [1.5, 2.0]},
]
BESIDES = [
    {},
    {"a": None},
    {"a": {}, "b": 1},
    {"a": {"b": [1, {"c": None}]}},
    {"a": []},
    {"a": [1, "x"]},
    {"a": [1, 1.5]},
    {"a": [True, 1]},
    {"a": [[1]]},
    {"a": INT64 + 1},
    {"a": -(10**40)},
    {"a": -0.0},
    {"a": [-0.0, 1.5]},
    {"a": 1e300, "b": 5e-324, "c": 0.36896982686488805},
    {"": 1},
    {"#document": "x", "$and": 1, "chroma:document": "y", "chroma:uri": 7},
    {BESIDE: "mine"},
    {BESIDE: '{"a": 1}', "other": 1},
    {"a": list(range(5000))},
    {f"k{n}": n for n in range(4500)},
]


def text_of(metadata: Any) -> str:
    return json.dumps(metadata, ensure_ascii=False)


@pytest.mark.parametrize("metadata", NATIVE, ids=range(len(NATIVE)))
def test_what_chroma_holds_is_stored_as_it_is(metadata: dict[str, Any]) -> None:
    assert to_engine(text_of(metadata)) == (metadata, None)


@pytest.mark.parametrize("metadata", NATIVE + BESIDES, ids=range(len(NATIVE + BESIDES)))
def test_what_was_stored_is_read_back(metadata: dict[str, Any]) -> None:
    native, uri = to_engine(text_of(metadata))
    assert canonical_json(from_engine(native, uri) or "") == canonical_json(text_of(metadata))


@pytest.mark.parametrize("metadata", BESIDES, ids=range(len(BESIDES)))
def test_what_chroma_would_change_is_kept_beside(metadata: dict[str, Any]) -> None:
    native, _ = to_engine(text_of(metadata))
    assert native is not None
    assert native[BESIDE] == canonical_json(text_of(metadata))


def test_filters_still_find_the_rest() -> None:
    native, _ = to_engine(text_of({"page": 3, "source": "a.pdf", "parts": {"x": 1}, "score": 1 / 3, "none": None}))
    assert native is not None
    assert {k: v for k, v in native.items() if k != BESIDE} == {"page": 3, "source": "a.pdf", "score": 1 / 3}


def test_no_metadata_is_not_an_empty_object() -> None:
    assert to_engine(None) == (None, None)
    assert from_engine(None, None) is None
    assert from_engine(*to_engine("{}")) == "{}"


def test_a_uri_goes_where_chroma_keeps_it() -> None:
    assert to_engine(text_of({URI: "s3://x"})) == (None, "s3://x")
    assert to_engine(text_of({URI: "s3://x", "a": 1})) == ({"a": 1}, "s3://x")
    assert json.loads(from_engine({"a": 1}, "s3://x") or "") == {URI: "s3://x", "a": 1}
    both = text_of({URI: "s3://x", "a": None})
    assert json.loads(from_engine(*to_engine(both)) or "") == json.loads(both)


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        ({"page": 4}, {"page": 4, "none": None, "score": 0.36896982686488805}),
        ({"page": "3"}, {"page": "3", "none": None, "score": 0.36896982686488805}),
        ({"new": 1}, {"page": 3, "none": None, "score": 0.36896982686488805, "new": 1}),
        ({"page": None}, {"none": None, "score": 0.36896982686488805}),
        ({"score": 0.5}, {"page": 3, "none": None, "score": 0.5}),
        ({"score": 0.3689698268648881}, {"page": 3, "none": None, "score": 0.36896982686488805}),
    ],
    ids=["value", "type", "new-key", "removed", "float", "rounded-by-chroma"],
)
def test_an_edit_by_another_hand_is_seen(edit: dict[str, Any], wanted: dict[str, Any]) -> None:
    native, _ = to_engine(text_of({"page": 3, "none": None, "score": 0.36896982686488805}))
    assert native is not None
    changed = {key: value for key, value in (native | edit).items() if value is not None}
    assert json.loads(from_engine(changed, None) or "") == wanted


def test_a_strangers_key_of_that_name_stays_a_value() -> None:
    assert json.loads(from_engine({BESIDE: "no json", "a": 1}, None) or "") == {BESIDE: "no json", "a": 1}
    assert json.loads(from_engine({BESIDE: 5}, None) or "") == {BESIDE: 5}


@pytest.mark.parametrize("text", ["[1]", "1", '"x"', "{", ""])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own message
        to_engine(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=8) | st.sampled_from([BESIDE, URI, "#a", "$b", "wherry_x"]), VALUES, max_size=5)
)
def test_any_object_comes_back(metadata: dict[str, Any]) -> None:
    try:
        canonical = canonical_json(text_of(metadata))
    except ValueError:
        return
    assert canonical_json(from_engine(*to_engine(canonical)) or "") == canonical


def alone(number: float) -> bool:
    """Tell whether a float is stored natively and nowhere else."""
    return BESIDE not in (to_engine(text_of({"v": number}))[0] or {})


def test_the_engine_agrees_about_floats(tmp_path: Path) -> None:
    """Every float that is stored natively alone comes back bit by bit; others would not, which is why."""
    rng = np.random.default_rng(3)
    short = [float(f"{x:.15g}") for x in rng.normal(size=1500) * 10.0 ** rng.integers(-6, 13, 1500)]
    numbers = [*short, *rng.integers(-(10**14), 10**14, 500).astype(float).tolist()]
    long = rng.normal(size=2000).tolist()
    assert all(
        BESIDE not in (to_engine(text_of({"v": number}))[0] or {}) for number in numbers if 1e-7 <= abs(number) < 1e14
    )

    client = chromadb.PersistentClient(str(tmp_path))
    collection = client.create_collection("floats", embedding_function=None)
    both = numbers + long
    for start in range(0, len(both), 4000):
        part = both[start : start + 4000]
        ids = [f"{start + n}" for n in range(len(part))]
        pairs = [{"v": number, "l": [number, 1.5]} for number in part]
        collection.add(ids=ids, embeddings=np.ones((len(part), 2)), metadatas=pairs)
    found = {int(i): m for i, m in zip(*(collection.get()[k] for k in ("ids", "metadatas")), strict=True)}
    client.close()

    bits = struct.Struct("<d").pack
    exact = [bits(found[n]["v"]) == bits(x) and found[n]["l"] == [x, 1.5] for n, x in enumerate(both)]
    assert not [x for x, kept in zip(both, exact, strict=True) if alone(x) and not kept]
    assert sum(exact[len(numbers) :]) < len(long)
