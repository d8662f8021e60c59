"""Marks: what a store says was not touched really was not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from wherry.record import from_records
from wherry.stores.base import Readable, Versioned
from wherry.testing.conformance.place import NO_INDEX, VECTOR, Place
from wherry.testing.conformance.suite import Suite

ROWS = 53
# What becomes of a record with the text "가", the metadata {"a": 1} and the usual vector.
TOUCHES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "text": {"text": "나"},
    "empty-text": {"text": ""},
    "metadata": {"metadata": {"a": 2}},
    "no-metadata": {"metadata": None},
    "vector": {"vector": (*VECTOR[:-1], 8.000001)},
}


class Changes(Suite):
    """`detects_changes`, both ways."""

    def test_marks_come_where_claimed(self, place: Place) -> None:
        """A store that claims it gives marks and answers them; another gives none."""
        source = place.filled(place.sample(ROWS))
        if not place.capabilities.detects_changes:
            assert not isinstance(source, Versioned) or source.mark() is None
            return
        assert isinstance(source, Versioned)
        mark = source.mark()
        assert mark is not None
        assert source.touched(mark) is not None

    def test_mark_finds_little_when_nothing_happens(self, place: Place) -> None:
        """Nothing was written: the count is right, and most records are known to be untouched."""
        name = place.fill(place.sample(ROWS))
        found = _versioned(place, name).touched(_mark(place, name))
        assert found is not None
        assert found.count == ROWS
        assert len(found.ids) < ROWS // 2

    @pytest.mark.parametrize("touched", list(TOUCHES), ids=list(TOUCHES))
    def test_mark_finds_a_touched_record(self, place: Place, touched: str) -> None:
        """A write of any field is found, one that changes nothing may be; most others are not."""
        usual: dict[str, Any] = {"number": 9, "metadata": {"a": 1}}
        neighbours, first = place.sample(9), from_records([place.record(**usual)])
        name = place.fill(pa.Table.from_batches([neighbours, first]).combine_chunks().to_batches()[0])
        mark = _mark(place, name)
        place.fill(from_records([place.record(**usual | TOUCHES[touched])]), name)
        count, ids = _since(place, name, mark, 10)
        assert count == 10
        assert ids is None or set(place.ids(9).to_pylist()) <= ids or touched == "nothing"
        assert ids is None or len(ids) < 10

    def test_mark_finds_an_added_record(self, place: Place) -> None:
        """A new id is found, and the count says that there is one more."""
        name = place.fill(place.sample(10))
        mark = _mark(place, name)
        place.fill(place.sample(1, start=10), name)
        count, ids = _since(place, name, mark, 11)
        assert count == 11
        assert ids is None or set(place.ids(10).to_pylist()) <= ids

    def test_mark_finds_deletions_by_the_count(self, place: Place) -> None:
        """A deleted record is missing in the count, and is not among the ids."""
        name = place.fill(place.sample(10))
        mark = _mark(place, name)
        target = place.target(name)
        target.delete(place.ids(3))
        target.finish(place.space(), NO_INDEX)
        count, ids = _since(place, name, mark, 9)
        assert count == 9
        assert ids is None or not set(place.ids(3).to_pylist()) & ids

    def test_deleted_and_added_again_is_touched(self, place: Place) -> None:
        """An id that comes back is not the record that went."""
        name = place.fill(place.sample(10))
        mark = _mark(place, name)
        target = place.target(name)
        target.delete(place.ids(3))
        target.upsert(place.sample(1, seed=1, start=3), absent=True)
        target.finish(place.space(), NO_INDEX)
        count, ids = _since(place, name, mark, 10)
        assert count == 10
        assert ids is None or set(place.ids(3).to_pylist()) <= ids

    def test_mark_outlives_the_connection(self, place: Place) -> None:
        """A mark is remembered by one run and asked about by another."""
        name = place.fill(place.sample(10))
        source = _versioned(place, name)
        mark = source.mark()
        source.close()
        place.fill(place.sample(1, seed=5, start=4), name)
        assert mark is not None
        _, ids = _since(place, name, mark, 10)
        assert ids is None or set(place.ids(4).to_pylist()) <= ids

    def test_mark_of_a_dropped_collection_proves_nothing(self, place: Place) -> None:
        """The next collection of that name is another one, whatever it holds."""
        name = place.fill(place.sample(5))
        source = _versioned(place, name)
        mark = source.mark()
        source.close()
        place.fixtures.drop(name)
        place.fill(place.sample(5, seed=1), name)
        assert mark is not None
        found = _versioned(place, name).touched(mark)
        assert found is None or set(found.ids.to_pylist()) >= set(place.ids(*range(5)).to_pylist())

    def test_mark_of_another_collection_proves_nothing(self, place: Place) -> None:
        """A mark is only good where it was taken."""
        name, other = place.fill(place.sample(5)), place.fill(place.sample(5))
        mark = _mark(place, other)
        found = _versioned(place, name).touched(mark)
        assert found is None or len(found.ids) == 5


class _Source(Readable, Versioned):
    """A source with both protocols."""


def _versioned(place: Place, name: str) -> _Source:
    if not place.capabilities.detects_changes:
        pytest.skip("detecting changes is not claimed")
    source = place.open_source(name)
    assert isinstance(source, Versioned)
    return source


def _mark(place: Place, name: str) -> str:
    mark = _versioned(place, name).mark()
    assert mark is not None
    return mark


def _since(place: Place, name: str, mark: str, rows: int) -> tuple[int, set[str] | None]:
    """Return the count and the ids touched since a mark; None for the ids of a store that cannot tell."""
    found = _versioned(place, name).touched(mark)
    return (rows, None) if found is None else (found.count, set(found.ids.to_pylist()))
