"""What the author of an engine writes: one class that says where collections are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, TypeVar

import pyarrow as pa
import pytest

from wherry.space import Space
from wherry.stores.base import Capabilities, Index, Readable, Writable
from wherry.stores.registry import open_source, open_target

NOT_YET_BY_US = "not yet by us"
NOT_YET_UPSTREAM = "not yet upstream"
NEVER = "never"
BATCH_ROWS = 4096
# A collection that is asked what the engine claims and is never made.
CLAIMANT = "claims"
T = TypeVar("T")
WORDS = (NOT_YET_BY_US, NOT_YET_UPSTREAM, NEVER)


@dataclass(frozen=True)
class Gap:
    """A test that an engine does not pass.

    word: `not yet by us`, `not yet upstream` (the engine's makers would have to act) or `never`
    (against the engine's nature). reason: for a person, with the thread where there is one.
    """

    word: str
    reason: str

    def __post_init__(self) -> None:
        if self.word not in WORDS:
            raise ValueError(f"{self.word!r} is none of the three words: {', '.join(WORDS)}")
        if not self.reason.strip():
            raise ValueError("a gap needs a reason")

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


class Fixtures:
    """How the suite reaches an engine. Only `address` must be written.

    gaps: test name -> Gap; `test_metadata_kind` for all cases, `test_metadata_kind[null]` for one.
    examples: hypothesis examples per property. secrets: what the addresses hold that must never
    show. long_texts_are_slow: wide records are made wide by their vectors instead. folder: an empty
    folder for the whole class.
    """

    gaps: ClassVar[Mapping[str, Gap]] = {}
    examples: ClassVar[int] = 30
    secrets: ClassVar[tuple[str, ...]] = ()
    long_texts_are_slow: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def address(self, name: str) -> str:
        """Return the address of the collection `name`; nothing is there before the suite writes.

        The same name gives the same address, another name another collection. `name` is any
        non-empty text: quote it (`urllib.parse.quote(name, safe="")`) where an address needs that.
        """
        raise NotImplementedError("write address(name) in your fixtures class")

    def open_target(self, name: str) -> Writable:
        """Open a collection for writing; override where no entry point leads to the engine yet."""
        return open_target(self.address(name))

    def open_source(self, name: str) -> Readable:
        """Open a collection for reading; override with `open_target`."""
        return open_source(self.address(name))

    @cached_property
    def claimed(self) -> Capabilities:
        """What the engine claims, asked once for all tests of the class."""
        return self.capabilities()

    def capabilities(self) -> Capabilities:
        """Return what the engine claims; override for a store that cannot write."""
        return self._with_target(CLAIMANT, lambda store: store.capabilities)

    def fill(self, name: str, batch: pa.RecordBatch, space: Space) -> None:
        """Make `name` hold these records; override for a store that cannot write."""
        self._with_target(name, lambda store: _fill(store, batch, space))

    def listing(self) -> frozenset[str]:
        """Return every collection, file or table that is there now: proves that nothing is created."""
        pytest.skip("the fixtures do not write listing()")

    def drop(self, name: str) -> None:
        """Remove a collection with the engine's own means: proves what a recreated one looks like."""
        pytest.skip("the fixtures do not write drop(name)")

    def spoil(self, name: str) -> frozenset[str]:
        """Put records that no batch can hold (no vector, ...) into a filled collection; return their ids.

        The collection has 8 components per vector. Leave this out when the engine refuses such
        records itself.
        """
        pytest.skip("the fixtures do not write spoil(name)")

    def close(self) -> None:
        """Release what the fixtures hold, after the last test of the class."""

    def _with_target(self, name: str, act: Callable[[Writable], T]) -> T:
        store = self.open_target(name)
        try:
            return act(store)
        finally:
            store.close()


def send(store: Writable, batch: pa.RecordBatch, absent: bool = False) -> None:
    """Upsert in batches as large as Wherry itself would send."""
    step = min(BATCH_ROWS, store.capabilities.max_batch or BATCH_ROWS)
    for start in range(0, batch.num_rows, step):
        store.upsert(batch.slice(start, step), absent=absent)


def _fill(store: Writable, batch: pa.RecordBatch, space: Space) -> None:
    store.prepare(space, Index(), batch.num_rows)
    send(store, batch)
    store.finish(space, Index())
