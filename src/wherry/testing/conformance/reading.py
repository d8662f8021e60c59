"""Reading: a scan, the list of ids and a fetch tell the same story."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from wherry.errors import NoSuchCollection
from wherry.record import dimension_of, schema
from wherry.stores.base import Readable, sample, scan_to_compare
from wherry.testing.conformance.equality import differences
from wherry.testing.conformance.place import (
    DIMENSION,
    NO_INDEX,
    Place,
    ids_of,
    listed,
    refused_or_done,
    scanned,
)
from wherry.testing.conformance.suite import Suite

# Records and page size of the paging tests: the last page is neither full nor empty.
ROWS, PAGE = 53, 10
# A page of wide rows may hold 16 MiB and the row that crossed the line.
PAGE_BYTES = 16 << 20


class Reading(Suite):
    """What every store can do."""

    def test_source_is_readable(self, place: Place) -> None:
        """A source has every method of the protocol."""
        assert isinstance(place.filled(place.sample(1)), Readable)

    def test_describe_tells_what_is_there(self, place: Place) -> None:
        """Count, existence, dimension and metric are those of what was written."""
        found = place.filled(place.sample(ROWS)).describe()
        assert (found.exists, found.count) == (True, ROWS)
        assert (found.space.dimension, found.space.metric) == (DIMENSION, place.metric)
        assert found.bytes is None or found.bytes > 0

    @pytest.mark.parametrize("rows", [1, PAGE, ROWS, 4096], ids=["one", "uneven", "exact", "one-page"])
    def test_scan_yields_everything_once(self, place: Place, rows: int) -> None:
        """No page size loses the last page or repeats a record."""
        batch = place.sample(ROWS)
        found = scanned(place.filled(batch), rows)
        assert differences([batch], found, place.rule()) == []

    def test_scan_keeps_to_the_page_size(self, place: Place) -> None:
        """No page holds more records than asked for, and none is empty."""
        sizes = [page.num_rows for page in scanned(place.filled(place.sample(ROWS)), PAGE)]
        assert max(sizes) <= PAGE
        assert min(sizes) > 0

    def test_scan_of_wide_records_keeps_pages_small(self, place: Place) -> None:
        """Pages shrink when records are wide, so memory stays flat."""
        batch = _wide(place)
        sizes = [page.nbytes for page in scanned(place.filled(batch, place.space(dimension=dimension_of(batch))))]
        assert sum(sizes) > PAGE_BYTES
        assert max(sizes) <= PAGE_BYTES + 2 * (batch.nbytes // batch.num_rows)

    def test_scan_can_be_repeated_and_abandoned(self, place: Place) -> None:
        """A scan given up half-way leaves nothing behind that stops the next one."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        abandoned = source.scan(PAGE)
        next(abandoned)
        del abandoned
        for _ in range(2):
            assert differences([batch], scanned(source, PAGE), place.rule()) == []

    def test_comparison_reads_what_a_scan_reads(self, place: Place) -> None:
        """Whoever only compares may be given pages of another form, but of the same records."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        pages = list(scan_to_compare(source, PAGE))
        assert [reject for page in pages for reject in page.rejects] == []
        assert max(page.read for page in pages) <= PAGE
        assert differences([batch], [page.records for page in pages], place.rule()) == []

    def test_a_sample_is_some_of_the_records(self, place: Place) -> None:
        """Whoever asks for a few gets that many at most, each as it is; none only where there are none."""
        batch = place.sample(ROWS)
        found = sample(place.filled(batch), PAGE)
        assert found is not None
        assert 0 < found.read <= PAGE
        those = batch.filter(pc.is_in(batch.column("id"), found.ids))
        assert differences([those], [found.records], place.rule()) == []

    def test_batches_have_the_schema_of_records(self, place: Place) -> None:
        """Names, types and lengths are exact, and what is not null is not null."""
        source = place.filled(place.sample(ROWS))
        for batch in [*scanned(source, PAGE), source.fetch(place.ids(1, 2)).records]:
            batch.validate(full=True)
            assert batch.schema.equals(schema(DIMENSION))
            assert batch.column("id").null_count == batch.column("vector").null_count == 0

    def test_metadata_is_the_text_of_a_json_object(self, place: Place) -> None:
        """Metadata comes as JSON text, never as a quoted text of JSON."""
        for batch in scanned(place.filled(place.sample(ROWS))):
            for text in batch.column("metadata").drop_null().to_pylist():
                assert isinstance(json.loads(text), dict)

    def test_ids_are_those_of_the_scan(self, place: Place) -> None:
        """Listing the ids finds exactly what scanning finds."""
        source = place.filled(place.sample(ROWS))
        assert listed(source, PAGE) == ids_of(scanned(source)) == ids_of([place.sample(ROWS)])

    def test_ids_keep_to_the_page_size(self, place: Place) -> None:
        """No chunk of ids is longer than asked for; chunks are arrays of strings."""
        chunks = list(place.filled(place.sample(ROWS)).ids(PAGE))
        assert max(len(chunk) for chunk in chunks) <= PAGE
        assert {chunk.type for chunk in chunks} == {pa.string()}

    def test_fetch_returns_what_is_asked_for(self, place: Place) -> None:
        """A fetch of some ids gives those records and no other."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        place.expect_fetched(source, batch.slice(17, 9))
        place.expect_fetched(source, batch.take(pa.array([52, 0, 31])))

    def test_fetch_leaves_out_what_is_not_there(self, place: Place) -> None:
        """Ids that nobody stored are no error and no record."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        asked = pa.concat_arrays([place.ids(900, 901), batch.column("id").slice(3, 2)])
        assert differences([batch.slice(3, 2)], [source.fetch(asked).records], place.rule()) == []
        assert source.fetch(place.ids(900)).read == 0

    def test_fetch_of_nothing_is_empty(self, place: Place) -> None:
        """An empty list of ids is answered with an empty page, not with everything."""
        page = place.filled(place.sample(ROWS)).fetch(pa.array([], type=pa.string()))
        assert page.read == 0
        assert page.records.schema.equals(schema(DIMENSION))

    def test_fetch_of_a_repeated_id_gives_one_record(self, place: Place) -> None:
        """An id that is asked for twice is one record."""
        batch = place.sample(3)
        asked = pa.concat_arrays([batch.column("id"), batch.column("id")])
        found = place.filled(batch).fetch(asked).records
        assert differences([batch], [found], place.rule()) == []

    def test_fetch_takes_4096_ids(self, place: Place) -> None:
        """Reading back asks for this many at once, and often: it may not take long."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        asked = pa.concat_arrays([place.ids(*range(5000, 5000 + 4096 - ROWS)), batch.column("id")])
        began = time.monotonic()
        assert differences([batch], [source.fetch(asked).records], place.rule()) == []
        assert time.monotonic() - began < 5

    def test_fetch_takes_a_slice(self, place: Place) -> None:
        """Ids may come as a window of a longer array."""
        batch = place.sample(ROWS)
        found = place.filled(batch).fetch(batch.column("id").slice(40, 5)).records
        assert differences([batch.slice(40, 5)], [found], place.rule()) == []

    def test_fetch_works_during_a_scan(self, place: Place) -> None:
        """One open scan does not stop a fetch, nor the fetch the scan."""
        batch = place.sample(ROWS)
        source = place.filled(batch)
        pages = []
        for page in source.scan(PAGE):
            pages.append(page.records)
            place.expect_fetched(source, batch.slice(0, 4))
        assert differences([batch], pages, place.rule()) == []

    def test_empty_collection_reads_as_empty(self, place: Place) -> None:
        """A collection without records exists, and has no record to show."""
        source = place.filled(place.sample(0))
        assert (source.describe().exists, source.describe().count) == (True, 0)
        assert scanned(source) == [] or sum(b.num_rows for b in scanned(source)) == 0
        assert listed(source) == []
        assert source.fetch(place.ids(1)).read == 0
        assert sample(source, PAGE) is None

    def test_rejects_are_told_not_dropped(self, place: Place) -> None:
        """What no batch can hold is counted, listed and named, and the rest still comes."""
        batch = place.sample(ROWS)
        name = place.fill(batch)
        spoilt = place.fixtures.spoil(name)
        source = place.open_source(name)
        pages = list(source.scan(PAGE))
        rejects = [reject for page in pages for reject in page.rejects]
        assert sorted(reject.id for reject in rejects) == sorted(spoilt)
        assert all(reject.reason.isidentifier() for reject in rejects)
        good = batch.filter(pa.array([i not in spoilt for i in batch.column("id").to_pylist()]))
        assert differences([good], [page.records for page in pages], place.rule()) == []
        assert listed(source) == sorted({*ids_of([good]), *spoilt})
        assert source.describe().count == good.num_rows + len(spoilt)
        assert sorted(r.id for r in source.fetch(pa.array(sorted(spoilt))).rejects) == sorted(spoilt)


class Opening(Suite):
    """Opening a source changes nothing, whatever its name."""

    def test_missing_source_is_an_error(self, place: Place) -> None:
        """A mistyped source is an error each time, never a new empty collection."""
        name = place.name()
        for _ in range(2):
            with pytest.raises(NoSuchCollection):
                place.open_source(name).describe()

    def test_missing_source_is_not_created(self, place: Place) -> None:
        """Nothing new lies about after a source could not be opened."""
        before = place.fixtures.listing()
        with pytest.raises(NoSuchCollection):
            place.open_source(place.name()).describe()
        assert place.fixtures.listing() == before

    def test_source_cannot_be_written(self, place: Place) -> None:
        """Whatever methods a source has, none of them changes the collection."""
        batch = place.sample(ROWS)
        name = place.fill(batch)
        source = place.open_source(name)
        for method, arguments in _writes(place):
            if hasattr(source, method):
                with refused_or_done():
                    getattr(source, method)(*arguments)
        source.close()
        place.expect(place.open_source(name), batch)

    def test_address_and_messages_hold_no_secret(self, place: Place) -> None:
        """No password or token of an address shows in what a store says about itself."""
        name, missing = place.fill(place.sample(1)), place.name()
        source = place.open_source(name)
        with pytest.raises(NoSuchCollection) as caught:
            place.open_source(missing).describe()
        shown = [source.address, source.identity, repr(source), repr(source.describe()), str(caught.value)]
        shown.append(repr(caught.value))
        for secret in place.fixtures.secrets:
            assert not any(secret in text for text in shown)

    def test_address_is_one_line(self, place: Place) -> None:
        """A store says where it is, on one line."""
        source = place.filled(place.sample(1))
        assert source.address.strip()
        assert len(source.address.splitlines()) == 1

    def test_identity_is_that_of_the_collection(self, place: Place) -> None:
        """Two sources of one collection have one identity, and no other collection has it."""
        one, other = place.fill(place.sample(1)), place.fill(place.sample(1))
        assert place.open_source(one).identity == place.open_source(one).identity
        assert place.open_source(one).identity != place.open_source(other).identity

    def test_closing_twice_does_nothing(self, place: Place) -> None:
        """A second close is no error."""
        source = place.filled(place.sample(1))
        source.close()
        source.close()


def _wide(place: Place) -> pa.RecordBatch:
    """Return a batch of 20 MiB whose records are wide."""
    if place.fixtures.long_texts_are_slow:
        return place.sample(80, dimension=65_536)
    batch = place.sample(20)
    texts = pa.array([f"{n}" + "가" * ((1 << 20) // 3) for n in range(20)], type=pa.string())
    return batch.set_column(2, batch.schema.field("text"), texts)


def _writes(place: Place) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the methods of a writer, each with arguments that would change the collection."""
    changed = place.sample(ROWS, seed=1)
    return [
        ("prepare", (place.space(), NO_INDEX, 1)),
        ("upsert", (changed,)),
        ("upsert", (place.sample(3, start=500), True)),
        ("delete", (changed.column("id"),)),
        ("finish", (place.space(), NO_INDEX)),
    ]
