"""What "equal" means: the canonical form of metadata, digests and their sum."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.canonical import (
    DIGEST_BYTES,
    MAX_DEPTH,
    SECURE_DIGEST_BYTES,
    BadMetadata,
    canonical_json,
    canonical_metadata,
    digests,
    secure_digests,
    total,
)
from wherry.record import Native, Record, from_records, make_batch
from wherry.testing.strategies import batches, metadata

KEYS = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def canonical(*texts: str | None) -> list[str | None]:
    """Return the canonical texts of a column of which nothing is faulty."""
    found = canonical_metadata(pa.array(texts, type=pa.string()))
    assert not found.faults
    return found.texts.to_pylist()


def fault_of(text: str) -> str:
    """Return what the column path says is wrong with a text, after checking the strict path."""
    with pytest.raises(BadMetadata):
        canonical_json(text)
    found = canonical_metadata(pa.array(["{}", text, None], type=pa.string()))
    assert set(found.faults) == {1}
    assert found.texts.to_pylist() == ["{}", None, None]
    return found.faults[1]


def reversed_keys(value: Any) -> Any:
    """Return the same JSON value with the keys of every object in reversed order."""
    if isinstance(value, dict):
        return {k: reversed_keys(v) for k, v in reversed(value.items())}
    return [reversed_keys(v) for v in value] if isinstance(value, list) else value


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_fast_path_agrees_with_the_strict_one(value: dict, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert canonical(text) == [canonical_json(text)]


@given(OBJECTS)
def test_canonical_form_keeps_the_value(value: dict) -> None:
    # As texts, because == does not tell 1 from 1.0, True and -0.0.
    again = json.loads(canonical_json(json.dumps(value)))
    assert json.dumps(again, sort_keys=True) == json.dumps(value, sort_keys=True)


@given(OBJECTS)
def test_key_order_and_white_space_do_not_count(value: dict) -> None:
    other = json.dumps(reversed_keys(value), indent=3)
    assert canonical_json(other) == canonical_json(json.dumps(value))


@given(OBJECTS)
def test_canonical_form_is_its_own_canonical_form(value: dict) -> None:
    once = canonical_json(json.dumps(value))
    assert canonical_json(once) == once


@given(metadata())
def test_hostile_metadata_has_a_canonical_form(value: dict | None) -> None:
    if value is not None:
        text = json.dumps(value)
        assert canonical(text) == [canonical_json(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":0}', '{"a":false}'),
        ('{"a":null}', "{}"),
        ('{"a":0.0}', '{"a":-0.0}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":18446744073709551616}', '{"a":18446744073709551617}'),
        ('{"a":18446744073709551616}', '{"a":18446744073709551616.0}'),
        ('{"a":0.1}', '{"a":0.10000000000000002}'),
        ('{"a":"é"}', '{"a":"e\\u0301"}'),
        ('{"a":{}}', '{"a":[]}'),
        ('{"a":{"b":1}}', '{"a":{"b":1.0}}'),
    ],
)
def test_different_values_have_different_forms(one: str, other: str) -> None:
    assert canonical_json(one) != canonical_json(other)
    first, second = canonical(one, other)
    assert first != second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{ "b" : 2, "a" : 1 }'),
        ('{"a":"\\u00e9"}', '{"a":"é"}'),
        ('{"a":1e2}', '{"a":100.0}'),
        ('{"a":-0}', '{"a":0}'),
        ('{"a":"\\/"}', '{"a":"/"}'),
        ('{"a":"\\ud83d\\ude00"}', '{"a":"😀"}'),
    ],
)
def test_spellings_of_one_value_have_one_form(one: str, other: str) -> None:
    assert canonical_json(one) == canonical_json(other)
    first, second = canonical(one, other)
    assert first == second


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '{"a":{"b":1,"b":2}}',
        '{"a:":1,"b":2,"b":3}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":1e400}',
        '{"a":' + "9" * 400 + ".5}",
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}',
        '{"\\udc00":1}',
        "[1]",
        '"text"',
        "1",
        "null",
        "",
        "{",
        '{"a":1}x',
        "{'a':1}",
        "\ufeff{}",
        '{"a":"\x01"}',
    ],
)
def test_what_is_no_metadata_is_a_fault_of_its_row(text: str) -> None:
    assert fault_of(text)


@pytest.mark.parametrize("levels", [1_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_without_end_is_a_fault_not_a_crash(levels: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    fault = fault_of('{"a":' + opening * levels + "1" + closing * levels + "}")
    assert str(MAX_DEPTH) in fault
    assert fault_of('{"a":' + opening * levels)


@pytest.mark.parametrize("levels", [200, 300, MAX_DEPTH - 1])
def test_deep_nesting_has_one_form_on_both_paths(levels: int) -> None:
    text = '{"a":' + "[" * levels + "]" * levels + "}"
    assert canonical(text) == [canonical_json(text)] == [text]


def test_depth_that_is_held_does_not_depend_on_the_depth_of_calls() -> None:
    text = '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"

    def below(calls: int) -> list[str | None]:
        return canonical(text) if calls == 0 else below(calls - 1)

    assert below(200) == [text]


def test_brackets_in_strings_are_no_nesting() -> None:
    text = json.dumps({"a": '[{"' * 400, 'b[{\\"': 1})
    assert json.loads(canonical_json(text)) == json.loads(text)


def test_a_fault_does_not_show_the_body() -> None:
    for text in ('{"a":"geheim"', '{"a":"geheim","a":2}', '["geheim"]', '{"geheim":NaN}'):
        assert "geheim" not in fault_of(text)


def test_a_column_of_nulls_is_its_own_form() -> None:
    column = pa.array([None, None], type=pa.string())
    assert canonical_metadata(column).texts.equals(column)
    assert len(canonical_metadata(pa.array([], type=pa.string())).texts) == 0


One = Callable[..., bytes]


@pytest.fixture(params=[digests, secure_digests])
def one(request: pytest.FixtureRequest) -> One:
    """Return what digests one record, by either digest."""

    def digest(
        record_id: str = "a",
        vector: tuple[float, ...] = (1.0, 2.0),
        text: str | None = "t",
        data: dict | None = None,
    ) -> bytes:
        return request.param(from_records([Record(record_id, vector, text, data)]))[0]

    return digest


def test_digest_differs_with_every_field(one: One) -> None:
    different = [
        one(),
        one(record_id="b"),
        one(vector=(1.0, 2.0000002)),
        one(vector=(1.0, 2.0, 0.0)),
        one(vector=(2.0, 1.0)),
        one(text="u"),
        one(text=""),
        one(text=None),
        one(data={}),
        one(data={"a": None}),
        one(data={"a": 1}),
        one(data={"a": 1.0}),
    ]
    assert len(set(different)) == len(different)
    assert {len(d) for d in different} in ({DIGEST_BYTES}, {SECURE_DIGEST_BYTES})


def test_digest_binds_the_borders_of_the_fields(one: One) -> None:
    assert one("ab", text="c") != one("a", text="bc")
    assert one(text="{}", data=None) != one(text=None, data={})
    assert one("a", text="", data=None) != one("a", text=None, data=None)


def test_digest_binds_the_dimension(one: One) -> None:
    # The same bytes in the same order, cut at another place: the length of a text read as a component.
    four = float(np.frombuffer(b"\x04\x00\x00\x00", "<f4")[0])
    assert one(vector=(1.0,), text="\x00" * 4) != one(vector=(1.0, four), text="")


def test_digest_tells_negative_zero_and_nan_bits_apart(one: One) -> None:
    assert one(vector=(0.0, 1.0)) != one(vector=(-0.0, 1.0))
    assert one(vector=(float("nan"), 1.0)) == one(vector=(float("nan"), 1.0))


@pytest.mark.parametrize("digest", [digests, secure_digests])
def test_digest_does_not_depend_on_the_spelling_of_metadata(digest: Callable) -> None:
    vectors = np.ones((2, 3), dtype=np.float32)
    found = digest(make_batch(["a", "a"], vectors, ["t", "t"], ['{"a":1,"b":2}', '{ "b":2, "a":1}']))
    assert found[0] == found[1]


def test_digest_of_bad_metadata_is_an_error() -> None:
    batch = make_batch(["a"], np.ones((1, 2), dtype=np.float32), [None], ["[1]"])
    with pytest.raises(BadMetadata, match="row 0"):
        digests(batch)


def test_what_has_bad_metadata_has_no_secure_digest() -> None:
    batch = make_batch(["a", "b"], np.ones((2, 2), dtype=np.float32), [None, None], ["[1]", None])
    assert [digest is None for digest in secure_digests(batch)] == [True, False]


def test_secure_digests_of_records_as_they_arrived_bind_their_form() -> None:
    def found(form: str, rows: list[bytes]) -> list[bytes | None]:
        arrived = pa.chunked_array([rows[:2], rows[2:]], pa.binary())
        return secure_digests(Native(form, arrived, pa.array(["any"] * len(rows)), True, lambda r: r))

    rows = [b"x", b"yy", b"", b"x"]
    digests_of_rows = found("form", rows)
    assert digests_of_rows[0] == digests_of_rows[3]
    assert len(set(digests_of_rows)) == 3
    assert not set(digests_of_rows) & set(found("for", [b"m" + row for row in rows]))


@settings(max_examples=20)
@given(batches(3), st.data())
def test_digests_of_a_slice_are_a_slice_of_the_digests(batch: pa.RecordBatch, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, batch.num_rows))
    rows = data.draw(st.integers(0, batch.num_rows - start))
    assert digests(batch.slice(start, rows)) == digests(batch)[start : start + rows]


@settings(max_examples=20)
@given(batches(3), st.randoms())
def test_digests_do_not_depend_on_the_company(batch: pa.RecordBatch, random: Any) -> None:
    order = list(range(batch.num_rows))
    random.shuffle(order)
    whole = digests(batch)
    assert digests(batch.take(pa.array(order))) == [whole[i] for i in order]
    assert [digests(batch.slice(i, 1))[0] for i in order] == [whole[i] for i in order]


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=40))
def test_total_is_the_sum_of_the_digests(values: list[bytes]) -> None:
    assert total(values) == sum(int.from_bytes(v, "big") for v in values) % (1 << 128)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=20), st.randoms())
def test_total_has_no_order_and_sees_a_doubled_pair(values: list[bytes], random: Any) -> None:
    mixed = values[:]
    random.shuffle(mixed)
    assert total(mixed) == total(values)
    extra = b"\x01" * 16
    assert total([*values, extra, extra]) != total(values)
