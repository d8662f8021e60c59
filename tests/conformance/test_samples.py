"""Samples are the same everywhere, and strategies draw what they say and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from wherry.canonical import digests, total
from wherry.moving.losses import kind_of
from wherry.moving.screening import screen
from wherry.record import Record, to_records
from wherry.space import Metric, Space
from wherry.stores.base import IdKind, Kind
from wherry.stores.memory import CAPABILITIES
from wherry.testing.samples import sample
from wherry.testing.strategies import batches, held_by, records, vectors

quick = settings(max_examples=40, database=None, deadline=None, suppress_health_check=list(HealthCheck))
POOR = replace(
    CAPABILITIES,
    id_kind=IdKind.INTEGER,
    nul_in_text=False,
    null_text=False,
    metadata=frozenset({Kind.TEXT, Kind.INTEGER, Kind.FLOAT}),
    integer_bits=54,
    negative_zero=False,
    precision_bits=16,
)


def test_sample_is_the_same_everywhere() -> None:
    assert total(digests(sample(500, 16, seed=3))) == total(digests(sample(500, 16, seed=3)))
    assert f"{total(digests(sample(50, 8))):032x}" == "80e7375b8fe1ec24888e2bbf863e8d7b"


def test_sample_seed_changes_the_records_but_not_their_ids() -> None:
    one, other = sample(50), sample(50, seed=1)
    assert one["id"].equals(other["id"])
    changed = [a != b for a, b in zip(digests(one), digests(other), strict=True)]
    assert all(changed)


def test_sample_has_everything_there_is() -> None:
    rows = to_records(sample(200))
    assert _kinds(rows) == set(Kind)
    assert {"null", "{}"} <= {json.dumps(row.metadata) for row in rows}
    assert any(row.text is None for row in rows)


def test_sample_keeps_to_what_an_engine_holds() -> None:
    for kind in IdKind:
        batch = sample(60, id_kind=kind, kinds=POOR.metadata, null_text=False)
        held = replace(POOR, id_kind=kind)
        assert screen(batch, held, Space(8, Metric.COSINE)).rejects == []
        assert {kind_of(v) for row in to_records(batch) for v in (row.metadata or {}).values()} <= POOR.metadata
        assert batch["text"].null_count == 0


@quick
@given(batches(4, **held_by(POOR)))
def test_strategy_keeps_to_what_an_engine_holds(batch: Any) -> None:
    assert screen(batch, POOR, Space(4, Metric.COSINE)).rejects == []
    assert "\x00" not in json.dumps(batch.to_pylist(), ensure_ascii=False)
    assert (np.abs(np.stack(batch["vector"].to_pylist())) <= 65504).all()
    for row in to_records(batch):
        assert row.text is not None
        for value in (row.metadata or {}).values():
            assert kind_of(value) in POOR.metadata
            assert not isinstance(value, int) or value.bit_length() < 54
            assert str(value) != "-0.0"


@pytest.mark.parametrize(
    "wanted",
    [
        lambda record: "\x00" in (record.text or ""),
        lambda record: record.text is None and record.metadata == {},
        lambda record: any(v is None for v in (record.metadata or {}).values()),
        lambda record: any(type(v) is int and v.bit_length() > 64 for v in (record.metadata or {}).values()),
        lambda record: any(isinstance(v, list) and len(v) > 8 for v in (record.metadata or {}).values()),
        lambda record: record.id != record.id.strip(),
        lambda record: bool(np.isnan(record.vector).any()),
        lambda record: any(0 < abs(x) < np.finfo(np.float32).tiny for x in record.vector),
    ],
    ids=["nul", "empty", "null", "long-integer", "long-list", "blank-id", "nan", "subnormal"],
)
def test_strategy_draws_what_is_hostile(wanted: Any) -> None:
    drawn: st.SearchStrategy[Record] = records(4, finite=False)
    found = find(drawn, wanted, settings=settings(quick, max_examples=5000, phases=[Phase.generate]))
    assert wanted(found)


@quick
@given(vectors(5))
def test_vectors_are_finite_float32_and_not_zero(vector: np.ndarray) -> None:
    assert (vector.dtype, vector.shape) == (np.float32, (5,))
    assert np.isfinite(vector).all()
    assert vector.any()


def _kinds(rows: list[Record]) -> set[Kind]:
    return {kind_of(value) for row in rows for value in (row.metadata or {}).values()}
