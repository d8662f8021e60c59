"""What a test holds in its hands: one engine, fresh collections, and a way to compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from wherry.errors import WherryError
from wherry.record import Record, from_records
from wherry.space import Metric, Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Index, Kind, Readable, Writable
from wherry.testing.conformance.equality import Rule, differences, rule_for
from wherry.testing.conformance.fixtures import Fixtures
from wherry.testing.samples import sample, sample_id

DIMENSION = 8
VECTOR = tuple(float(n) for n in range(1, DIMENSION + 1))
NO_INDEX = Index()
_numbers = count(1)
_run = uuid4().hex[:8]


class Place:
    """One engine as one test sees it; every store opened through it is closed with it."""

    def __init__(self, fixtures: Fixtures) -> None:
        self.fixtures = fixtures
        self._opened: list[Readable] = []

    @property
    def capabilities(self) -> Capabilities:
        """What the engine claims, asked of a collection that is not there yet."""
        return self.fixtures.claimed

    @cached_property
    def metric(self) -> Metric:
        """A metric under which vectors come back as they were, if the engine has one."""
        metrics = [metric for metric in Metric if metric in self.capabilities.metrics]
        return next((m for m in metrics if m not in self.capabilities.normalises), metrics[0])

    def name(self) -> str:
        """Return the name of a collection that nobody made yet, on any machine."""
        return f"c{_run}-{next(_numbers)}"

    def space(self, metric: Metric | None = None, dimension: int = DIMENSION, **card: Any) -> Space:
        """Return a space for a new collection."""
        return Space(dimension=dimension, metric=metric or self.metric, **card)

    def sample(self, n: int, seed: int = 0, start: int = 0, dimension: int = DIMENSION) -> pa.RecordBatch:
        """Return n sample records that the engine can hold."""
        held = self.capabilities
        return sample(
            n, dimension, seed, start=start,
            id_kind=held.id_kind, kinds=held.metadata, null_text=held.null_text,
        )  # fmt: skip

    def ids(self, *numbers: int) -> pa.Array:
        """Return the ids of sample records."""
        return pa.array([sample_id(n, self.capabilities.id_kind) for n in numbers], type=pa.string())

    def record(
        self, text: str | None = "가", metadata: Any = None, vector: Sequence[float] = VECTOR, number: int = 1
    ) -> Record:
        """Return one record with the id of sample record `number`."""
        return Record(self.ids(number)[0].as_py(), vector, text, metadata)

    def open_target(self, name: str) -> Writable:
        """Open a collection for writing."""
        store = self.fixtures.open_target(name)
        self._opened.append(store)
        return store

    def open_source(self, name: str) -> Readable:
        """Open a collection for reading."""
        store = self.fixtures.open_source(name)
        self._opened.append(store)
        return store

    def target(self, name: str = "", space: Space | None = None, rows: int = 100) -> Writable:
        """Open a prepared collection for writing; a new one unless a name is given."""
        store = self.open_target(name or self.name())
        store.prepare(space or self.space(), NO_INDEX, rows)
        return store

    def fill(self, batch: pa.RecordBatch, name: str = "", space: Space | None = None) -> str:
        """Put a batch into a collection and finish it; return the collection's name."""
        name, space = name or self.name(), space or self.space()
        self.fixtures.fill(name, batch, space)
        return name

    def filled(self, batch: pa.RecordBatch, space: Space | None = None) -> Readable:
        """Return a new collection that holds exactly `batch`, opened for reading."""
        return self.open_source(self.fill(batch, space=space))

    def rule(self, metric: Metric | None = None) -> Rule:
        """Return how exactly vectors must come back under a metric."""
        return rule_for(self.capabilities, metric or self.metric)

    def expect(self, store: Readable, *expected: pa.RecordBatch, metric: Metric | None = None) -> None:
        """Assert that a store holds exactly these records, and counts them right."""
        assert differences(expected, scanned(store), self.rule(metric)) == []
        assert store.describe().count == sum(batch.num_rows for batch in expected)

    def expect_fetched(self, store: Readable, expected: pa.RecordBatch, metric: Metric | None = None) -> None:
        """Assert that fetching the ids of a batch gives exactly that batch."""
        found = store.fetch(expected.column("id"))
        assert found.rejects == []
        assert differences([expected], [found.records], self.rule(metric)) == []

    def survives(self, store: Writable, *records: Record, metric: Metric | None = None) -> bool:
        """Tell whether every record can be written and comes back equal; a clear refusal is "no"."""
        for record in records:
            batch = from_records([record])
            try:
                store.upsert(batch)
            except WherryError:
                return False
            if differences([batch], [store.fetch(batch.column("id")).records], self.rule(metric)):
                return False
        return True

    def need_text_ids(self) -> None:
        """Skip the test when the engine's ids are numbers or UUIDs."""
        if self.capabilities.id_kind != "text":
            pytest.skip(f"ids are {self.capabilities.id_kind}")

    def need(self, *kinds: Kind) -> None:
        """Skip the test when the engine does not keep these kinds of metadata value."""
        missing = sorted(set(kinds) - self.capabilities.metadata)
        if missing:
            pytest.skip(f"metadata of kind {', '.join(missing)} is not kept")

    def close(self) -> None:
        """Close every store that was opened."""
        while self._opened:
            self._opened.pop().close()


def scanned(store: Readable, rows: int = PAGE_ROWS) -> list[pa.RecordBatch]:
    """Return all batches of a scan, none of which may hold a reject."""
    pages = list(store.scan(rows))
    assert [reject for page in pages for reject in page.rejects] == []
    return [page.records for page in pages]


def listed(store: Readable, rows: int = PAGE_ROWS) -> list[str]:
    """Return all ids a store lists, sorted."""
    return sorted(record_id for chunk in store.ids(rows) for record_id in chunk.to_pylist())


def ids_of(batches: Iterable[pa.RecordBatch]) -> list[str]:
    """Return the ids of some batches, sorted."""
    return sorted(record_id for batch in batches for record_id in batch.column("id").to_pylist())


@contextmanager
def refused_or_done() -> Iterator[None]:
    """Run something that an engine may refuse, but only with an error of Wherry."""
    with suppress(WherryError):
        yield
