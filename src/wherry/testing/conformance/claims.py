"""Claims: every capability is measured, and what is measured must be what is claimed.

A claim that is too high loses data; one that is too low makes a plan warn of losses that never
happen. Both fail. Only where a denial is a missing promise rather than a fact (a stable order, an
atomic batch) does the denial go unmeasured.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from wherry.errors import NoSuchCollection, WherryError
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Capabilities, IdKind, Kind
from wherry.testing.conformance.equality import Rule, differences, unit
from wherry.testing.conformance.place import DIMENSION, VECTOR, Place, listed
from wherry.testing.conformance.suite import Suite

# More components than any engine with a limit takes, and still one small record.
MANY_COMPONENTS, MANY_BYTES = 65_536 + 1, 20_000
EXAMPLES: dict[Kind, tuple[Any, ...]] = {
    Kind.NULL: (None,),
    Kind.BOOL: (True, False),
    Kind.INTEGER: (0, 7, -1, 2**31),
    Kind.FLOAT: (1.5, 1.0, 1e2, 0.1, -2.5e-7, 1e300, 5e-324, 123456789.125),
    Kind.TEXT: ("가", "", "1", "true", "null"),
    Kind.LIST: ([1, 2], ["가", ""], [], [1.5, 2.0], [True, False], [1, "a", None], [[1], [2]], [{"a": 1}]),
    Kind.OBJECT: ({"a": 1}, {"a": {"b": [1, {"c": None}]}}, {"": 0}),
}
INTEGERS = (2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**70, 10**40)


class Claims(Suite):
    """What an engine says of itself is true."""

    def test_no_capability_is_in_doubt(self, place: Place) -> None:
        """Every field has a value of its type; None only where it means "no limit"."""
        claimed = place.capabilities
        for field in fields(Capabilities):
            value = getattr(claimed, field.name)
            assert isinstance(value, _TYPES[str(field.type)]), field.name
        assert claimed.precision_bits in (16, 32)
        assert claimed.metrics >= claimed.normalises
        assert claimed.metrics
        assert claimed.metadata >= claimed.filterable

    def test_capabilities_do_not_depend_on_who_asks(self, place: Place) -> None:
        """A source and a target of one collection claim the same."""
        name = place.fill(place.sample(1))
        assert place.open_source(name).capabilities == place.open_target(name).capabilities

    @pytest.mark.parametrize("kind", list(EXAMPLES), ids=[str(kind) for kind in EXAMPLES])
    def test_metadata_kind(self, place: Place, kind: Kind) -> None:
        """Values of this kind come back unchanged, or the engine says no."""
        records = [place.record(metadata={"v": value}) for value in EXAMPLES[kind]]
        assert place.survives(place.target(), *records) == (kind in place.capabilities.metadata)

    def test_metadata_empty_object(self, place: Place) -> None:
        """An empty object as the metadata, or as a value in it, is not nothing."""
        records = [place.record(metadata=metadata) for metadata in ({}, {"v": {}})]
        assert place.survives(place.target(), *records) == (Kind.EMPTY in place.capabilities.metadata)

    @pytest.mark.parametrize("value", INTEGERS, ids=[f"{v.bit_length()}-bits-{v % 7}" for v in INTEGERS])
    def test_integers_within_the_claimed_bits(self, place: Place, value: int) -> None:
        """Integers shorter than integer_bits are exact: both signs, beside a float, and further in."""
        place.need(Kind.INTEGER)
        bits = place.capabilities.integer_bits
        if bits is not None and value.bit_length() >= bits:
            pytest.skip(f"{bits} bits are claimed")
        values = ({"v": value}, {"v": -value}, {"v": value, "w": 0.5})
        assert place.survives(place.target(), *[Record(place.ids(1)[0].as_py(), VECTOR, "", m) for m in values])

    def test_integers_beyond_the_claimed_bits(self, place: Place) -> None:
        """An engine that denies long integers really loses one."""
        place.need(Kind.INTEGER)
        bits = place.capabilities.integer_bits
        longer = [] if bits is None else [v for v in INTEGERS if v.bit_length() >= bits]
        if not longer:
            pytest.skip("integers of any size are claimed")
        records = [place.record(metadata={"v": value}) for value in longer]
        assert not place.survives(place.target(), *records)

    def test_negative_zero(self, place: Place) -> None:
        """-0.0 in metadata stays -0.0, or the engine says no."""
        place.need(Kind.FLOAT)
        values = [{"v": -0.0, "w": 0.0}, *_further_in(place, -0.0)]
        records = [place.record(metadata=metadata) for metadata in values]
        assert place.survives(place.target(), *records) == place.capabilities.negative_zero

    def test_null_text(self, place: Place) -> None:
        """No text is not an empty text, or the engine says no."""
        records = [place.record(None, {"v": 1}), place.record(None)]
        assert place.survives(place.target(), *records) == place.capabilities.null_text

    def test_empty_text(self, place: Place) -> None:
        """An empty text is a text."""
        assert place.survives(place.target(), place.record("", {"v": 1}), place.record(""))

    @pytest.mark.parametrize("field", ["id", "text", "value", "key"], ids=["id", "text", "value", "key"])
    def test_nul_in_text(self, place: Place, field: str) -> None:
        """U+0000 survives in ids, texts and metadata where claimed; where denied, not in texts."""
        if field == "id":
            place.need_text_ids()
        record_id = place.record().id if field != "id" else "a\x00b"
        metadata = {"a\x00b" if field == "key" else "k": "a\x00b" if field == "value" else "v"}
        record = Record(record_id, VECTOR, "a\x00b" if field == "text" else "가", metadata)
        kept = place.survives(place.target(), record)
        assert kept == place.capabilities.nul_in_text or (kept and field != "text")

    def test_text_ids(self, place: Place) -> None:
        """An engine of numbers or UUIDs refuses other ids; one of texts takes them all."""
        target = place.target()
        kept = [place.survives(target, Record(i, VECTOR, i)) for i in ("abc", "0004", "4", "-1", "가")]
        assert all(kept) == (place.capabilities.id_kind is IdKind.TEXT)

    def test_own_ids(self, place: Place) -> None:
        """Ids of the claimed kind are held as they are, the largest ones too."""
        kind = place.capabilities.id_kind
        ids = {
            IdKind.TEXT: ("4", "a"),
            IdKind.INTEGER: ("0", "4", str(2**63 - 1)),
            IdKind.UUID: ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        }[kind]
        assert place.survives(place.target(), *[Record(i, VECTOR, i) for i in ids])

    def test_longest_id(self, place: Place) -> None:
        """The longest id claimed works, and one byte more does not."""
        place.need_text_ids()
        limit = place.capabilities.max_id_bytes
        target = place.target()
        assert place.survives(target, Record(_long_id(limit or MANY_BYTES), VECTOR, "가"))
        if limit is not None:
            assert not place.survives(target, Record(_long_id(limit + 1), VECTOR, "가"))

    def test_most_components(self, place: Place) -> None:
        """The longest vector claimed works, and one component more is refused clearly."""
        limit = place.capabilities.max_dimension
        size = limit or MANY_COMPONENTS
        batch = place.sample(2, dimension=size)
        place.expect(place.filled(batch, place.space(dimension=size)), batch)
        if limit is not None:
            with pytest.raises(WherryError):
                place.fill(place.sample(2, dimension=limit + 1), space=place.space(dimension=limit + 1))

    def test_precision(self, place: Place) -> None:
        """Every float32 comes back bit by bit, or the engine says it keeps half of them."""
        if place.capabilities.precision_bits == 32 and place.rule() is Rule.UNIT:
            pytest.skip("every metric of the engine normalises")
        half = place.capabilities.precision_bits == 16
        batch = _with_vectors(place, _milder(400) if half else _bit_patterns(400))
        found = scan_of(place, batch, place.metric)
        assert differences([batch], found, place.rule()) == []
        assert (differences([batch], found, Rule.EXACT) == []) == (not half)

    def test_metric_that_nobody_knows(self, place: Place) -> None:
        """Where no metric is needed, an unknown one stays unknown; where it is, nothing is made."""
        name, space = place.name(), Space(dimension=DIMENSION)
        if place.capabilities.needs_metric:
            with pytest.raises(WherryError):
                place.target(name, space)
            with pytest.raises(NoSuchCollection):
                place.open_source(name).describe()
            return
        batch = place.sample(3)
        source = place.filled(batch, space)
        assert source.describe().space.metric is None
        place.expect(source, batch)

    @pytest.mark.parametrize("metric", list(Metric), ids=[str(m) for m in Metric])
    def test_normalises(self, place: Place, metric: Metric) -> None:
        """Vectors are the same bits under a metric, or the same direction where that is claimed."""
        claimed = place.capabilities
        if metric not in claimed.metrics or claimed.precision_bits == 16:
            pytest.skip("the engine has no such metric, or no such precision")
        batch = _with_vectors(place, _milder(100))
        found = scan_of(place, batch, metric)
        assert differences([batch], found, Rule.UNIT) == []
        assert (differences([batch], found, Rule.EXACT) == []) == (metric not in claimed.normalises)

    @pytest.mark.parametrize("metric", list(Metric), ids=[str(m) for m in Metric])
    def test_length_survives(self, place: Place, metric: Metric) -> None:
        """Vectors keep their length within 1e-6 of it: a copy can go back."""
        if metric not in place.capabilities.normalises:
            pytest.skip("not a metric that normalises")
        batch = _with_vectors(place, _milder(100))
        table = pa.Table.from_batches(scan_of(place, batch, metric)).combine_chunks()
        back = dict(zip(table["id"].to_pylist(), vectors_of(table.to_batches()[0]), strict=True))
        for record_id, vector in zip(batch["id"].to_pylist(), vectors_of(batch), strict=True):
            length = np.linalg.norm(vector.astype(np.float64))
            assert abs(np.linalg.norm(back[record_id].astype(np.float64)) - length) <= 1e-6 * length

    def test_unit_vectors_are_not_worn_down(self, place: Place) -> None:
        """Reading and writing again ten times does not drift away from the first copy."""
        metric = min(place.capabilities.normalises, default=place.metric)
        if place.capabilities.precision_bits == 16:
            pytest.skip("16 bits")
        first = _with_vectors(place, np.apply_along_axis(unit, 1, _milder(20)).astype(np.float32))
        target, batch = place.target(space=place.space(metric)), first
        for _ in range(10):
            target.upsert(batch)
            batch = target.fetch(first.column("id")).records
        assert differences([first], [batch], place.rule(metric)) == []

    def test_zero_vector_under_cosine(self, place: Place) -> None:
        """Where claimed, a zero vector is stored as it is; where denied, refused or as it is."""
        if Metric.COSINE not in place.capabilities.metrics:
            pytest.skip("the engine has no cosine")
        target = place.target(space=place.space(Metric.COSINE))
        batch = from_records([place.record(vector=[0.0] * DIMENSION)])
        try:
            target.upsert(batch)
        except WherryError:
            assert not place.capabilities.zero_vectors
            assert listed(target) == []
        else:
            place.expect_fetched(target, batch, metric=Metric.COSINE)

    def test_unique_ids(self, place: Place) -> None:
        """Even a caller who wrongly says absent=True gets no second record where that is claimed."""
        target, batch = place.target(), place.sample(4)
        target.upsert(batch, absent=True)
        try:
            target.upsert(place.sample(4, seed=1), absent=True)
        except WherryError:
            assert place.capabilities.unique_ids
        held = sum(page.read for page in target.scan())
        assert (held == 4) == place.capabilities.unique_ids

    def test_atomic_batch(self, place: Place) -> None:
        """Where claimed, a batch with one record the engine refuses leaves none of the others."""
        if not place.capabilities.atomic_batch:
            pytest.skip("no atomic batch is claimed")
        for poisoned in _poisoned(place):
            target = place.target()
            target.upsert(place.sample(3, start=100))
            try:
                target.upsert(poisoned)
            except WherryError:
                place.expect(target, place.sample(3, start=100))


def scan_of(place: Place, batch: pa.RecordBatch, metric: Metric) -> list[pa.RecordBatch]:
    """Write a batch into a new collection of a metric; return what a reopened source scans."""
    source = place.filled(batch, place.space(metric))
    return [page.records for page in source.scan()]


def _further_in(place: Place, value: float) -> list[dict[str, Any]]:
    """Return metadata with a number inside a list and an object, where the engine keeps those."""
    inside = {Kind.LIST: {"v": [value]}, Kind.OBJECT: {"v": {"w": value}}}
    return [metadata for kind, metadata in inside.items() if kind in place.capabilities.metadata]


def _with_vectors(place: Place, vectors: np.ndarray) -> pa.RecordBatch:
    plain = place.sample(len(vectors))
    return make_batch(plain["id"], vectors, plain["text"], plain["metadata"])


def _bit_patterns(n: int) -> np.ndarray:
    """Return finite float32 of every kind, shape (n, DIMENSION): all exponents, extremes, -0.0."""
    bits = np.random.default_rng(7).integers(0, 2**32, n * DIMENSION, dtype=np.uint32)
    vectors = bits.view(np.float32).reshape(n, DIMENSION).copy()
    vectors[~np.isfinite(vectors)] = np.float32(-0.0)
    limits = np.finfo(np.float32)
    tiny = np.array([1], dtype=np.uint32).view(np.float32)[0]
    vectors[0] = [limits.max, limits.min, limits.tiny, -limits.tiny, tiny, -tiny, -0.0, 0.1]
    return vectors


def _milder(n: int) -> np.ndarray:
    """Return float32 within what 16 bits can round and lengths can bear, shape (n, DIMENSION)."""
    rng = np.random.default_rng(11)
    return (rng.standard_normal((n, DIMENSION)) * rng.uniform(0.01, 50, (n, 1))).astype(np.float32)


def _long_id(length: int) -> str:
    """Return an id that does not compress: an index that stores it packed has its limit elsewhere."""
    return np.random.default_rng(length).bytes(length).hex()[:length]


def _poisoned(place: Place) -> list[pa.RecordBatch]:
    """Return batches whose last record some engines refuse."""
    batch = place.sample(20)
    vectors = vectors_of(batch).copy()
    vectors[-1, 0] = np.nan
    texts = [*batch["text"].to_pylist()[:-1], "a\x00b"]
    return [
        make_batch(batch["id"], vectors, batch["text"], batch["metadata"]),
        make_batch(batch["id"], vectors_of(batch), texts, batch["metadata"]),
    ]


_TYPES: dict[str, Any] = {
    "IdKind": IdKind,
    "int | None": int | None,
    "int": int,
    "bool": bool,
    "frozenset[Metric]": frozenset,
    "frozenset[Kind]": frozenset,
}
