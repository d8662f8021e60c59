"""Reading a collection of ours: the generation that was live when it was opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from wherry.errors import NoSuchCollection
from wherry.record import Page, schema
from wherry.space import Metric
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit, Range, Touched
from wherry.stores.cutting import ranges, span
from wherry.stores.faiss.card import INDEX_FILE
from wherry.stores.faiss.claims import OWN
from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.idmap import hashes
from wherry.stores.faiss.place import Place
from wherry.stores.faiss.reader import Reader
from wherry.stores.faiss.searching import Finder
from wherry.where import Where


class FaissSource:
    """A collection opened for reading. It shows what was live when it was opened."""

    def __init__(self, place: Place, shown: str, generation: Generation, stated: Metric | None = None) -> None:
        """Show `generation`. stated: the metric the address states; Raises SpaceMismatch for another."""
        self.place, self._shown, self._generation = place, shown, generation
        self.space = generation.card.space.with_metric(stated, shown)
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self._shown

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection."""
        return self.place.identity

    @property
    def capabilities(self) -> Capabilities:
        """Everything survives: the sidecar keeps what the index cannot."""
        return OWN

    @property
    def generation(self) -> Generation:
        """The generation that is shown. Raises NoSuchCollection after `close`."""
        if self._closed:
            raise NoSuchCollection("the collection was closed", where=self._shown)
        return self._generation

    def describe(self) -> Collection:
        """Return what the card says."""
        card, folder = self.generation.card, self.generation.folder
        return Collection(
            card.name,
            True,
            card.count,
            self.space,
            card.index,
            bytes=card.bytes,
            volume=str(folder.parent),
            extra={"generation": card.mark.number, "originals_beside": card.keeps_originals},
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in the order of the index."""
        for _, batch in self.generation.pages(rows):
            yield Page(batch)

    def ranges(self, parts: int) -> list[Range]:
        """Cut the collection between row groups of its sidecar."""
        return ranges(self.generation.sidecar.group_rows, parts, self.generation.folder.name)

    def scan_range(self, part: Range, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the records of one range. Raises SourceChanged when another generation is live by now."""
        live = self.generation
        wanted = span(part, len(live.sidecar.group_rows), live.folder.name, self._shown)
        for _, batch in live.pages(rows, wanted):
            yield Page(batch)

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id in the order of the index."""
        for _, ids in self.generation.ids():
            for start in range(0, len(ids), rows):
                yield ids.slice(start, rows)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids; the first call makes a map of them, 16 bytes per record."""
        if not len(ids):
            return Page(pa.RecordBatch.from_pylist([], schema=schema(self.generation.card.dimension)))
        wanted = ids.unique()
        return Page(self.generation.take(self.generation.find(wanted, hashes(wanted))))

    def mark(self) -> str | None:
        """Return the name of the generation, which no other state of any collection has."""
        return mark_of(self.generation, self.identity)

    def touched(self, mark: str) -> Touched | None:
        """Tell that nothing was, where the same generation is live; else it is not known what was."""
        same = mark == self.mark()
        return Touched(self.generation.rows, pa.array([], type=pa.string())) if same else None

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k records nearest to a vector; see `wherry.stores.base.Searchable`."""
        return self._searcher().search(vector, k, where, exact)

    def _searcher(self) -> Finder:
        """Return the finder; the first call lets FAISS load the index, in a process of its own."""
        with self._lock:
            live = self.generation
            if self._reader is None:
                self._reader = Reader(live.files[INDEX_FILE])
            return Finder(self.space, self._shown, live.rows, self.scan, self._reader.search, live.take)

    def close(self) -> None:
        """Let go of the files; a second call does nothing."""
        self._closed = True
        self.rest()

    def rest(self) -> None:
        """End the process that searches; the next search starts another."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


def mark_of(generation: Generation, identity: str) -> str:
    """Return the mark of one generation of one collection."""
    return f"{identity} {generation.card.mark.folder}"
