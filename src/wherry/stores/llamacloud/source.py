"""A pipeline of LlamaCloud to be read: its documents' chunks are the records."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from wherry.errors import SourceChanged, Usage
from wherry.record import Page, Reject, make_batch
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, Hit, IdKind, Kind
from wherry.stores.llamacloud.chunks import Row
from wherry.stores.llamacloud.embedding import Embedding
from wherry.stores.llamacloud.hits import hit_of
from wherry.stores.llamacloud.link import Link
from wherry.stores.llamacloud.notes import notes
from wherry.stores.llamacloud.pipeline import Pipeline
from wherry.stores.llamacloud.place import Place
from wherry.stores.llamacloud.reading import Reading
from wherry.stores.llamacloud.spool import Spool

PAGE_BYTES = 16 << 20
# How often documents that came meanwhile are looked for at the end of a scan.
_ROUNDS = 5
CAPABILITIES = Capabilities(
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
    filterable=frozenset({Kind.TEXT, Kind.INTEGER, Kind.FLOAT, Kind.BOOL}),
    integer_bits=None,
    negative_zero=True,
    text_in_place=True,
    snapshot_scan=False,
    stable_order=False,
    unique_ids=False,
    atomic_batch=False,
    detects_changes=False,
    atomic_switch=False,
)


class LlamaCloudSource:
    """A pipeline, read only.

    `describe` and the end of every scan ask the service which documents there are and read what is new;
    `ids` and `fetch` answer from what was last read.
    """

    def __init__(self, place: Place, link: Link, pipeline: Pipeline) -> None:
        self._place, self._link, self._pipeline = place, link, pipeline
        self._spool = Spool(self._key(), pipeline.making)
        self._reading = Reading(link, pipeline.id, self._spool)
        self._embedding = Embedding(place, pipeline) if place.embedder else None
        self._begun = self._done = self._closed = False

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self._place.shown

    @property
    def identity(self) -> str:
        """Service and pipeline; a name and an id of one pipeline are one identity."""
        anew = f" by {self._place.embedder}" if self._place.embedder else ""
        return f"llamacloud://{self._place.host}#{self._pipeline.id}{anew}"

    @property
    def capabilities(self) -> Capabilities:
        """What a chunk can hold."""
        return CAPABILITIES

    def describe(self) -> Collection:
        """Return what is there now; everything that is not known yet is read for that."""
        self._reading.refresh()
        statuses = self._link.statuses(self._pipeline.id)
        bill = self._embedding.bill(self._rows({})) if self._embedding else None
        return Collection(
            name=self._pipeline.name,
            exists=True,
            count=self._spool.count(),
            space=self._space(),
            notes=tuple(notes(self._place, self._pipeline, self._spool, statuses, self._reading.spared or 0, bill)),
            extra={"pipeline": self._pipeline.id, "missing_vectors": self._spool.missing().records},
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all chunks, document by document.

        Raises SourceChanged at the end when a document that was already handed out changed or went meanwhile,
        and Refused, before anything is sent to a model, when embedding would cost more than was agreed to.
        """
        if not self._reading.whole:
            self._reading.refresh()
        self._begun = True
        dimension = self._dimension() or 0
        given: dict[str, bytes] = {}
        for _ in range(_ROUNDS):
            self._require_agreed(self._rows(dict(given)))
            for gathered in _gathered(self._rows(given), rows, dimension):
                yield _page(self._vectored(gathered), dimension)
            self._reading.refresh()
            self._require_same(given)
            if len(given) == len(self._spool.documents()):
                self._done = True
                return
        raise self._changed("documents keep arriving")

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id as it was last read, those of rejects included."""
        if not self._reading.whole:
            self._reading.refresh()
        yield from self._spool.ids(rows)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids as they were last read."""
        if not self._reading.whole:
            self._reading.refresh()
        found = self._spool.rows_of(dict.fromkeys(ids.to_pylist()))
        self._require_agreed(iter(found))
        return _page(self._vectored(found), self._dimension() or 0)

    def texts(self) -> Iterator[tuple[str, str | None, str | None]]:
        """Yield id, text and metadata (JSON text) of every chunk that was last read, those without a vector too."""
        if not self._reading.whole:
            self._reading.refresh()
        for row in self._rows({}):
            yield row.id, row.text, row.metadata

    def retrieve(self, query: str, k: int = 5) -> list[Hit]:
        """Ask the service itself a question: the k chunks nearest by vector, without its reranking.

        For comparing its answers with those of another store. Raises Usage for k below 1.
        """
        if k < 1 or not query.strip():
            raise Usage("a question and at least one answer are needed", where=self.address)
        return [hit_of(node, self.address) for node in self._link.retrieve(self._pipeline.id, query, k)][:k]

    def close(self) -> None:
        """Let go of connections and of what was read; of a reading that was interrupted it is kept."""
        if self._closed:
            return
        self._closed = True
        self._link.close()
        if self._embedding is not None:
            self._embedding.close()
        interrupted = not self._reading.whole or (self._begun and not self._done)
        self._spool.close(keep=interrupted and bool(self._spool.documents()))

    def __repr__(self) -> str:
        return f"LlamaCloudSource({self.address!r})"

    def _key(self) -> str:
        # What is carried into the metadata is part of what was read.
        return f"{','.join(self._place.carry)} llamacloud://{self._place.host}#{self._pipeline.id}"

    def _space(self) -> Space:
        theirs = self._pipeline.space(self._place.metric, self._dimension(), self.address)
        if self._embedding is None:
            return theirs
        mine = self._embedding.space
        return mine.with_metric(self._place.metric, self.address) if self._embedding.anew else theirs.filled_from(mine)

    def _dimension(self) -> int | None:
        """Return the components of the collection's vectors: as configured where any has so many, else as most have."""
        if self._embedding is not None:
            return self._embedding.space.dimension
        found, configured = self._spool.dimensions(), self._pipeline.dimension
        if not found or configured in found:
            return configured
        return max(found, key=lambda dimension: (found[dimension], dimension))

    def _require_agreed(self, rows: Iterator[Row]) -> None:
        if self._embedding is not None:
            self._embedding.require_agreed(self._embedding.bill(rows))

    def _vectored(self, rows: list[Row]) -> list[Row]:
        return rows if self._embedding is None else self._embedding.filled(rows)

    def _rows(self, given: dict[str, bytes]) -> Iterator[Row]:
        """Yield the chunks of documents that were not given yet, and note what was given."""
        for document in self._spool.documents():
            if document.id not in given:
                given[document.id] = document.digest
                yield from self._spool.rows(document.number)

    def _require_same(self, given: dict[str, bytes]) -> None:
        now = {document.id: document.digest for document in self._spool.documents()}
        changed = [document for document, digest in given.items() if now.get(document, b"") != digest]
        if changed:
            gone = sum(document not in now for document in changed)
            raise self._changed(
                f"{len(changed):,} of {len(given):,} documents changed while they were read, {gone:,} went"
            )

    def _changed(self, what: str) -> SourceChanged:
        return SourceChanged(
            what,
            where=self.address,
            left="what was read is kept for a while; nothing was deleted anywhere",
            next="run the same command again: only what changed is asked for",
        )


def _gathered(found: Iterator[Row], rows: int, dimension: int) -> Iterator[list[Row]]:
    """Gather what goes onto a page: at most `rows` records and some 16 MiB."""
    waiting: list[Row] = []
    size = 0
    for row in found:
        waiting.append(row)
        size += 4 * dimension + len(row.text or "") * 3 + len(row.metadata or "") * 3
        if len(waiting) >= rows or size >= PAGE_BYTES // 2:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _page(found: list[Row], dimension: int) -> Page:
    good = [row for row in found if row.fault is None and row.dimension == dimension]
    rejects = [_reject(row, dimension) for row in found if row.fault is not None or row.dimension != dimension]
    joined = b"".join(row.vector for row in good if row.vector is not None)
    vectors = np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False).reshape(len(good), dimension)
    records = make_batch([row.id for row in good], vectors, [row.text for row in good], [row.metadata for row in good])
    return Page(records, rejects)


def _reject(row: Row, dimension: int) -> Reject:
    if row.fault is not None:
        return Reject(row.id, *row.fault)
    return Reject(row.id, "WrongDimension", f"{row.dimension} components, most have {dimension}")


__all__ = ["CAPABILITIES", "LlamaCloudSource"]
