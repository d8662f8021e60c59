"""Memory stores that keep less than they could, and may lie about it.

Each `Flaw` is one way of keeping less, with the capability that tells of it truthfully. A store may
have the flaw or not and may admit it or not: two of the four combinations are lies.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.address import Address
from wherry.errors import Rejected
from wherry.record import Page, dimension_of, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores import memory
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, IdKind, Index, Kind, Touched
from wherry.stores.memory import MemoryStore
from wherry.testing.conformance import Fixtures

Alter = Callable[["Flawed", pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Flaw:
    """One way of keeping less. test: what must catch a lie about it."""

    name: str
    test: str
    admitted: dict[str, Any]
    store: type[Flawed]
    alter: Alter | None = None


class Flawed(MemoryStore):
    """A memory store that may alter what it is given and claims what it is told to claim."""

    def __init__(self, name: str, claims: Capabilities, alter: Alter | None) -> None:
        super().__init__(name)
        self.claims = claims
        self.alter = alter
        self.reading = False

    @property
    def capabilities(self) -> Capabilities:
        return self.claims

    def delete(self, ids: pa.Array) -> None:
        _refuse_if(self.reading, "a source")
        super().delete(ids)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        _refuse_if(self.reading, "a source")
        super().upsert(self.alter(self, batch) if self.alter else batch, absent)


class FewMetrics(Flawed):
    """Knows L2 only."""

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        _refuse_if(space.metric is not Metric.L2, "only l2")
        super().prepare(space, index, rows)


class Asking(Flawed):
    """Wants to know the metric."""

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        _refuse_if(space.metric is None, "which metric?")
        super().prepare(space, index, rows)


class Doubling(Flawed):
    """Believes every absent=True."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        for row, record_id in enumerate(batch.column("id").to_pylist()):
            rows = self._shelf.rows
            key = record_id if not absent or record_id not in rows else f"{record_id}\x00{len(rows)}"
            rows[key] = batch.slice(row, 1)


class Live(Flawed):
    """Scans by id list: later changes show."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        for ids in list(self.ids(rows)):
            yield self.fetch(ids)


class Shuffled(Flawed):
    """Every scan has its own order."""

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        ids = list(self._shelf.rows)
        random.shuffle(ids)
        for start in range(0, len(ids), rows):
            yield self.fetch(pa.array(ids[start : start + rows]))


class OneByOne(Flawed):
    """Writes record by record until one is refused."""

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        for row in range(batch.num_rows):
            super().upsert(batch.slice(row, 1), absent)


class Stamping(Flawed):
    """Keeps the time of the last write of every record."""

    stamps: dict[str, dict[str, int]] = {}  # noqa: RUF012 - shared on purpose, like the shelves

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        super().upsert(batch, absent)
        stamps = self.stamps.setdefault(self.name, {})
        stamps.update(dict.fromkeys(batch.column("id").to_pylist(), next(_clock)))

    def mark(self) -> str | None:
        return f"{self.name} {id(self._shelf)} {next(_clock)}"

    def touched(self, mark: str) -> Touched | None:
        name, shelf, time = mark.split()
        if (name, int(shelf)) != (self.name, id(self._shelf)):
            return None
        ids = [i for i, stamp in self.stamps.get(self.name, {}).items() if stamp > int(time) and i in self._shelf.rows]
        return Touched(len(self._shelf.rows), pa.array(ids, type=pa.string()))


_clock = itertools.count(1)


class Lab(Fixtures):
    """Fixtures of a flawed store; with no `alter` it keeps everything."""

    examples = 5

    def __init__(self, folder: Path, store: type[Flawed], alter: Alter | None, claims: dict[str, Any]) -> None:
        super().__init__(folder)
        self.store, self.alter = store, alter
        self.claims = replace(memory.CAPABILITIES, **claims)

    def open_target(self, name: str) -> Flawed:
        return self.store(name, self.claims, self.alter)

    def open_source(self, name: str) -> Flawed:
        memory.open_source(Address.parse(f"memory:#{name}"))
        store = self.open_target(name)
        store.reading = True
        return store

    def drop(self, name: str) -> None:
        memory.clear()


def _refuse_if(refused: bool, why: str) -> None:
    if refused:
        raise Rejected(why)


def _without_null_text(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    return _changed(batch, texts=pc.fill_null(batch.column("text"), ""))


def _without_nul(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    _refuse_if("\x00" in "".join(batch.column("text").drop_null().to_pylist()), "NUL")
    return batch


def _halved(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    with np.errstate(over="ignore"):
        return _changed(batch, vectors=vectors_of(batch).astype(np.float16).astype(np.float32))


def _rounded_under_cosine(store: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    if store.describe().space.metric is not Metric.COSINE:
        return batch
    return _changed(batch, vectors=vectors_of(batch) * np.float32(1 + 2e-7))


def _numbers_only(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    ids = batch.column("id").to_pylist()
    _refuse_if(any(not i.isdecimal() or str(int(i)) != i for i in ids), "ids are numbers")
    return batch


def _short_ids(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    _refuse_if(any(len(i.encode()) > 100 for i in batch.column("id").to_pylist()), "the id is too long")
    return batch


def _short_vectors(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    _refuse_if(dimension_of(batch) > 64, "too many components")
    return batch


def _no_zero_vectors(store: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    cosine = store.describe().space.metric is Metric.COSINE
    _refuse_if(cosine and not vectors_of(batch).any(axis=1).all(), "a zero vector")
    return batch


def _no_nan(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    _refuse_if(bool(np.isnan(vectors_of(batch)).any()), "NaN")
    return batch


def _without(kind: Kind) -> Alter:
    """Return what leaves out values of one kind; an empty object becomes no metadata."""
    from wherry.moving.losses import kind_of

    def kept(value: dict[str, Any]) -> dict[str, Any] | None:
        if kind is Kind.EMPTY and not value:
            return None
        return {k: v for k, v in value.items() if kind_of(v) is not kind}

    return lambda _, batch: _with_metadata(batch, kept)


def _as_double(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    def rounded(value: Any) -> Any:
        return float(value) if type(value) is int and abs(value) >= 2**53 else value

    return _with_metadata(batch, lambda value: {k: rounded(v) for k, v in value.items()})


def _without_sign(_: Flawed, batch: pa.RecordBatch) -> pa.RecordBatch:
    return _with_metadata(batch, lambda value: {k: 0.0 if v == 0 else v for k, v in value.items()})


def _with_metadata(batch: pa.RecordBatch, change: Callable[[dict], dict | None]) -> pa.RecordBatch:
    values = [None if text is None else change(json.loads(text)) for text in batch.column("metadata").to_pylist()]
    return _changed(batch, metadata=[None if value is None else json.dumps(value) for value in values])


def _changed(batch: pa.RecordBatch, **columns: Any) -> pa.RecordBatch:
    kept = {"vectors": vectors_of(batch), "texts": batch.column("text"), "metadata": batch.column("metadata")}
    return make_batch(batch.column("id"), **kept | columns)


def _kind_flaw(kind: Kind) -> Flaw:
    case = "test_metadata_empty_object" if kind is Kind.EMPTY else f"test_metadata_kind[{kind}]"
    less = ALL_KINDS - {kind}
    return Flaw(f"no {kind}", case, {"metadata": less, "filterable": less}, Flawed, _without(kind))


_COSINE = frozenset({Metric.COSINE})
FLAWS = (
    *[_kind_flaw(kind) for kind in Kind],
    Flaw("no null text", "test_null_text", {"null_text": False}, Flawed, _without_null_text),
    Flaw("no NUL", "test_nul_in_text[text]", {"nul_in_text": False}, Flawed, _without_nul),
    Flaw("no -0.0", "test_negative_zero", {"negative_zero": False}, Flawed, _without_sign),
    Flaw("doubles", "test_integers", {"integer_bits": 54}, Flawed, _as_double),
    Flaw("number ids", "test_text_ids", {"id_kind": IdKind.INTEGER}, Flawed, _numbers_only),
    Flaw("short ids", "test_longest_id", {"max_id_bytes": 100}, Flawed, _short_ids),
    Flaw("short vectors", "test_most_components", {"max_dimension": 64}, Flawed, _short_vectors),
    Flaw("16 bits", "test_precision", {"precision_bits": 16}, Flawed, _halved),
    Flaw("cosine", "test_normalises", {"normalises": frozenset({Metric.COSINE})}, Flawed, _rounded_under_cosine),
    Flaw("l2 only", "test_metric_is_kept", {"metrics": frozenset({Metric.L2})}, FewMetrics),
    Flaw("asking", "test_metric_that_nobody_knows", {"needs_metric": True}, Asking),
    Flaw("doubling", "test_unique_ids", {"unique_ids": False}, Doubling),
    Flaw("live scan", "test_snapshot", {"snapshot_scan": False}, Live),
    Flaw("no zero", "test_zero_vector", {"zero_vectors": False}, Flawed, _no_zero_vectors),
    Flaw("no order", "test_two_scans_agree", {"stable_order": False}, Shuffled),
    Flaw("half a batch", "test_atomic_batch", {"atomic_batch": False}, OneByOne, _no_nan),
)
# A denial of these is a missing promise, which no test can catch in a lie.
PROMISES = {"no zero", "no order", "half a batch"}
