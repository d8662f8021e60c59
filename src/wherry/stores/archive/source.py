"""Reading an archive: validated whole when it is opened, then handed out page by page."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from wherry.errors import ArchiveCorrupt
from wherry.record import Page
from wherry.space import Metric
from wherry.stores.archive.card import Card
from wherry.stores.archive.disk import CHUNK, ArchiveFile
from wherry.stores.archive.form import Form
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.splitter import corrupt
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, Hit, IdKind, Range, Touched
from wherry.stores.cutting import ranges, span
from wherry.stores.exact import checked, search_pages
from wherry.where import Where

# What a writer of ours keeps. A file of somebody else may hold one id twice.
OWN = Capabilities(
    id_kind=IdKind.TEXT,
    max_id_bytes=None,
    max_batch=None,
    max_dimension=None,
    precision_bits=32,
    normalises=frozenset(),
    metrics=frozenset(Metric),
    needs_metric=False,
    zero_vectors=True,
    null_text=True,
    nul_in_text=True,
    metadata=ALL_KINDS,
    checked_metadata=True,
    filterable=ALL_KINDS,
    integer_bits=None,
    negative_zero=True,
    text_in_place=True,
    snapshot_scan=True,
    stable_order=True,
    unique_ids=True,
    atomic_batch=True,
    detects_changes=True,
    atomic_switch=False,
)
FOREIGN = replace(OWN, unique_ids=False)


def identity_of(path: Path) -> str:
    """Return a text that is equal for two addresses exactly when they name the same file."""
    return f"archive:{os.path.realpath(path)}"


class ArchiveSource:
    """An archive opened for reading. It shows the file as it was when it was opened."""

    def __init__(self, form: Form, file: ArchiveFile, stated: Metric | None = None) -> None:
        """Validate `file`. Raises ArchiveCorrupt, Refused or Integrity; nothing is handed out before.

        stated: the metric the address states, for a file that does not say it.
        """
        self.form, self.file = form, file
        self._lock = threading.Lock()
        self._lookup: Lookup | None
        if file.size == 0:
            raise corrupt(file.shown, "the file is empty", "0 bytes")
        card, self._lookup = self._validated()
        self.card = replace(card, space=card.space.with_metric(stated, file.shown))

    def _validated(self) -> tuple[Card, Lookup | None]:
        try:
            found = self.form.inspect(self.file)
        except ArchiveCorrupt:
            # A file that is still being written looks damaged; say so instead.
            self.file.require_unchanged()
            raise
        self.file.require_unchanged()
        return found

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self.file.shown

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they are the same file."""
        return identity_of(self.file.path)

    @property
    def capabilities(self) -> Capabilities:
        """Everything survives in an archive; only archives of ours promise that no id repeats."""
        return OWN if self.card.sealed else FOREIGN

    def describe(self) -> Collection:
        """Return what validation found."""
        card = self.card
        return Collection(
            card.name,
            True,
            card.count,
            card.space,
            card.index,
            bytes=self.file.size,
            notes=card.notes,
            layout=self.form.suffix.removeprefix("."),
            volume=str(self.file.path.parent),
            extra=card.extra,
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in file order. Raises Integrity when the file is changed meanwhile."""
        yield from self._unchanged(self.form.pages(self.file, self.card, rows))

    def ranges(self, parts: int) -> list[Range]:
        """Cut a Parquet archive of ours between its row groups; other files cannot be cut."""
        groups = self.form.groups(self.file) if self.card.sealed else []
        return ranges(groups, parts, str(self.file.size))

    def scan_range(self, part: Range, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the records of one range in file order. Raises SourceChanged when it is another file by now."""
        groups = span(part, len(self.form.groups(self.file)), str(self.file.size), self.address)
        yield from self._unchanged(self.form.pages_of(self.file, self.card, rows, groups))

    def _unchanged(self, pages: Iterator[Page]) -> Iterator[Page]:
        try:
            for page in pages:
                self.file.require_unchanged()
                yield page
        except ArchiveCorrupt:
            self.file.require_unchanged()
            raise

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id in file order, those of rejects included; a missing id has none."""
        yield from self._index().ids(rows)
        self.file.require_unchanged()

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids; the first call makes an index of the file."""
        page = self.form.at(self.file, self.card, self._index().find(ids))
        self.file.require_unchanged()
        return page

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records; every search reads the whole file."""
        return search_pages(self.scan(), checked(vector, k, self.card.space, self.address), where)

    def mark(self) -> str | None:
        """Return a digest of the file's bytes: a file that has it is the same file."""
        digest = xxhash.xxh3_128()
        for offset in range(0, self.file.size, CHUNK):
            digest.update(self.file.read_at(offset, min(CHUNK, self.file.size - offset)))
        self.file.require_unchanged()
        return f"{self.identity} {digest.hexdigest()}"

    def touched(self, mark: str) -> Touched | None:
        """Tell that nothing was, where the bytes are the same; what changed in another file is not known."""
        return Touched(self.card.count, pa.array([], type=pa.string())) if mark == self.mark() else None

    def _index(self) -> Lookup:
        with self._lock:
            if self._lookup is None:
                self._lookup = self.form.lookup(self.file, self.card)
            return self._lookup

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.file.close()
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None
