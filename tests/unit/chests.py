"""Collections for the tests of moving: the memory store, filled and changed behind its back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.record import Page, Record, Reject, from_records, to_records
from wherry.space import Metric, Space
from wherry.stores import memory
from wherry.stores.base import PAGE_ROWS, Capabilities, Index, Touched
from wherry.stores.memory import MemoryStore

SPACE = Space(dimension=2, metric=Metric.L2)
Row = tuple[tuple[float, float], str | None, dict[str, Any] | None]


def row(version: int) -> Row:
    """Return the content of a record in one of its versions."""
    text = None if version % 3 == 2 else f"text {version}"
    return ((float(version), 1.0), text, None if version % 4 == 3 else {"v": version})


class Chest(MemoryStore):
    """A memory store that can be told what it holds, what it can do and what to reject.

    rejects: ids that no batch can hold. repeats: ids that a scan shows once more. limits: what the
    capabilities lack. read: how many records were handed out by `scan` and `fetch`.
    """

    def __init__(self, name: str, space: Space | None = SPACE, **limits: Any) -> None:
        super().__init__(name)
        if space is not None:
            self.prepare(space, Index(), 0)
        self.limits = limits
        self.rejects: dict[str, str] = {}
        self.repeats: list[str] = []
        self.read = 0
        self.written = 0

    @property
    def capabilities(self) -> Capabilities:
        """Memory's, with the limits."""
        return replace(memory.CAPABILITIES, **self.limits)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield small pages cut out of larger batches, repeats and rejects at the end."""
        for page in super().scan(7):
            for start in range(0, page.records.num_rows, 3):
                part = page.records.slice(start, 3)
                self.read += part.num_rows
                yield Page(part)
        for again in self.repeats:
            yield super().fetch(pa.array([again]))
        if self.rejects:
            yield Page(from_records([], 2), [Reject(i, reason) for i, reason in self.rejects.items()])

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield the ids, those of repeats and rejects too."""
        yield from super().ids(4)
        yield pa.array([*self.repeats, *self.rejects], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return records in another order than asked for, and rejects."""
        found = super().fetch(ids[::-1])
        self.read += found.records.num_rows
        wanted = set(ids.to_pylist())
        return Page(found.records, [Reject(i, reason) for i, reason in self.rejects.items() if i in wanted])

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records; a false promise of absence is an error."""
        held = self._shelf.rows
        broken = absent and any(i in held for i in batch.column("id").to_pylist())
        if broken:
            raise RuntimeError("promised to be absent, and was there")
        self.written += batch.num_rows
        super().upsert(batch, absent)

    def describe(self) -> Any:
        """Return what is there, repeats and rejects included."""
        found = super().describe()
        return replace(found, count=found.count + len(self.repeats) + len(self.rejects))

    def put(self, record_id: str, content: Row) -> None:
        """Write behind everyone's back."""
        vector, text, metadata = content
        MemoryStore.upsert(self, from_records([Record(record_id, vector, text, metadata)]))

    def fill(self, versions: dict[str, int]) -> Chest:
        """Hold exactly these records."""
        self._shelf.rows.clear()
        for record_id, version in versions.items():
            self.put(record_id, row(version))
        return self

    def drop(self, *ids: str) -> None:
        """Delete behind everyone's back."""
        MemoryStore.delete(self, pa.array(ids, type=pa.string()))

    def held(self) -> dict[str, tuple]:
        """Return everything held, in a form that == compares bit by bit."""
        if not MemoryStore.describe(self).exists:
            return {}
        return {i: values(to_records(batch)[0]) for i, batch in self._shelf.rows.items()}


def values(record: Record) -> tuple:
    """Return a record's content in a form that == compares bit by bit."""
    return (
        np.asarray(record.vector, dtype=np.float32).tobytes(),
        record.text,
        None if record.metadata is None else json.dumps(record.metadata, sort_keys=True),
    )


def content(*rows: Row) -> list[tuple]:
    """Return contents in the form of `held`."""
    return [values(Record("", *r)) for r in rows]


def numbered(numbers: Sequence[int] | range, version: int = 0) -> dict[str, int]:
    """Return ids with a version, in the form of `fill`."""
    return {f"r{n:04}": version for n in numbers}


class Stamped(Chest):
    """A chest that can prove what changed: every write behind its back gets a new stamp."""

    def __init__(self, name: str, **limits: Any) -> None:
        super().__init__(name, detects_changes=True, **limits)
        self.era = "1"
        self.clock = 0
        self.stamps: dict[str, int] = {}

    def mark(self) -> str | None:
        """Return era and time."""
        return f"{self.era} {self.clock}"

    def touched(self, mark: str) -> Touched | None:
        """Return what was written after the time of the mark, if that was in this era."""
        era, clock = mark.split()
        if era != self.era:
            return None
        ids = [i for i in self._shelf.rows if self.stamps.get(i, 0) > int(clock)]
        return Touched(self.describe().count, pa.array(ids, type=pa.string()))

    def put(self, record_id: str, content: Row) -> None:
        """Write and stamp."""
        self._stamp([record_id])
        super().put(record_id, content)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store and stamp."""
        self._stamp(batch.column("id").to_pylist())
        super().upsert(batch, absent)

    def _stamp(self, ids: list[str]) -> None:
        self.clock += 1
        self.stamps.update(dict.fromkeys(ids, self.clock))


def fresh(name: str) -> Chest:
    """Return a collection that is still to be made."""
    return Chest(name, None)


__all__ = ["SPACE", "Chest", "Index", "Stamped", "content", "fresh", "numbered", "row", "values"]
