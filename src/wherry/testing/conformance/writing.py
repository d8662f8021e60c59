"""Writing: what was written is there, replaced whole, deleted exactly, and still there tomorrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wherry.canonical import digests
from wherry.errors import WherryError
from wherry.record import Record, from_records, make_batch
from wherry.stores.base import Kind, Writable
from wherry.testing.conformance.place import DIMENSION, NO_INDEX, VECTOR, Place, ids_of, listed
from wherry.testing.conformance.suite import Suite

ROWS = 53


class Upserting(Suite):
    """An upsert stores records, each replacing whatever was under its id."""

    def test_target_is_writable(self, place: Place) -> None:
        """A target has every method of the protocol."""
        assert isinstance(place.target(), Writable)

    def test_upsert_is_seen_at_once(self, place: Place) -> None:
        """After each write the target counts, lists, scans and fetches what was written so far."""
        target, batch = place.target(), place.sample(ROWS)
        for start in range(0, ROWS, 20):
            part = batch.slice(start, 20)
            target.upsert(part)
            place.expect_fetched(target, part)
            place.expect(target, batch.slice(0, start + 20))
            assert target.describe().exists

    def test_fetch_picks_out_of_what_was_just_written(self, place: Place) -> None:
        """Records that lie apart are read back as written, before `finish` too."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch.slice(0, 30))
        target.upsert(batch.slice(30))
        place.expect_fetched(target, batch.take(pa.array([40, 2, 31, 25, 7, ROWS - 1])))

    def test_upsert_into_an_empty_place_by_the_bulk_path(self, place: Place) -> None:
        """absent=True stores the same records as absent=False."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch.slice(0, 30), absent=True)
        target.upsert(batch.slice(30), absent=True)
        place.expect(target, batch)

    def test_upsert_after_the_bulk_path_replaces(self, place: Place) -> None:
        """Records that came by the bulk path are replaced like any other."""
        target, newer = place.target(), place.sample(30, seed=1)
        target.upsert(place.sample(ROWS), absent=True)
        target.upsert(newer)
        place.expect(target, newer, place.sample(ROWS).slice(30))

    def test_upsert_twice_is_upsert_once(self, place: Place) -> None:
        """The same batch again changes nothing: that is how a run is resumed."""
        target, batch = place.target(), place.sample(ROWS)
        for _ in range(2):
            target.upsert(batch)
        place.expect(target, batch)

    def test_upsert_of_old_and_new_together(self, place: Place) -> None:
        """One batch may replace some records and add others."""
        target, newer = place.target(), place.sample(40, seed=1, start=20)
        target.upsert(place.sample(30))
        target.upsert(newer)
        place.expect(target, place.sample(30).slice(0, 20), newer)

    def test_upsert_of_nothing_does_nothing(self, place: Place) -> None:
        """An empty batch is no error."""
        target, batch = place.target(), place.sample(3)
        target.upsert(batch.slice(0, 0))
        target.upsert(batch)
        target.upsert(batch.slice(0, 0), absent=True)
        place.expect(target, batch)

    def test_upsert_of_a_slice_stores_that_slice(self, place: Place) -> None:
        """A batch may be a window of a longer one: offsets count, for vectors too."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch.slice(10, 7))
        target.upsert(batch.slice(31, 5), absent=True)
        place.expect(target, batch.slice(10, 7), batch.slice(31, 5))

    def test_upsert_leaves_the_batch_alone(self, place: Place) -> None:
        """The caller's batch is the same after the write: it is compared with what reads back."""
        target, batch = place.target(), place.sample(ROWS)
        before = digests(batch)
        target.upsert(batch)
        assert digests(batch) == before

    def test_upsert_keeps_every_batch_it_was_given(self, place: Place) -> None:
        """A later batch never overwrites the buffers of an earlier one."""
        target = place.target()
        parts = [place.sample(7, start=start) for start in range(0, 70, 7)]
        for part in parts:
            target.upsert(part)
        place.expect(target, *parts)

    def test_upsert_of_another_dimension_is_refused(self, place: Place) -> None:
        """Vectors of another length are an error of Wherry, and what was there stays."""
        target, batch = place.target(), place.sample(5)
        target.upsert(batch)
        with pytest.raises(WherryError):
            target.upsert(place.sample(5, start=5, dimension=DIMENSION + 1))
        place.expect(target, batch)

    @pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "infinity"])
    def test_upsert_of_a_vector_that_is_no_number(self, place: Place, value: float) -> None:
        """NaN and infinities are refused or kept, never turned into something else."""
        vectors = np.ones((1, DIMENSION), dtype=np.float32)
        vectors[0, 3] = value
        batch = make_batch(place.ids(1), vectors, ["가"], [None])
        target = place.target()
        try:
            target.upsert(batch)
        except WherryError:
            assert listed(target) == []
        else:
            place.expect_fetched(target, batch)

    def test_batch_of_the_largest_size(self, place: Place) -> None:
        """A batch of max_batch records works; Wherry never sends more than 4,096."""
        rows = min(4096, place.capabilities.max_batch or 4096)
        target, batch = place.target(), place.sample(rows, dimension=DIMENSION)
        target.upsert(batch, absent=True)
        place.expect(target, batch)

    def test_batch_beyond_the_largest_size(self, place: Place) -> None:
        """One record more than max_batch is split or refused, never cut."""
        limit = place.capabilities.max_batch
        if limit is None or limit > 10_000:
            pytest.skip("no limit that Wherry could meet")
        target, batch = place.target(), place.sample(limit + 1)
        try:
            target.upsert(batch)
        except WherryError:
            assert set(listed(target)) <= set(ids_of([batch]))
        else:
            place.expect(target, batch)


class Replacing(Suite):
    """Nothing of the old record stays behind."""

    @pytest.mark.parametrize(
        "change",
        [
            ({"a": 1, "b": 2}, {"b": 3}),
            ({"a": 1}, {"c": "x"}),
            ({"a": 1}, None),
            (None, {"a": 1}),
            ({"a": 1}, {"a": "1"}),
            ({"a": 1}, {"a": 1.0}),
            ({"a": True}, {"a": 1}),
        ],
        ids=["fewer-keys", "other-key", "none", "from-none", "text", "float", "integer"],
    )
    def test_metadata_is_replaced(self, place: Place, change: tuple[dict | None, dict | None]) -> None:
        """A key that vanished is gone, and a value of another kind is that value."""
        place.need(Kind.INTEGER, Kind.FLOAT, Kind.TEXT, Kind.BOOL)
        _replace(place, *[place.record(metadata=metadata) for metadata in change])

    def test_metadata_to_and_from_an_empty_object(self, place: Place) -> None:
        """No metadata and an empty object are two different things, both ways."""
        place.need(Kind.EMPTY, Kind.INTEGER)
        steps = ({"a": 1}, {}, None, {}, {"a": 1})
        _replace(place, *[place.record(metadata=metadata) for metadata in steps])

    def test_null_value_and_missing_key_replace_each_other(self, place: Place) -> None:
        """A key with null is not a key that is missing."""
        place.need(Kind.NULL, Kind.INTEGER)
        steps = ({"a": 1, "b": None}, {"a": 1}, {"a": None}, {"b": 2})
        _replace(place, *[place.record(metadata=metadata) for metadata in steps])

    def test_text_is_replaced(self, place: Place) -> None:
        """A text becomes another, empty, or none, and comes back."""
        texts = ["가나다", "가", "", "나"] if not place.capabilities.null_text else ["가", None, "", None, "나"]
        _replace(place, *[Record(place.ids(1)[0].as_py(), VECTOR, text, {"a": 1}) for text in texts])

    def test_vector_is_replaced(self, place: Place) -> None:
        """The vector is the new one, also when everything else stays."""
        steps = ([1.0] * DIMENSION, [-2.5, 3.5] * (DIMENSION // 2), [0.0] * (DIMENSION - 1) + [1.0])
        _replace(place, *[place.record(vector=vector) for vector in steps])


class Deleting(Suite):
    """A delete removes exactly the records with these ids."""

    def test_delete_removes_exactly_these(self, place: Place) -> None:
        """The others stay as they were, and the count follows."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch)
        target.delete(batch.column("id").slice(20, 10))
        place.expect(target, batch.slice(0, 20), batch.slice(30))
        assert target.fetch(batch.column("id").slice(20, 10)).read == 0

    def test_delete_knows_no_prefixes(self, place: Place) -> None:
        """`a` is not `ab`, `4` is not `0004`, `%` is no pattern."""
        place.need_text_ids()
        kept = ["ab", "a%", "A", "0004", "4.0", "_", "a b", "a "]
        gone = ["a", "4", "%", "*"]
        rows = [Record(record_id, VECTOR, record_id) for record_id in kept + gone]
        target, batch = place.target(), from_records(rows)
        target.upsert(batch)
        target.delete(pa.array(gone))
        place.expect(target, batch.slice(0, len(kept)))

    def test_delete_ignores_what_is_not_there(self, place: Place) -> None:
        """Unknown ids, no ids at all and the same id twice are no errors."""
        target, batch = place.target(), place.sample(6)
        target.upsert(batch)
        target.delete(place.ids(800, 801))
        target.delete(pa.array([], type=pa.string()))
        target.delete(place.ids(5, 5, 900))
        target.delete(place.ids(5))
        place.expect(target, batch.slice(0, 5))

    def test_delete_then_add_again(self, place: Place) -> None:
        """A deleted id can be used again, by both paths, and brings nothing old back."""
        target, newer = place.target(), place.sample(10, seed=3)
        target.upsert(place.sample(10))
        target.delete(newer.column("id"))
        target.upsert(newer.slice(0, 5))
        target.upsert(newer.slice(5), absent=True)
        place.expect(target, newer)

    def test_delete_of_everything_leaves_the_collection(self, place: Place) -> None:
        """An emptied collection still exists and takes records again."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch)
        target.delete(batch.column("id"))
        place.expect(target)
        assert target.describe().exists
        target.upsert(batch.slice(0, 3))
        place.expect(target, batch.slice(0, 3))

    def test_delete_takes_4096_ids(self, place: Place) -> None:
        """Many ids at once, most of them unknown."""
        target, batch = place.target(), place.sample(ROWS)
        target.upsert(batch)
        target.delete(pa.concat_arrays([place.ids(*range(5000, 9056)), batch.column("id").slice(13)]))
        place.expect(target, batch.slice(0, 13))


class Lasting(Suite):
    """What was finished is there for whoever opens the collection next."""

    def test_reopened_source_sees_everything(self, place: Place) -> None:
        """Writes, replacements and deletions outlive the store object that made them."""
        name, newer = place.name(), place.sample(20, seed=1)
        target = place.target(name)
        target.upsert(place.sample(ROWS), absent=True)
        target.upsert(newer)
        target.delete(place.ids(*range(40, ROWS)))
        target.finish(place.space(), NO_INDEX)
        target.close()
        place.expect(place.open_source(name), newer, place.sample(ROWS).slice(20, 20))

    def test_second_run_goes_on_where_the_first_ended(self, place: Place) -> None:
        """A finished collection can be opened, prepared, changed and finished again."""
        name, newer = place.fill(place.sample(ROWS)), place.sample(10, seed=2, start=50)
        target = place.target(name)
        place.expect(target, place.sample(ROWS))
        target.upsert(newer)
        target.delete(place.ids(0, 1))
        place.expect(target, place.sample(ROWS).slice(2, 48), newer)
        target.finish(place.space(), NO_INDEX)
        target.close()
        place.expect(place.open_source(name), place.sample(ROWS).slice(2, 48), newer)

    def test_finish_can_be_repeated(self, place: Place) -> None:
        """A second finish changes nothing; writing goes on after it."""
        name, batch = place.name(), place.sample(ROWS)
        target = place.target(name)
        target.upsert(batch.slice(0, 30))
        for _ in range(2):
            target.finish(place.space(), NO_INDEX)
        target.upsert(batch.slice(30))
        target.finish(place.space(), NO_INDEX)
        place.expect(target, batch)
        place.expect(place.open_source(name), batch)

    def test_two_collections_do_not_mix(self, place: Place) -> None:
        """The same ids in two collections are different records."""
        one, other = place.target(), place.target()
        one.upsert(place.sample(9))
        other.upsert(place.sample(9, seed=1))
        one.delete(place.ids(8))
        place.expect(one, place.sample(8))
        place.expect(other, place.sample(9, seed=1))


def _replace(place: Place, *versions: Record) -> None:
    """Write versions of one record beside a neighbour, each over the last, and compare each time."""
    target, neighbour = place.target(), place.sample(1, start=77)
    target.upsert(neighbour)
    for version in versions:
        batch = from_records([version])
        target.upsert(batch)
        place.expect(target, batch, neighbour)
