"""How an index stands: what it covers, what waits, what ran last. Nothing is read but Wherry's own tables."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from wherry.address import Address
from wherry.errors import NoSuchCollection
from wherry.indexing import letters, manifest
from wherry.indexing.lease import holder
from wherry.indexing.place import Place, located
from wherry.indexing.results import LISTED, Failure
from wherry.postgres.database import Database, is_missing

_SOURCES = """
SELECT s.name, s.documents, s.chunks, s.failed, s.clean IS NOT NULL, s.finished_at::timestamp(0)::text
FROM wherry.sources s WHERE s."index" = $1 AND s.generation = $2 ORDER BY s.name
"""
_COVERED = """
SELECT count(*), coalesce(sum(d.chunks), 0), count(*) FILTER (WHERE d.source_fp IS NULL),
       count(l.document), (SELECT count(*) FROM wherry.dead_letters x WHERE x."index" = $1 AND x.generation = $2),
       (SELECT count(*) FROM wherry.intents n WHERE n."index" = $1 AND n.generation = $2 AND n.state = 'pending'),
       extract(epoch FROM now() - least(
         (SELECT min(first_at) FROM wherry.dead_letters x WHERE x."index" = $1 AND x.generation = $2),
         (SELECT min(noted_at) FROM wherry.intents n WHERE n."index" = $1 AND n.generation = $2)))::float
FROM wherry.documents d LEFT JOIN wherry.dead_letters l ON l."index" = d."index" AND l.generation = d.generation
  AND l.source = d.source AND l.document = d.id
WHERE d."index" = $1 AND d.generation = $2
"""
_INDEXES = """
SELECT i.shown, i.live, g.embedder, coalesce(sum(s.documents), 0)::bigint, coalesce(sum(s.chunks), 0)::bigint,
       coalesce(sum(s.failed), 0)::bigint, coalesce(bool_and(s.clean IS NOT NULL), false),
       max(s.finished_at)::timestamp(0)::text
FROM wherry.indexes i JOIN wherry.generations g ON g."index" = i.id AND g.number = i.live
LEFT JOIN wherry.sources s ON s."index" = i.id AND s.generation = i.live
GROUP BY i.id, i.shown, i.live, g.embedder ORDER BY i.shown
"""
_RUNS = """
SELECT id, act, generation, state, started_at::timestamp(0)::text, ended_at::timestamp(0)::text, statistics, error
FROM wherry.runs r WHERE "index" = $1 ORDER BY r.started_at DESC, r.id DESC LIMIT $2
"""
_SHARE = """
SELECT (SELECT count(*) FROM wherry.documents WHERE "index" = $1 AND generation = $2)::float
       / greatest((SELECT count(*) FROM wherry.documents WHERE "index" = $1 AND generation = $3), 1)
"""


@dataclass(frozen=True)
class SourceStatus:
    """One source. clean: the last run that looked at it ended well. finished_at: when, in the server's time."""

    name: str
    documents: int
    chunks: int
    failed: int
    clean: bool
    finished_at: str | None


@dataclass(frozen=True)
class Listed:
    """One index of a database. clean: the last run of each of its sources ended well. finished_at: the latest end."""

    into: str
    generation: int
    embedder: str
    documents: int
    chunks: int
    failed: int
    clean: bool
    finished_at: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Status:
    """How an index stands.

    coverage: share of its documents that are indexed as they were last seen, 0 to 1. stale: documents that serve an
    earlier version. failed: dead letters. backlog: documents that wait: failed ones, ones marked for mending, writes
    begun and not known to have ended. oldest_pending_s: seconds the oldest of them has waited. running: who is at
    work now. generations: (number, state, embedder, share built). index: the vector index in a word, None where the
    collection is gone.
    """

    into: str
    generation: int
    embedder: str
    dimension: int | None
    documents: int
    chunks: int
    coverage: float
    stale: int
    failed: int
    backlog: int
    oldest_pending_s: float | None
    sources: tuple[SourceStatus, ...]
    generations: tuple[tuple[int, str, str, float], ...]
    running: dict[str, Any] | None
    last_run: dict[str, Any] | None
    rows: int | None
    index: str | None
    failures: tuple[Failure, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 complete, 1 when documents wait or the collection is not what the manifest says."""
        return 0 if not self.backlog and self.rows == self.chunks and self.index != "invalid" else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        return asdict(self)


def status(into: str | os.PathLike[str] | Address) -> Status:
    """Return how an index stands. Raises NoSuchCollection where there is none."""
    with located(into) as (place, index, live):
        database, key = place.database, [index, live.number]
        documents, chunks, marked, stale, failed, pending, oldest = database.ask(_COVERED, key)[0]
        known = documents + failed - stale
        rows, state = _health(place, live.place)
        return Status(
            into=place.target.shown,
            generation=live.number,
            embedder=live.embedder,
            dimension=live.space.dimension,
            documents=documents,
            chunks=int(chunks),
            coverage=round((documents - stale - marked) / known, 4) if known else 1.0,
            stale=stale,
            failed=failed,
            backlog=failed + marked + pending,
            oldest_pending_s=None if oldest is None else round(oldest, 1),
            sources=tuple(SourceStatus(*row) for row in database.ask(_SOURCES, key)),
            generations=_generations(place, index, live.number),
            running=holder(database, index),
            last_run=next(iter(runs(place, index, 1)), None),
            rows=rows,
            index=state,
            failures=tuple(letter.failure for letter in letters.letters(database, *key).values())[:LISTED],
        )


def indexes(database: Database) -> list[Listed]:
    """Return every index that a database remembers; none where nothing was ever indexed."""
    try:
        return [Listed(*row) for row in database.ask(_INDEXES)]
    except NoSuchCollection as error:
        if is_missing(error):
            return []
        raise


def runs(place: Place, index: int, most: int) -> list[dict[str, Any]]:
    """Return the last runs of an index, latest first."""
    names = ("run", "act", "generation", "state", "started_at", "ended_at", "statistics", "error")
    return [dict(zip(names, row, strict=True)) for row in place.database.ask(_RUNS, [index, most])]


def _generations(place: Place, index: int, live: int) -> tuple[tuple[int, str, str, float], ...]:
    found = []
    for one in manifest.generations(place.database, index):
        share = place.database.ask(_SHARE, [index, one.number, live])[0][0] if one.state == "building" else 1.0
        found.append((one.number, one.state, one.embedder, round(min(share, 1.0), 4)))
    return tuple(found)


def _health(place: Place, where: dict[str, Any]) -> tuple[int | None, str | None]:
    """Return (rows, index in a word); None for a collection that is gone, which is what a status is for."""
    try:
        place.open(where)
        return place.health()
    except NoSuchCollection:
        return None, None
