"""Putting sources into the index: compared by hash and count, embedded in batches, replaced in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wherry import BadRecord, WherryError
from wherry_apps.evals.composing import Composed
from wherry_apps.evals.embedding import RunEmbedder
from wherry_apps.evals.index import Entry, Index, Known
from wherry_apps.evals.rules import source_hash
from wherry_apps.evals.runs import Json

# So many documents are held with their vectors before they are written.
_PENDING = 2_000
_LISTED = 1_000


@dataclass(frozen=True)
class Wanted:
    """A source as it should be in the index. limit: of chunks, for a guide."""

    owner: str
    source: str
    documents: Sequence[Composed]
    chunker: Json
    limit: int | None = None
    place: str = ""
    fingerprint: str = ""
    facts: Json = field(default_factory=dict)


@dataclass
class Tally:
    """What a run over the index counted; sources, except where texts are named.

    `scanned = new + modified + unchanged + failed` holds. embedded, reused: texts. cost: US dollars, None where no
    price is known.
    """

    scanned: int = 0
    new: int = 0
    modified: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    embedded: int = 0
    reused: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    failures: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, words: str | None) -> None:
        """Keep a sentence for the reader once; of very many, the first."""
        if words and words not in self.notes and len(self.notes) < _LISTED:
            self.notes.append(words)


class Filling:
    """One run over the index. Not for several threads."""

    def __init__(self, index: Index, embedder: RunEmbedder, record: Json, tally: Tally) -> None:
        self.index, self.embedder, self.record, self.tally = index, embedder, record, tally
        self._pending: list[tuple[Wanted, str, Known | None]] = []
        self._documents = 0
        self._prepared = False

    def put(self, wanted: Wanted, known: Known | None) -> None:
        """Put one source in place, now or together with the next ones."""
        parts = [(document.content, document.metadata) for document in wanted.documents]
        digest = source_hash(parts, self.record, wanted.chunker, wanted.limit)
        same = known is not None and known.whole and known.source_hash == digest
        if same and known is not None and known.documents == len(wanted.documents):
            self.tally.unchanged += 1
            if (known.fingerprint, known.place) != (wanted.fingerprint, wanted.place):
                self.index.same(wanted.owner, {wanted.source: wanted.fingerprint}, wanted.place)
            return
        self._pending.append((wanted, digest, known))
        self._documents += len(wanted.documents)
        if self._documents >= _PENDING:
            self.flush()

    def fail(self, owner: str, source: str, place: str, error: WherryError) -> None:
        """Note that a source could not be indexed; the others go on."""
        self.tally.failed += 1
        if len(self.tally.failures) < _LISTED:
            self.tally.failures.append(
                {"source": source, "error": type(error).__name__, "message": error.what, "where": error.where}
            )
        self.index.fail(owner, source, place, error.what)

    def flush(self) -> None:
        """Embed and write what is pending. Raises what stops everything; what was written before stays."""
        pending, self._pending, self._documents = self._pending, [], 0
        if not pending:
            return
        if not self._prepared:
            self.index.prepare(self.record["dim"])
            self._prepared = True
        for owner in sorted({wanted.owner for wanted, _, _ in pending}):
            self._write(owner, [one for one in pending if one[0].owner == owner])

    def _write(self, owner: str, pending: list[tuple[Wanted, str, Known | None]]) -> None:
        # Vectors of an unknown embedder are in the way, and never taken over.
        own = [wanted.source for wanted, _, known in pending if known is not None and known.embedder == self.record]
        stood = self.index.vectors(owner, own)
        self.index.begin(owner, {wanted.source: wanted.place for wanted, _, _ in pending})
        found = stood | self._embedded([wanted for wanted, _, _ in pending], stood)
        entries = []
        for wanted, digest, known in pending:
            vectors = [found[document.content] for document in wanted.documents]
            bad = next((one for one in vectors if isinstance(one, WherryError)), None)
            if bad is not None:
                self.fail(owner, wanted.source, wanted.place, BadRecord(bad.what, where=wanted.source))
                continue
            entries.append((_entry(wanted, digest, vectors), wanted.chunker))
            self.tally.new += known is None
            self.tally.modified += known is not None
        for chunker in _distinct([chunker for _, chunker in entries]):
            self.index.replace([entry for entry, its in entries if its == chunker], self.record, chunker)

    def _embedded(self, wanted: list[Wanted], stood: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return a vector or an error for each text that has none yet; what stops everything is noted and raised."""
        texts = list(dict.fromkeys(document.content for one in wanted for document in one.documents))
        missing = [text for text in texts if text not in stood]
        try:
            found = dict(zip(missing, self.embedder.embed_each(missing), strict=True)) if missing else {}
        except WherryError as error:
            for one in wanted:
                self.index.fail(one.owner, one.source, one.place, error.what)
            raise
        self.tally.embedded += sum(isinstance(one, np.ndarray) for one in found.values())
        self.tally.reused += len(texts) - len(missing)
        return found


def _entry(wanted: Wanted, digest: str, vectors: list[Any]) -> Entry:
    return Entry(
        wanted.owner, wanted.source, digest, wanted.documents, vectors, wanted.place, wanted.fingerprint, wanted.facts
    )


def _distinct(values: list[Json]) -> list[Json]:
    found: list[Json] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
