"""Change tokens: what a store says did not change really did not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from wherry.record import from_records
from wherry.stores.base import Readable, Versioned
from wherry.testing.conformance.place import NO_INDEX, VECTOR, Place
from wherry.testing.conformance.suite import Suite

ROWS, PAGE = 53, 10
# What becomes of a record with the text "가", the metadata {"a": 1} and the usual vector.
TOUCHES: dict[str, dict[str, Any]] = {
    "text": {"text": "나"},
    "empty-text": {"text": ""},
    "metadata": {"metadata": {"a": 2}},
    "no-metadata": {"metadata": None},
    "vector": {"vector": (*VECTOR[:-1], 8.000001)},
}


class Changes(Suite):
    """`detects_changes`, both ways."""

    def test_versions_come_where_claimed(self, place: Place) -> None:
        """Every page carries one token per record, or none does."""
        source = place.filled(place.sample(ROWS))
        claimed = place.capabilities.detects_changes
        for page in [*source.scan(PAGE), source.fetch(place.ids(1, 2))]:
            assert (page.versions is not None) == claimed
            assert not claimed or len(page.versions) == page.records.num_rows
        assert isinstance(source, Versioned) or not claimed

    def test_versions_are_those_of_the_scan(self, place: Place) -> None:
        """Listing the tokens and scanning agree on ids, tokens and order."""
        source = _versioned(place, place.fill(place.sample(ROWS)))
        listed = [pair for chunk in source.versions(PAGE) for pair in _pairs(*chunk)]
        scanned = [pair for page in source.scan(PAGE) for pair in _pairs(page.records["id"], page.versions)]
        assert listed == scanned
        assert len(listed) == ROWS

    def test_versions_stay_when_nothing_happens(self, place: Place) -> None:
        """Reading again, or reopening, gives the same tokens and the same epoch."""
        name = place.fill(place.sample(ROWS))
        first, second = _versioned(place, name), _versioned(place, name)
        assert _tokens(first) == _tokens(second)
        assert first.epoch() == second.epoch()

    @pytest.mark.parametrize("touched", list(TOUCHES), ids=list(TOUCHES))
    def test_touched_record_has_a_new_version(self, place: Place, touched: str) -> None:
        """A change of any field changes the token; the untouched neighbours keep theirs."""
        usual: dict[str, Any] = {"number": 9, "metadata": {"a": 1}}
        neighbours, first = place.sample(9), from_records([place.record(**usual)])
        name = place.fill(pa.Table.from_batches([neighbours, first]).combine_chunks().to_batches()[0])
        before = _tokens(_versioned(place, name))
        place.fill(from_records([place.record(**usual | TOUCHES[touched])]), name)
        after = _tokens(_versioned(place, name))
        assert {i for i in before if before[i] != after[i]} == set(place.ids(9).to_pylist())

    def test_deleted_and_added_again_is_touched(self, place: Place) -> None:
        """An id that comes back is not the record that went."""
        name = place.fill(place.sample(10))
        before = _tokens(_versioned(place, name))
        target = place.target(name)
        target.delete(place.ids(3))
        target.upsert(place.sample(1, seed=1, start=3), absent=True)
        target.finish(place.space(), NO_INDEX)
        after = _tokens(_versioned(place, name))
        assert {i for i in before if before[i] != after[i]} == set(place.ids(3).to_pylist())

    def test_recreated_collection_has_a_new_epoch(self, place: Place) -> None:
        """Tokens of a collection that was dropped say nothing about the next one of its name."""
        name = place.fill(place.sample(5))
        source = _versioned(place, name)
        before = source.epoch()
        source.close()
        place.fixtures.drop(name)
        place.fill(place.sample(5), name)
        assert _versioned(place, name).epoch() != before


class _Source(Readable, Versioned):
    """A source with both protocols."""


def _versioned(place: Place, name: str) -> _Source:
    if not place.capabilities.detects_changes:
        pytest.skip("detecting changes is not claimed")
    source = place.open_source(name)
    assert isinstance(source, Versioned)
    return source


def _tokens(source: _Source) -> dict[str, bytes]:
    return dict(pair for page in source.scan(PAGE) for pair in _pairs(page.records["id"], page.versions))


def _pairs(ids: pa.Array, tokens: pa.Array) -> list[tuple[str, bytes]]:
    return list(zip(ids.to_pylist(), tokens.to_pylist(), strict=True))
