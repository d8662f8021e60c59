"""What a deep verification leaves behind, and what brings it down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import wherry
from wherry.moving.proofs import recall
from wherry.record import Record, from_records
from wherry.space import Metric, Space
from wherry.stores.base import Index, Writable
from wherry.stores.registry import open_target

SPACE = Space(dimension=2, metric=Metric.COSINE)


def filled(address: str) -> Writable:
    store = open_target(address)
    store.prepare(SPACE, Index(), 2)
    store.upsert(from_records([Record("가", [1, 0], "혈당"), Record("나", [0, 1], "혈압")]))
    return store


@pytest.fixture
def source() -> Writable:
    return filled("memory:#source")


def test_a_deep_verification_leaves_a_proof_that_stands(source: Writable) -> None:
    target = filled("memory:#target")
    assert recall(source, target) is None
    wherry.verify(source, target)
    proof = recall(source, target)
    assert proof is not None
    assert proof.count == 2
    assert proof.doubts(source, target) == []


def test_a_first_copy_that_was_read_back_leaves_one_too(source: Writable, tmp_path: Path) -> None:
    target = open_target(str(tmp_path / "guides.parquet"))
    wherry.sync(source, target)
    proof = recall(source, target)
    assert proof is not None
    assert proof.doubts(source, target) == []


@pytest.mark.parametrize("level", ["counted", "ids"])
def test_a_weaker_level_proves_nothing(source: Writable, level: str) -> None:
    target = filled("memory:#target")
    wherry.verify(source, target, level=level)
    assert recall(source, target) is None


def test_two_sides_that_differ_leave_no_proof(source: Writable) -> None:
    target = filled("memory:#target")
    target.upsert(from_records([Record("나", [1, 1], "혈압")]))
    wherry.verify(source, target)
    assert recall(source, target) is None


def test_another_count_brings_a_proof_down(source: Writable) -> None:
    target = filled("memory:#target")
    wherry.verify(source, target)
    target.upsert(from_records([Record("다", [1, 1])]))
    proof = recall(source, target)
    assert proof is not None
    assert "held 2 records and now holds 3" in proof.doubts(source, target)[0]


def test_a_write_that_changes_no_count_brings_it_down_where_the_engine_has_marks(
    source: Writable, tmp_path: Path
) -> None:
    path = tmp_path / "guides.parquet"
    target = open_target(str(path))
    wherry.sync(source, target)
    other = open_target(str(path))
    other.upsert(from_records([Record("나", [1, 1], "혈압")]))
    other.finish(SPACE, Index())
    proof = recall(source, target)
    assert proof is not None
    assert proof.doubts(source, open_target(str(path)))


def test_an_old_proof_is_no_proof(source: Writable) -> None:
    target = filled("memory:#target")
    wherry.verify(source, target)
    proof = recall(source, target)
    assert proof is not None
    old = replace(proof, at=proof.at - 7200)
    assert "120 minutes old" in old.doubts(source, target)[0]
