"""Finding what happened to an index behind its back, and putting it up for the next run to mend.

`verify` compares the manifest with what the collection holds: every id, and the vectors of a sample of the
documents; `deep` reads everything, text, metadata and vector. `repair` marks what is wrong, and only that, so
that the next run writes it again: from vectors that were paid for, and documents that are read anew.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from wherry.address import Address
from wherry.errors import NoSuchCollection
from wherry.indexing import fingerprints, manifest
from wherry.indexing.diff import Known
from wherry.indexing.lease import LEASE_S, held
from wherry.indexing.manifest import Generation
from wherry.indexing.place import Place, located, opened
from wherry.indexing.results import LISTED
from wherry.state import new_run

SAMPLE_DOCUMENTS = 200
_PAGE_DOCUMENTS = 200
_MARK = """
UPDATE wherry.documents SET source_fp = NULL, mtime_ns = NULL
WHERE "index" = $1 AND generation = $2 AND (source, id) IN (SELECT * FROM unnest($3::text[], $4::text[]))
"""
_SOIL = 'UPDATE wherry.sources SET clean = NULL WHERE "index" = $1 AND generation = $2 AND name = ANY ($3::text[])'


@dataclass(frozen=True)
class Finding:
    """Something wrong with a document. kind: missing, text, metadata or vector. chunks: how many are affected."""

    source: str
    document: str
    kind: str
    chunks: int


@dataclass(frozen=True)
class Checked:
    """What `verify` found.

    level: `ids` (with the vectors of a sample) or `deep`. documents, chunks: by the manifest. rows: in the collection.
    wrong: documents with findings. strangers: rows that no document of the index has. index: the vector index in a
    word. waiting: documents that failed, or are marked for mending.
    """

    into: str
    level: str
    generation: int
    documents: int
    chunks: int
    rows: int
    wrong: int
    strangers: int
    index: str
    waiting: int
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether the collection holds what the manifest says, and can be searched."""
        return not (self.wrong or self.strangers or self.index == "invalid")

    @property
    def exit_code(self) -> int:
        """0 sound, 1 different."""
        return 0 if self.sound else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return {**asdict(self), "sound": self.sound}


@dataclass(frozen=True)
class Repaired:
    """What `repair` put up for the next run: documents to write again, whether the table had to be made again."""

    into: str
    marked: int
    remade: bool
    findings: tuple[Finding, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return asdict(self)


def verify(into: str | os.PathLike[str] | Address, *, deep: bool = False) -> Checked:
    """Compare an index with its manifest. Raises NoSuchCollection where there is none, or its table is gone."""
    started = time.monotonic()
    with opened(into) as (place, index, live):
        found, totals, strangers = _look(place, index, live, deep)
        rows, state = place.health()
        waiting = place.database.ask(
            'SELECT (SELECT count(*) FROM wherry.dead_letters WHERE "index" = $1 AND generation = $2)'
            ' + (SELECT count(*) FROM wherry.documents WHERE "index" = $1 AND generation = $2 AND source_fp IS NULL)',
            [index, live.number],
        )[0][0]
        return Checked(
            place.target.shown, "deep" if deep else "ids", live.number, totals["documents"], totals["chunks"], rows,
            len({(f.source, f.document) for f in found}), strangers, state, int(waiting), tuple(found[:LISTED]),
            round(time.monotonic() - started, 4),
        )  # fmt: skip


def repair(into: str | os.PathLike[str] | Address, *, deep: bool = False, lease_s: float = LEASE_S) -> Repaired:
    """Mark what is wrong for the next run, which writes it again; make the table again if it is gone."""
    started = time.monotonic()
    with located(into) as (place, index, live):
        with held(place.database, index, new_run(), "repair", place.target.shown, lease_s) as lease:
            remade = _remade(place, index, live)
            found, _, _ = _look(place, index, live, deep or remade)
            wrong = sorted({(f.source, f.document) for f in found})
            with place.database.begin() as connection:
                lease.require(connection)
                key = [index, live.number]
                connection.execute(_MARK, [*key, [source for source, _ in wrong], [name for _, name in wrong]])
                connection.execute(_SOIL, [*key, sorted({source for source, _ in wrong})])
            place.mend()
        seconds = round(time.monotonic() - started, 4)
        return Repaired(place.target.shown, len(wrong), remade, tuple(found[:LISTED]), seconds)


def _remade(place: Place, index: int, live: Generation) -> bool:
    """Open the collection, or make it again when it is gone; return whether it was."""
    try:
        place.open(live.place)
    except NoSuchCollection:
        with place.database.begin() as connection:
            _, relation = place.make(connection, live.space)
            connection.execute(
                'UPDATE wherry.generations SET relation = $3::bigint::oid WHERE "index" = $1 AND number = $2',
                [index, live.number, relation],
            )
        return True
    return False


def _look(place: Place, index: int, live: Generation, deep: bool) -> tuple[list[Finding], Counter[str], int]:
    """Return (findings, totals, rows nobody knows)."""
    there = _rows(place)
    totals: Counter[str] = Counter()
    found: list[Finding] = []
    for page in manifest.each(place.database, index, live.number, _PAGE_DOCUMENTS):
        sampled = page if deep else page[: max(0, SAMPLE_DOCUMENTS - totals["documents"])]
        totals["documents"] += len(page)
        for source, known in page:
            ids = place.row_ids(source, known)
            totals["chunks"] += len(ids)
            missing = sum(1 for name in ids if name not in there)
            there.difference_update(ids)
            if missing:
                found.append(Finding(source, known.id, "missing", missing))
        found += _values(place, live, sampled, deep)
    return found, totals, len(there)


def _rows(place: Place) -> set[str]:
    with place.database.begin() as connection:
        return {name for part in place.keys(connection) for name in part}


def _values(place: Place, live: Generation, page: Sequence[tuple[str, Known]], deep: bool) -> Iterator[Finding]:
    """Yield the documents of a page whose rows hold something else than was written."""
    if not page:
        return
    settings = fingerprints.settings_fp(live.space)
    rows = [(place.row_ids(source, known), source, known) for source, known in page]
    ids = [name for names, _, _ in rows for name in names]
    keys = [fingerprints.embed_fp(key, settings) for _, _, known in rows for key in known.chunk_fps]
    with place.database.begin() as connection:
        wrong = place.wrong_vectors(connection, ids, keys, live.space.normalised is True)
        texts = place.texts(connection, ids) if deep else {}
    for names, source, known in rows:
        counts = {"vector": sum(1 for name in names if name in wrong)}
        if deep:
            counts |= _told(names, known, texts)
        yield from (Finding(source, known.id, kind, count) for kind, count in counts.items() if count)


def _told(names: list[str], known: Known, texts: dict[str, tuple[str, str]]) -> dict[str, int]:
    """Count chunks whose text or metadata is not what the manifest says."""
    counts = {"text": 0, "metadata": 0}
    for name, chunk, meta in zip(names, known.chunk_fps, known.meta_fps, strict=True):
        if name in texts:
            text, metadata = texts[name]
            counts["text"] += fingerprints.chunk_fp(text) != chunk
            counts["metadata"] += fingerprints.meta_fp(orjson.loads(metadata)) != meta
    return counts
