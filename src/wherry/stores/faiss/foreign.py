"""Reading an index of somebody else: an index file alone, or a framework's folder around one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from wherry.errors import Integrity, SourceChanged
from wherry.record import Page, Reject, make_batch, schema
from wherry.space import Metric, Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit, Index
from wherry.stores.faiss.claims import foreign
from wherry.stores.faiss.files import Stored
from wherry.stores.faiss.frameworks import spooled
from wherry.stores.faiss.idmap import IdMap, hashes
from wherry.stores.faiss.place import Place
from wherry.stores.faiss.reader import Facts, Reader
from wherry.stores.faiss.searching import Finder
from wherry.stores.faiss.sidecar import PAGE_BYTES, pieces
from wherry.stores.faiss.spool import Document, Spool
from wherry.where import Where

_LABELS = 1 << 16


@dataclass(frozen=True)
class _Seen:
    """What tells one state of a file from another."""

    inode: int
    bytes: int
    modified_ns: int


class ForeignSource:
    """An index file and what a framework keeps beside it. FAISS has it open in a process of its own."""

    def __init__(self, place: Place, shown: str, stated: Metric | None = None) -> None:
        """Open and check it. stated: the metric the address states.

        Raises NoSuchCollection, ArchiveCorrupt, Unsupported, Refused, or Integrity where vectors and ids do
        not match.
        """
        self.place, self._shown = place, shown
        self._seen = self._state()
        self._lock = threading.Lock()
        self._map: IdMap | None = None
        self._all_labels: np.ndarray | None = None
        self._spool: Spool | None = None
        self._file = Stored(self._index, shown)
        self._reader = Reader(self._file)
        try:
            self.space = self._space(stated)
            if place.layout != "file":
                self._spool = spooled(place, shown)
                self._require_pairs()
        except BaseException:
            self.close()
            raise

    @property
    def _index(self) -> Path:
        return self.place.index or self.place.folder

    @property
    def facts(self) -> Facts:
        """What the index file is."""
        return self._reader.facts

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
        """What a sidecar of ours would hold, but ids may repeat."""
        return foreign(16 if self.facts.half else 32)

    def _space(self, stated: Metric | None) -> Space:
        facts = self.facts
        metric = None if facts.metric is None else Metric(facts.metric)
        if metric is Metric.IP and stated is Metric.COSINE:
            # FAISS has no cosine: an index for it holds unit vectors and compares their products.
            metric = stated
        return Space(dimension=facts.dimension, metric=metric).with_metric(stated, self._shown)

    def _require_pairs(self) -> None:
        """Raise Integrity unless every vector has an id and every id a vector."""
        if self._spool is None:
            return
        labels = np.concatenate([part for _, part in self._labels()] or [np.empty(0, dtype=np.int64)])
        without = [int(n) for part in _chunks(labels) for n, d in self._numbered(part) if d is None]
        if without:
            shown = ", ".join(map(str, without[:3]))
            raise self._unpaired(f"{len(without):,} of {len(labels):,} vectors have no id (numbers {shown}, ...)")
        count, examples = self._spool.lonely(labels)
        if count:
            names = ", ".join(f"{name!r:.60}" for name in examples)
            raise self._unpaired(f"{count:,} ids have no vector, such as {names}; there are {len(labels):,} vectors")

    def _numbered(self, labels: np.ndarray) -> Iterator[tuple[int, Document | None]]:
        found = [None] * len(labels) if self._spool is None else self._spool.documents(labels)
        yield from zip(labels.tolist(), found, strict=True)

    def _unpaired(self, words: str) -> Integrity:
        return Integrity(
            f"index and documents do not belong together: {words}",
            where=self._shown,
            left="nothing was read from it",
            next="save both anew, or restore both from one backup",
        )

    def describe(self) -> Collection:
        """Return what the index file says, and what a person should know of it."""
        facts = self.facts
        return Collection(
            self.place.name,
            True,
            facts.rows,
            self.space,
            _index_of(facts),
            bytes=self._file.size,
            notes=tuple(self._notes()),
            layout="plain" if self.place.layout == "file" else self.place.layout,
            volume=str(self.place.folder if self.place.layout != "file" else self._index.parent),
            extra={"faiss": facts.layers, "codec": facts.codec},
        )

    def _notes(self) -> Iterator[str]:
        facts = self.facts
        if facts.codec is not None:
            yield (
                f"the index keeps codes, not the vectors ({facts.codec}): what is read are approximations of what"
                " was put in"
            )
        if facts.metric is None:
            yield f"FAISS compares these vectors by its metric {facts.metric_number}, which has no counterpart"
        if self.space.metric is Metric.IP:
            yield "compared by inner product; if its vectors have length 1, ?metric=cosine says the same"
        if self.place.layout == "file":
            yield "an index file alone has no texts and no metadata; ids are the numbers of its vectors"
        if self._spool is not None and (spare := self._spool.spare()):
            yield f"{spare:,} documents have no vector here and are not read"

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records in the order of the index."""
        step = max(1, min(rows, PAGE_BYTES // (4 * max(1, self.facts.dimension))))
        for first in range(0, self.facts.rows, step):
            count = min(step, self.facts.rows - first)
            page = self._page(self._reader.labels(first, count), self._reader.vectors(first, count))
            self._require_unchanged()
            yield from _small(page)

    def _page(self, labels: np.ndarray, vectors: np.ndarray) -> Page:
        if self._spool is None:
            nothing = pa.nulls(len(labels), pa.string())
            return Page(make_batch(_names(labels), vectors, nothing, nothing))
        found = [d for _, d in self._numbered(labels) if d is not None]
        rejects = [Reject(d.id, *d.fault) for d in found if d.fault is not None]
        good = [d for d in found if d.fault is None]
        if rejects:
            vectors = vectors[[d.fault is None for d in found]]
        columns = [d.id for d in good], vectors, [d.text for d in good], [d.metadata for d in good]
        return Page(make_batch(*columns), rejects)

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id in the order of the index, those of rejects included."""
        for _, labels in self._labels(rows):
            yield self._ids(labels)
        self._require_unchanged()

    def _labels(self, rows: int = _LABELS) -> Iterator[tuple[int, np.ndarray]]:
        for first in range(0, self.facts.rows, rows):
            yield first, self._reader.labels(first, min(rows, self.facts.rows - first))

    def _ids(self, labels: np.ndarray) -> pa.Array:
        if self._spool is None:
            return _names(labels)
        return pa.array([d.id for _, d in self._numbered(labels) if d is not None], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids; of several with one id the first."""
        wanted = ids.unique()
        if not len(wanted):
            return Page(pa.RecordBatch.from_pylist([], schema=schema(self.facts.dimension)))
        with self._lock:
            if self._map is None:
                self._map = IdMap()
                for first, labels in self._labels():
                    self._map.add(hashes(self._ids(labels)), first)
        rows = self._map.find(wanted, hashes(wanted), self._ids_at)
        if len(rows):
            _, firsts = np.unique(np.asarray(self._ids_at(rows).to_pylist(), dtype=object), return_index=True)
            rows = rows[np.sort(firsts)]
        page = self._take(rows)
        self._require_unchanged()
        return page

    def _ids_at(self, rows: np.ndarray) -> pa.Array:
        return self._ids(self._labels_at(rows))

    def _labels_at(self, rows: np.ndarray) -> np.ndarray:
        if not self.facts.labelled:
            return rows
        if self._all_labels is None:
            self._all_labels = np.concatenate([part for _, part in self._labels()] or [np.empty(0, dtype=np.int64)])
        found: np.ndarray = self._all_labels[rows]
        return found

    def _take(self, rows: np.ndarray) -> Page:
        return self._page(self._labels_at(rows), self._reader.take(rows))

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k records nearest to a vector; see `wherry.stores.base.Searchable`."""
        finder = Finder(
            self.space,
            self._shown,
            self.facts.rows,
            self.scan,
            self._reader.search,
            lambda rows: self._take(rows).records,
        )
        return finder.search(vector, k, where, exact)

    def _state(self) -> _Seen | None:
        try:
            found = self._index.stat()
        except FileNotFoundError:
            return None
        return _Seen(found.st_ino, found.st_size, found.st_mtime_ns)

    def _require_unchanged(self) -> None:
        """Raise SourceChanged when the index file was written since it was opened: FAISS does so in place."""
        if self._state() != self._seen:
            raise SourceChanged(
                "the index file was changed while it was being read",
                where=self._shown,
                left="records read before the change may have been written already",
                next="wait until it is complete, then run the same command again",
            )

    def close(self) -> None:
        """End the process that has the index open; a second call does nothing."""
        self._reader.close()
        if self._spool is not None:
            self._spool.close()


def _index_of(facts: Facts) -> Index:
    if facts.m is not None:
        return Index("hnsw", facts.m, facts.ef_construction)
    return Index("ivfflat" if facts.lists is not None else "flat")


def _names(labels: np.ndarray) -> pa.Array:
    return pa.array(labels, type=pa.int64()).cast(pa.string())


def _chunks(labels: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(labels), _LABELS):
        yield labels[start : start + _LABELS]


def _small(page: Page) -> Iterator[Page]:
    """Cut a page whose texts are long; rejects go with the first part."""
    rejects = page.rejects
    for part in pieces(page.records, page.records.num_rows or 1):
        yield Page(part, rejects)
        rejects = []
    if rejects:
        yield Page(page.records, rejects)
