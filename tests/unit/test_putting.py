"""Records that a program made, into a collection."""

from __future__ import annotations

from pathlib import Path

import pytest

import wherry
from wherry.errors import WrongDimension
from wherry.record import Record, to_records
from wherry.space import Metric, Space

_SPACE = Space(2, Metric.COSINE, "hash", "hash-2")


def _records(count: int) -> list[Record]:
    return [Record(f"r{n}", [1.0, float(n)], f"글 {n}", {"page": n}) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 2001])
def test_every_record_is_there_with_its_space(tmp_path: Path, count: int) -> None:
    address = str(tmp_path / "made.parquet")
    assert wherry.put(iter(_records(count)), address, _SPACE) == count
    store = wherry.open_source(address)
    assert (store.describe().count, store.describe().space.model) == (count, "hash-2")
    assert [r.id for page in store.scan() for r in to_records(page.records)] == [r.id for r in _records(count)]
    store.close()


def test_a_record_replaces_what_was_under_its_id() -> None:
    wherry.put(_records(3), "memory:#twice", _SPACE)
    wherry.put([Record("r1", [0.0, 1.0], "다른 글")], "memory:#twice", _SPACE)
    store = wherry.open_source("memory:#twice")
    found = {r.id: r.text for page in store.scan() for r in to_records(page.records)}
    assert found == {"r0": "글 0", "r1": "다른 글", "r2": "글 2"}


def test_vectors_of_two_models_are_not_mixed() -> None:
    wherry.put(_records(1), "memory:#spaces", _SPACE)
    with pytest.raises(wherry.Refused):
        wherry.put(_records(1), "memory:#spaces", Space(2, Metric.COSINE, "openai", "text-embedding-3-small"))


def test_a_space_without_a_dimension_is_refused() -> None:
    with pytest.raises(wherry.Usage):
        wherry.put([], "memory:#nothing", Space())


def test_a_record_that_cannot_be_held_is_named_before_its_batch_is_written() -> None:
    with pytest.raises(WrongDimension, match="'short' has 1 components"):
        wherry.put([*_records(2), Record("short", [1.0], "글")], "memory:#bad", _SPACE)
    with pytest.raises(wherry.BadRecord, match="cannot hold 'nan'"):
        wherry.put([*_records(2), Record("nan", [1.0, float("nan")], "글")], "memory:#bad", _SPACE)
    assert wherry.open_source("memory:#bad").describe().count == 0
