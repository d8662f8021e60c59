"""What a file format of the archive engine must do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from wherry.record import Page
from wherry.stores.archive.card import Card, Tally
from wherry.stores.archive.disk import ArchiveFile
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.seal import Sink


class Form(Protocol):
    """One file format. It holds no state; a place is two integers that only the format understands."""

    suffix: str
    options: frozenset[str]

    def inspect(self, file: ArchiveFile) -> tuple[Card, Lookup | None]:
        """Validate the whole file; also return the index of its ids where that came for free.

        Raises ArchiveCorrupt for damage and contradictions, Refused for what is no archive.
        """
        ...

    def pages(self, file: ArchiveFile, card: Card, rows: int) -> Iterator[Page]:
        """Yield all records in file order."""
        ...

    def groups(self, file: ArchiveFile) -> list[int]:
        """Return how many records each part of the file holds that can be read by itself; [] where none can."""
        ...

    def pages_of(self, file: ArchiveFile, card: Card, rows: int, groups: range) -> Iterator[Page]:
        """Yield the records of some of those parts in file order."""
        ...

    def lookup(self, file: ArchiveFile, card: Card) -> Lookup:
        """Return the index of the file's ids."""
        ...

    def at(self, file: ArchiveFile, card: Card, places: Sequence[tuple[int, int]]) -> Page:
        """Return the records at some places in file order; of several with one id, the first good one."""
        ...

    def write(self, sink: Sink, card: Card, batches: Iterable[pa.RecordBatch], tally: Tally) -> None:
        """Write a whole archive but for its seal; `tally` is complete when `batches` ends."""
        ...
