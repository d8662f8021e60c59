"""Losses: what the plan promises is exactly what happens to the data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.moving.differences import Tolerance, differences
from wherry.moving.losses import Projection, kind_of, possible
from wherry.record import Record, from_records, make_batch, to_records, vectors_of
from wherry.space import Metric
from wherry.stores.base import ALL_KINDS, Capabilities, Kind
from wherry.stores.memory import CAPABILITIES
from wherry.testing.strategies import batches

VECTOR = (1.0, 2.0)


def able(**limits: Any) -> Capabilities:
    """Return memory's capabilities with some of them taken away."""
    return replace(CAPABILITIES, **limits)


def without(*kinds: Kind) -> Capabilities:
    """Return capabilities that lack some kinds of metadata."""
    return able(metadata=ALL_KINDS - set(kinds))


def projected(metadata: dict | None, target: Capabilities) -> tuple[dict | None, Projection]:
    """Return one record's metadata as the target holds it, and what was counted."""
    projection = Projection(target)
    batch = projection.apply(from_records([Record("a", VECTOR, "t", metadata)]))
    return to_records(batch)[0].metadata, projection


def codes(target: Capabilities, source: Capabilities = CAPABILITIES, metric: Metric | None = Metric.L2) -> list[str]:
    """Return the codes of what may be lost."""
    return [loss.code for loss in possible(source, target, metric)]


def test_an_engine_that_keeps_everything_loses_nothing() -> None:
    assert codes(CAPABILITIES) == []
    batch = from_records([Record("a", VECTOR, None, {"a": {"b": [None, -0.0, 2**80]}})])
    projection = Projection(CAPABILITIES)
    assert projection.does_nothing
    assert projection.apply(batch) is batch


def test_what_the_source_lacks_cannot_be_lost() -> None:
    poor = able(metadata=frozenset(), null_text=False, precision_bits=16, integer_bits=64, negative_zero=False)
    assert codes(poor, source=poor) == []


@pytest.mark.parametrize(
    ("target", "code", "severity"),
    [
        (able(precision_bits=16), "precision", "lossy"),
        (able(null_text=False), "null-text", "lossy"),
        (able(integer_bits=64), "long-integers", "lossy"),
        (able(negative_zero=False), "negative-zero", "lossy"),
        (without(Kind.OBJECT), "metadata-object", "lossy"),
        (without(Kind.EMPTY), "metadata-empty-object", "lossy"),
        (able(normalises=frozenset({Metric.L2})), "rounding", "rounding"),
        (able(filterable=frozenset({Kind.TEXT})), "not-filterable", "kept"),
    ],
)
def test_each_weakness_is_one_loss(target: Capabilities, code: str, severity: str) -> None:
    (loss,) = possible(CAPABILITIES, target, Metric.L2)
    assert (loss.code, loss.severity) == (code, severity)
    assert loss.words


def test_rounding_depends_on_the_metric() -> None:
    target = able(normalises=frozenset({Metric.COSINE}))
    assert codes(target, metric=Metric.COSINE) == ["rounding"]
    assert codes(target, metric=Metric.L2) == []
    assert codes(target, source=target, metric=Metric.COSINE) == []


def test_the_worst_comes_first() -> None:
    target = able(filterable=frozenset(), normalises=frozenset({Metric.L2}), null_text=False)
    assert [loss.severity for loss in possible(CAPABILITIES, target, Metric.L2)] == ["lossy", "rounding", "kept"]


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (Kind.NULL, None, ...),
        (Kind.TEXT, "t", ...),
        (Kind.BOOL, True, "true"),
        (Kind.INTEGER, 7, "7"),
        (Kind.FLOAT, 0.5, "0.5"),
        (Kind.LIST, [1, "é"], '[1, "é"]'),
        (Kind.OBJECT, {"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
        (Kind.EMPTY, {}, "{}"),
    ],
)
def test_a_kind_the_target_lacks_is_flattened(kind: Kind, value: Any, held: Any) -> None:
    assert kind_of(value) is kind
    found, projection = projected({"k": value, "other": "x" if kind is not Kind.TEXT else 1}, without(kind))
    assert found is not None
    assert found.get("k", ...) == held
    assert projection.counts == {f"metadata-{kind}": 1}


def test_metadata_of_which_nothing_is_left_is_empty_or_none() -> None:
    assert projected({"a": None}, without(Kind.NULL))[0] == {}
    assert projected({"a": None}, without(Kind.NULL, Kind.EMPTY))[0] is None
    assert projected({}, without(Kind.EMPTY))[0] is None


def test_without_texts_nothing_can_become_text() -> None:
    assert projected({"a": [1], "b": 2}, without(Kind.LIST, Kind.TEXT))[0] == {"b": 2}


def test_integers_and_zeros_are_brought_into_form_at_every_depth() -> None:
    target = able(integer_bits=64, negative_zero=False)
    value = {"a": 2**63, "b": [2**64, {"c": -(2**63) - 1, "d": -0.0}], "e": 2**63 - 1, "f": -0.0, "g": 0.0}
    found, projection = projected(value, target)
    assert json.dumps(found, sort_keys=True) == json.dumps(
        {
            "a": "9223372036854775808",
            "b": ["18446744073709551616", {"c": "-9223372036854775809", "d": 0.0}],
            "e": 2**63 - 1,
            "f": 0.0,
            "g": 0.0,
        }
    )
    assert projection.counts == {"long-integers": 1, "negative-zero": 1}


def test_what_is_no_metadata_passes_as_it_is() -> None:
    texts = ["[1]", '{"a":NaN}', "{", '{"a":"\\ud800"}', None]
    batch = make_batch(list("abcde"), np.ones((5, 2), dtype=np.float32), [None] * 5, texts)
    assert Projection(without(Kind.NULL)).apply(batch).column("metadata").to_pylist() == texts


def test_missing_text_becomes_empty_text() -> None:
    projection = Projection(able(null_text=False))
    batch = projection.apply(from_records([Record("a", VECTOR, None), Record("b", VECTOR, "")]))
    assert batch.column("text").to_pylist() == ["", ""]
    assert (projection.counts, projection.changed) == ({"null-text": 1}, {"null-text": ["a"]})


def test_half_precision_is_counted_where_it_rounds() -> None:
    projection = Projection(able(precision_bits=16))
    batch = projection.apply(from_records([Record("a", (1.0, 0.1)), Record("b", (0.5, -2.0))]))
    assert projection.changed == {"precision": ["a"]}
    assert vectors_of(batch).tolist() == [[1.0, float(np.float16(0.1))], [0.5, -2.0]]


def test_losses_are_counted_with_a_few_examples() -> None:
    target = without(Kind.NULL)
    projection = Projection(target)
    for page in range(3):
        projection.apply(from_records([Record(f"{page}-{i}", VECTOR, None, {"n": None}) for i in range(4)]))
    (loss,) = projection.found(possible(CAPABILITIES, target, None))
    assert (loss.code, loss.records) == ("metadata-null", 12)
    assert loss.examples == ("0-0", "0-1", "0-2", "0-3", "1-0")


def test_a_loss_that_happens_to_no_record_is_not_found() -> None:
    target = able(null_text=False, filterable=frozenset({Kind.TEXT}))
    projection = Projection(target)
    projection.apply(from_records([Record("a", VECTOR, "text")]))
    assert projection.found(possible(CAPABILITIES, target, None)) == []


def test_values_the_target_cannot_filter_on_are_counted_by_what_the_records_hold() -> None:
    target = able(filterable=frozenset({Kind.TEXT, Kind.INTEGER}))
    projection = Projection.between(CAPABILITIES, target)
    projection.apply(
        from_records(
            [
                Record("plain", VECTOR, "t", {"a": "null and {} and [1]", "b": 1}),
                Record("nested", VECTOR, "t", {"a": {"b": 1}}),
                Record("null", VECTOR, "t", {"a": None}),
                Record("empty", VECTOR, "t", {}),
                Record("none", VECTOR, "t", None),
            ]
        )
    )
    (loss,) = projection.found(possible(CAPABILITIES, target, None))
    assert (loss.code, loss.severity, loss.records) == ("not-filterable", "kept", 3)
    assert loss.examples == ("nested", "null", "empty")


LIMITS = st.builds(
    able,
    metadata=st.sets(st.sampled_from(list(Kind))).map(frozenset),
    null_text=st.booleans(),
    negative_zero=st.booleans(),
    integer_bits=st.sampled_from([None, 64, 54]),
    precision_bits=st.sampled_from([16, 32]),
)


@settings(max_examples=20)
@given(batches(2, mild=True), LIMITS)
def test_projecting_twice_is_projecting_once(batch: pa.RecordBatch, target: Capabilities) -> None:
    once = Projection(target).apply(batch)
    again = Projection(target)
    assert differences(once, again.apply(once), Tolerance.EXACT) == []
    assert again.counts == {}


@settings(max_examples=20)
@given(batches(2, mild=True), LIMITS)
def test_a_projected_batch_holds_only_what_the_target_can(batch: pa.RecordBatch, target: Capabilities) -> None:
    for record in to_records(Projection(target).apply(batch)):
        assert target.null_text or record.text is not None
        assert record.metadata != {} or Kind.EMPTY in target.metadata
        assert {kind_of(v) for v in (record.metadata or {}).values()} <= target.metadata


@settings(max_examples=20)
@given(batches(2, mild=True), LIMITS)
def test_exactly_what_is_counted_has_changed(batch: pa.RecordBatch, target: Capabilities) -> None:
    projection = Projection(target)
    after = projection.apply(batch)
    touched = {d.id for d in differences(batch, after, Tolerance.EXACT)}
    assert bool(touched) == bool(projection.counts)
    assert all(set(examples) <= touched for examples in projection.changed.values())


@settings(max_examples=20)
@given(batches(2, mild=True), LIMITS, st.data())
def test_projecting_a_slice_is_a_slice_of_projecting(
    batch: pa.RecordBatch, target: Capabilities, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, batch.num_rows - 1))
    part = batch.slice(start)
    expected = Projection(target).apply(batch).slice(start)
    assert differences(expected, Projection(target).apply(part), Tolerance.EXACT) == []
