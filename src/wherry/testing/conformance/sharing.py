"""Ranges and portions: what several read or write is the collection, no more and no less."""

from __future__ import annotations

import pyarrow as pa
import pytest

from wherry.stores.base import Partitioned, Shared
from wherry.testing.conformance.place import NO_INDEX, Place, scanned
from wherry.testing.conformance.suite import Suite

ROWS = 61


class Sharing(Suite):
    """`Partitioned` and `Shared`; an engine that is neither skips these."""

    @pytest.mark.parametrize("parts", [1, 2, 7, 500], ids=["1", "2", "7", "500"])
    def test_ranges_hold_every_record_once(self, place: Place, parts: int) -> None:
        """However many are asked for, every record is in exactly one range; none is a promise too."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        if not isinstance(source, Partitioned):
            pytest.skip("the engine cannot be read in ranges")
        ranges = source.ranges(parts)
        assert len(ranges) <= parts
        if not ranges:
            return
        assert source.capabilities.unique_ids
        found = [page.ids.to_pylist() for part in ranges for page in source.scan_range(part, 16)]
        assert sorted(i for ids in found for i in ids) == sorted(batch.column("id").to_pylist())

    def test_ranges_of_nothing(self, place: Place) -> None:
        """An empty collection has no records in any range."""
        source = place.filled(place.sample(0))
        if not isinstance(source, Partitioned):
            pytest.skip("the engine cannot be read in ranges")
        assert [page.read for part in source.ranges(3) for page in source.scan_range(part)] == []

    @pytest.mark.parametrize("early", [False, True], ids=["at the end", "one by one"])
    def test_portions_become_one_collection(self, place: Place, early: bool) -> None:
        """What was written to portions is in the target once they are gathered, and stays when it is finished."""
        name, target, batch = _begun(place)
        with target.exclusive():
            for number, first in enumerate(range(0, ROWS, 20)):
                _write(place, target, number, batch.slice(first, 20))
                if early:
                    target.gather(number)
            target.gather()
            assert target.describe().count == ROWS
            target.finish(place.space(), NO_INDEX)
        target.close()
        place.expect(place.open_source(name), batch)

    def test_portion_taken_over_shows_what_is_in_it(self, place: Place) -> None:
        """Who opens a portion after another finds what that one wrote, and writes on."""
        name, target, batch = _begun(place)
        with target.exclusive():
            _write(place, target, 0, batch.slice(0, 40))
            portion = target.portion(0)
            portion.prepare(place.space(), NO_INDEX, ROWS)
            assert sorted(portion.fetch(batch.column("id")).ids.to_pylist()) == sorted(
                batch.column("id").slice(0, 40).to_pylist()
            )
            portion.upsert(batch.slice(40))
            if portion is not target:
                portion.close()
            target.gather()
            target.finish(place.space(), NO_INDEX)
        target.close()
        place.expect(place.open_source(name), batch)

    def test_portion_shows_and_replaces_what_the_target_holds(self, place: Place) -> None:
        """A worker reads by id what was there before; what it writes replaces that."""
        first, second = place.sample(ROWS), place.sample(20, seed=1)
        name = place.fill(first)
        target = place.target(name)
        if not isinstance(target, Shared):
            pytest.skip("the engine takes one writer at a time")
        with target.exclusive():
            portion = target.portion(0)
            portion.prepare(place.space(), NO_INDEX, ROWS)
            place.expect_fetched(portion, first)
            portion.upsert(second)
            place.expect_fetched(portion, second)
            if portion is not target:
                portion.close()
            target.gather()
            target.finish(place.space(), NO_INDEX)
        target.close()
        place.expect(place.open_source(name), second, first.slice(20))

    def test_portions_of_a_killed_run_are_taken_over(self, place: Place) -> None:
        """What workers left when their run ended without a word is there for the next one."""
        name, target, batch = _begun(place)
        with target.exclusive():
            _write(place, target, 3, batch.slice(0, 30))
        target.close()
        again = place.target(name)
        with again.exclusive():
            assert sorted(i for page in again.ids() for i in page.to_pylist()) == sorted(
                batch.column("id").slice(0, 30).to_pylist()
            )
            again.upsert(batch.slice(30))
            again.finish(place.space(), NO_INDEX)
        assert sum(page.num_rows for page in scanned(again)) == ROWS


def _begun(place: Place) -> tuple[str, Shared, pa.RecordBatch]:
    name = place.name()
    target = place.target(name)
    if not isinstance(target, Shared):
        pytest.skip("the engine takes one writer at a time")
    return name, target, place.sample(ROWS)


def _write(place: Place, target: Shared, number: int, batch: pa.RecordBatch) -> None:
    portion = target.portion(number)
    portion.prepare(place.space(), NO_INDEX, batch.num_rows)
    portion.upsert(batch, absent=True)
    if portion is not target:
        portion.close()
