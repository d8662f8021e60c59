"""Collections: how they come to be, what is kept beside them, and who may write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pytest

from wherry.errors import Busy, NoSuchCollection, WherryError
from wherry.record import Page
from wherry.space import Metric, Space
from wherry.stores.base import Index, Readable, Writable
from wherry.testing.conformance.equality import differences
from wherry.testing.conformance.place import DIMENSION, NO_INDEX, Place, refused_or_done, scanned
from wherry.testing.conformance.suite import Suite

ROWS, PAGE = 60, 10
HNSW = Index("hnsw", m=9, ef_construction=77)
EVIL_NAMES = {
    "quotes": "a'b\"c`d",
    "statement": 'x"; drop table docs; --',
    "korean": "건강 안내서",
    "dotted": "public.docs",
    "percent": "50%_off",
    "slashes": "../up/and/../away",
    "long": "n" * 200,
    "case": "MixedCase",
}


class Preparing(Suite):
    """A target comes to be in `prepare`, once, with the settings it is given."""

    def test_target_that_is_not_there_can_be_described(self, place: Place) -> None:
        """A target still to be made has no record and does not exist; that is no error."""
        found = place.open_target(place.name()).describe()
        assert (found.exists, found.count) == (False, 0)

    def test_opening_a_target_creates_nothing(self, place: Place) -> None:
        """Only prepare creates: planning against a new target leaves no trace."""
        name = place.name()
        place.open_target(name).describe()
        with pytest.raises(NoSuchCollection):
            place.open_source(name).describe()

    def test_prepare_makes_the_collection(self, place: Place) -> None:
        """After prepare the target exists, is empty, and has its dimension and metric."""
        found = place.target().describe()
        assert (found.exists, found.count) == (True, 0)
        assert (found.space.dimension, found.space.metric) == (DIMENSION, place.metric)

    def test_prepare_again_keeps_the_data(self, place: Place) -> None:
        """Preparing what is there changes nothing, on the same store and on another."""
        name, batch = place.name(), place.sample(ROWS)
        target = place.target(name)
        target.upsert(batch)
        target.prepare(place.space(), NO_INDEX, ROWS)
        place.expect(target, batch)
        target.finish(place.space(), NO_INDEX)
        place.expect(place.target(name), batch)

    def test_prepare_again_keeps_the_settings(self, place: Place) -> None:
        """Another metric for a collection that has one is refused or ignored, never taken."""
        others = sorted(place.capabilities.metrics - {place.metric})
        if not others:
            pytest.skip("the engine has one metric")
        name = place.fill(place.sample(ROWS))
        with refused_or_done():
            place.target(name, place.space(others[0]))
        source = place.open_source(name)
        assert source.describe().space.metric == place.metric
        place.expect(source, place.sample(ROWS))

    def test_writer_and_reader_have_one_identity(self, place: Place) -> None:
        """A target names the same collection as a source of it, before and after it is made."""
        name = place.name()
        before = place.open_target(name).identity
        place.fill(place.sample(1), name)
        assert before == place.open_target(name).identity == place.open_source(name).identity

    @pytest.mark.parametrize("name", EVIL_NAMES.values(), ids=EVIL_NAMES.keys())
    def test_evil_names_work_or_are_refused(self, place: Place, name: str) -> None:
        """A name is a name: it holds its own records and harms no neighbour."""
        neighbour, batch = place.fill(place.sample(ROWS)), place.sample(3)
        try:
            place.fill(batch, name)
        except WherryError:
            pass  # A refusal is an answer too.
        else:
            place.expect(place.open_source(name), batch)
        place.expect(place.open_source(neighbour), place.sample(ROWS))


class Carding(Suite):
    """The space and the index travel with the collection."""

    def test_space_card_comes_back_whole(self, place: Place) -> None:
        """Every field that was recorded is there for whoever opens the collection next."""
        space = place.space(
            provider="가나", model='m"1', model_digest="sha256:0", normalised=False,
            query_prompt="query: ", document_prompt="문서 '1': ",
        )  # fmt: skip
        assert place.filled(place.sample(3), space).describe().space == space

    def test_space_card_does_not_guess(self, place: Place) -> None:
        """What nobody recorded is None, not a usual value."""
        space = place.space()
        assert place.filled(place.sample(3), space).describe().space == space

    @pytest.mark.parametrize("metric", list(Metric), ids=[str(m) for m in Metric])
    def test_metric_is_kept_or_refused(self, place: Place, metric: Metric) -> None:
        """A metric the engine claims is kept; one it denies is refused before anything is made."""
        name, space = place.name(), Space(dimension=DIMENSION, metric=metric)
        if metric in place.capabilities.metrics:
            place.fill(place.sample(3), name, space)
            assert place.open_source(name).describe().space.metric == metric
            return
        with pytest.raises(WherryError):
            place.target(name, space)
        with pytest.raises(NoSuchCollection):
            place.open_source(name).describe()

    def test_index_parameters_are_kept(self, place: Place) -> None:
        """Links and build breadth come from the source: the target tells them to the next one."""
        name, space = place.name(), place.space()
        target = place.open_target(name)
        target.prepare(space, HNSW, ROWS)
        target.upsert(place.sample(ROWS))
        target.finish(space, HNSW)
        place.expect(target, place.sample(ROWS))
        assert target.describe().index == HNSW
        target.close()
        assert place.open_source(name).describe().index == HNSW


class Holding(Suite):
    """One writer at a time."""

    def test_second_writer_is_told_at_once(self, place: Place) -> None:
        """A held collection raises Busy within two seconds, and is free again afterwards."""
        name = place.fill(place.sample(3))
        first, second = place.open_target(name), place.open_target(name)
        with first.exclusive():
            began = time.monotonic()
            with pytest.raises(Busy), second.exclusive():
                pass
            assert time.monotonic() - began < 2
        with second.exclusive():
            pass

    def test_hold_ends_with_an_error(self, place: Place) -> None:
        """A run that fails does not lock the collection for ever."""
        name = place.fill(place.sample(3))
        first, second = place.open_target(name), place.open_target(name)
        with pytest.raises(ZeroDivisionError), first.exclusive():
            raise ZeroDivisionError
        with second.exclusive():
            pass

    def test_whole_run_inside_a_hold(self, place: Place) -> None:
        """The holder itself can make, write, read and finish the collection."""
        name, batch = place.name(), place.sample(ROWS)
        target = place.target(name)
        with target.exclusive():
            target.prepare(place.space(), NO_INDEX, ROWS)
            target.upsert(batch, absent=True)
            place.expect_fetched(target, batch)
            target.finish(place.space(), NO_INDEX)
        place.expect(place.open_source(name), batch)

    def test_hold_does_not_reach_the_neighbour(self, place: Place) -> None:
        """Another collection can be written, and the held one can be read."""
        held, free = place.fill(place.sample(ROWS)), place.target()
        with place.open_target(held).exclusive(), free.exclusive():
            place.expect(place.open_source(held), place.sample(ROWS))


class Moving(Suite):
    """Reading while somebody writes."""

    def test_scan_loses_nothing_while_rows_vanish_behind_it(self, place: Place) -> None:
        """Deleting what was already read must not make the scan skip what was not."""
        batch = place.sample(ROWS)
        with _changing(place, batch) as (pages, target):
            for page in pages:
                target.delete(page.records.column("id"))
                _publish(place, target)
        assert differences([batch], [page.records for page in pages.seen], place.rule()) == []

    def test_scan_shows_each_untouched_record_once(self, place: Place) -> None:
        """Records that nobody touched are all there, once, whatever happens around them."""
        batch = place.sample(ROWS)
        changed, added = place.sample(10, seed=5, start=50), place.sample(10, start=200)
        with _changing(place, batch) as (pages, target):
            next(pages)
            target.upsert(changed)
            target.upsert(added)
            target.delete(place.ids(40, 41))
            _publish(place, target)
            list(pages)
        touched = {
            *place.ids(40, 41).to_pylist(),
            *changed.column("id").to_pylist(),
            *added.column("id").to_pylist(),
        }
        found = [_without(page.records, touched) for page in pages.seen]
        assert differences([_without(batch, touched)], found, place.rule()) == []

    def test_snapshot_scan_is_as_claimed(self, place: Place) -> None:
        """A snapshot shows one moment; without one, a change ahead of the scan is seen."""
        batch = place.sample(ROWS)
        with _changing(place, batch) as (pages, target):
            next(pages)
            seen = set(pages.seen[0].records.column("id").to_pylist())
            target.delete(_without(batch, seen).column("id"))
            _publish(place, target)
            list(pages)
        same = differences([batch], [page.records for page in pages.seen], place.rule()) == []
        assert same == place.capabilities.snapshot_scan

    def test_two_scans_agree_on_the_order(self, place: Place) -> None:
        """Where the order is claimed to be stable, page sizes and reopening do not change it."""
        if not place.capabilities.stable_order:
            pytest.skip("no order is claimed")
        name = place.fill(place.sample(ROWS))
        target = place.target(name)
        target.upsert(place.sample(5, seed=1, start=20))
        target.finish(place.space(), NO_INDEX)
        target.close()
        orders = [_order(place.open_source(name), rows) for rows in (PAGE, 7, 4096)]
        assert orders[0] == orders[1] == orders[2]

    def test_scan_write_and_fetch_in_three_threads(self, place: Place) -> None:
        """One scan, one writer and one reader may use a target at the same time."""
        target, batch = place.target(), place.sample(200)
        target.upsert(batch.slice(0, 100))
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(act, place, target, batch) for act in (_scan_often, _write_often, _fetch_often)]
            for job in jobs:
                job.result(timeout=60)
        place.expect(target, batch)


class _Pages:
    """A scan that remembers the pages it gave."""

    def __init__(self, scan: Iterator[Page]) -> None:
        self.scan = scan
        self.seen: list[Page] = []

    def __iter__(self) -> _Pages:
        return self

    def __next__(self) -> Page:
        page = next(self.scan)
        self.seen.append(page)
        return page


@contextmanager
def _changing(place: Place, batch: pa.RecordBatch) -> Iterator[tuple[_Pages, Writable]]:
    """Give a scan of a filled collection, and a writer of the same collection."""
    name = place.fill(batch)
    source, target = place.open_source(name), place.target(name)
    yield _Pages(source.scan(PAGE)), target


def _publish(place: Place, target: Writable) -> None:
    target.finish(place.space(), NO_INDEX)


def _without(batch: pa.RecordBatch, ids: set[str]) -> pa.RecordBatch:
    return batch.filter(pa.array([i not in ids for i in batch.column("id").to_pylist()], type=pa.bool_()))


def _order(source: Readable, rows: int) -> list[str]:
    return [i for batch in scanned(source, rows) for i in batch.column("id").to_pylist()]


def _scan_often(place: Place, target: Writable, batch: pa.RecordBatch) -> None:
    for _ in range(5):
        found = pa.Table.from_batches(scanned(target, PAGE))
        assert found.num_rows >= 100


def _write_often(place: Place, target: Writable, batch: pa.RecordBatch) -> None:
    for start in range(100, 200, 10):
        target.upsert(batch.slice(start, 10), absent=True)


def _fetch_often(place: Place, target: Writable, batch: pa.RecordBatch) -> None:
    for start in range(0, 100, 10):
        place.expect_fetched(target, batch.slice(start, 10))
