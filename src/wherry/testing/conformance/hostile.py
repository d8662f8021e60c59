"""Hostile records: legal, awkward, and never altered."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from wherry.record import Record, from_records
from wherry.stores.base import Kind, Writable
from wherry.testing.conformance.place import DIMENSION, VECTOR, Place, listed
from wherry.testing.conformance.suite import Suite
from wherry.testing.strategies import AWKWARD_KEYS, AWKWARD_TEXTS, LOOK_ALIKE_IDS, batches, held_by

MEGABYTE = "건강 🌿 'x' \"y\" \\ \n" * 45_000
BIG_METADATA: dict[str, dict[str, Any]] = {
    "long-text": {"v": "가" * 300_000},
    "many-keys": {f"key {i}": i for i in range(5_000)},
    "long-list": {"v": list(range(20_000))},
    "deep": json.loads('{"v":' * 60 + "1" + "}" * 60),
}


class Hostile(Suite):
    """Whatever fits into a batch comes back as it went in."""

    @pytest.mark.parametrize("text", AWKWARD_TEXTS, ids=[str(n) for n in range(len(AWKWARD_TEXTS))])
    def test_awkward_text(self, place: Place, text: str) -> None:
        """Marks, joiners, quotes, white space and escapes are just text, in metadata too."""
        metadata = {"v": text} if Kind.TEXT in place.capabilities.metadata else None
        batch = from_records([place.record(text, metadata)])
        target = place.target()
        target.upsert(batch)
        place.expect(target, batch)

    def test_text_of_a_megabyte(self, place: Place) -> None:
        """A long text is not cut."""
        batch = from_records([place.record(MEGABYTE)])
        place.expect(place.filled(batch), batch)

    def test_look_alike_ids_stay_apart(self, place: Place) -> None:
        """No two ids are folded into one: not by case, zeros, blanks, normal form or quoting."""
        place.need_text_ids()
        batch = from_records([Record(i, VECTOR, i) for i in _fitting(place, LOOK_ALIKE_IDS)])
        source = place.filled(batch)
        place.expect(source, batch)
        for row in range(batch.num_rows):
            place.expect_fetched(source, batch.slice(row, 1))

    def test_look_alike_ids_are_deleted_one_by_one(self, place: Place) -> None:
        """Deleting one of them leaves all the others."""
        place.need_text_ids()
        batch = from_records([Record(i, VECTOR, i) for i in _fitting(place, LOOK_ALIKE_IDS)])
        target = place.target()
        target.upsert(batch, absent=True)
        for row in range(0, batch.num_rows - 1, 2):
            target.delete(batch.column("id").slice(row, 2))
            place.expect(target, batch.slice(row + 2))

    def test_long_ids(self, place: Place) -> None:
        """Ids of up to 1,000 bytes that differ only at the end."""
        place.need_text_ids()
        size = min(1000, place.capabilities.max_id_bytes or 1000)
        batch = from_records([Record("x" * (size - 1) + last, VECTOR, "가") for last in "abAB"])
        source = place.filled(batch)
        place.expect(source, batch)
        place.expect_fetched(source, batch.slice(2, 1))

    @pytest.mark.parametrize("key", AWKWARD_KEYS, ids=[str(n) for n in range(len(AWKWARD_KEYS))])
    def test_awkward_metadata_key(self, place: Place, key: str) -> None:
        """Keys that engines, frameworks or Wherry itself use for something are still the user's."""
        place.need(Kind.TEXT, Kind.INTEGER)
        versions = ({key: "v"}, {key: '{"a": 1}', "other": 1}, {"other": 2})
        target = place.target()
        for metadata in versions:
            batch = from_records([place.record(metadata=metadata)])
            target.upsert(batch)
            place.expect(target, batch)

    @pytest.mark.parametrize("shape", list(BIG_METADATA), ids=list(BIG_METADATA))
    def test_big_metadata(self, place: Place, shape: str) -> None:
        """Long texts, many keys, long lists and deep nesting come back whole."""
        place.need(Kind.TEXT, Kind.INTEGER, Kind.LIST, Kind.OBJECT)
        batch = from_records([place.record(metadata=BIG_METADATA[shape])])
        place.expect(place.filled(batch), batch)

    def test_metadata_may_be_written_in_any_style(self, place: Place) -> None:
        """White space, escapes and key order of the JSON text do not change the record."""
        place.need(Kind.TEXT, Kind.INTEGER)
        plain = place.sample(1)
        styled = plain.set_column(3, "metadata", pa.array(['{ "b" : 1,\n "a":"\\uac00\\u0041" }']))
        wanted = plain.set_column(3, "metadata", pa.array(['{"a":"가A","b":1}']))
        target = place.target()
        target.upsert(styled.cast(plain.schema))
        place.expect(target, wanted.cast(plain.schema))

    def test_any_record_comes_back(self, place: Place) -> None:
        """Property: a random batch of what the engine says it can hold reads back equal."""
        target = place.target()
        limits = held_by(place.capabilities)
        limits["mild"] = limits["mild"] or place.metric in place.capabilities.normalises
        _property(place, target, limits)

    def test_any_record_comes_back_under_a_metric_that_normalises(self, place: Place) -> None:
        """Property: the same with unit vectors compared, where a metric normalises."""
        if not place.capabilities.normalises:
            pytest.skip("no metric normalises")
        metric = min(place.capabilities.normalises)
        target = place.target(space=place.space(metric))
        _property(place, target, held_by(place.capabilities) | {"mild": True}, metric)


def settings_for(place: Place, divide: int = 1) -> settings:
    """Return settings without clock, chance or a database: the same examples on every machine."""
    return settings(
        max_examples=max(3, place.fixtures.examples // divide),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        print_blob=False,
    )


def _property(place: Place, target: Writable, limits: dict[str, Any], metric: Any = None) -> None:
    @settings_for(place)
    @given(batches(DIMENSION, **limits))
    def holds(batch: pa.RecordBatch) -> None:
        target.upsert(batch)
        place.expect_fetched(target, batch, metric)
        place.expect(target, batch, metric=metric)
        target.delete(batch.column("id"))
        assert listed(target) == []

    holds()


def _fitting(place: Place, ids: tuple[str, ...]) -> list[str]:
    limit = place.capabilities.max_id_bytes
    return [i for i in ids if limit is None or len(i.encode()) <= limit]
