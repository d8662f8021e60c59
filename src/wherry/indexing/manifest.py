"""What an index holds and from what it was made: its generations, its sources, its documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from wherry.errors import WherryError
from wherry.indexing.base import Stamp
from wherry.indexing.diff import Change, Known, split
from wherry.indexing.fingerprints import signed
from wherry.postgres.database import Database, is_missing, require_version
from wherry.space import Space


@dataclass(frozen=True)
class Target:
    """Which collection an address means, as the manifest finds it.

    key: equal for two addresses exactly when they mean one collection; None for a table, whose schema only the
    server can tell. schema: as the address states it. pair: the name read as `schema.table`.
    """

    shown: str
    key: str | None = None
    schema: str | None = None
    table: str | None = None
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class Generation:
    """One complete build of an index in one space. place: where its rows are. there: whether they still are."""

    number: int
    state: str
    embedder: str
    space: Space
    place: dict[str, Any]
    there: bool = True


@dataclass(frozen=True)
class SourceRow:
    """What an index knows of one source. chunker, origin: the specs it can be opened by, `""` and None where

    somebody's own object was given. clean: None while it may differ from what was last indexed."""

    name: str
    chunker: str
    origin: str | None
    recipe_fp: bytes
    clean: bytes | None
    scan_fp: bytes | None
    unsure_fp: bytes | None
    unread: list[str]
    read_from_ns: int
    documents: int
    chunks: int
    failed: int


@dataclass(frozen=True)
class Standing:
    """What one look at an index tells. index: None when there is none. live: the generation readers see."""

    key: str = ""
    index: int | None = None
    live: Generation | None = None
    sources: dict[str, SourceRow] = field(default_factory=dict)


# The schema is the one in the address, else of a table that is there, else where a new one would be made.
_KEY = """
WITH seen AS (
  SELECT (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relname = $3 AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)) AS schema,
         (SELECT nspname FROM pg_namespace WHERE nspname = $4) AS pair
), named AS (
  SELECT coalesce($1, 'table:' || CASE
    WHEN $2::text IS NOT NULL THEN format('%I.%I', $2::text, $3::text)
    WHEN seen.schema IS NULL AND pair IS NOT NULL THEN format('%I.%I', pair, $5::text)
    ELSE format('%I.%I', coalesce(seen.schema, current_schema()), $3::text) END) AS target
  FROM seen
)"""
_LOOK = f"""{_KEY}
SELECT named.target, (SELECT version_num FROM wherry.alembic_version), i.id, g.number, g.state, g.embedder, g.space,
       g.place, g.relation IS NULL
       OR g.relation = to_regclass(format('%I.%I', g.place->>'schema', g.place->>'table'))::oid,
       s.name, s.chunker, s.origin, s.recipe_fp, s.clean, s.scan_fp, s.unsure_fp, s.unread, s.read_from_ns,
       s.documents, s.chunks, s.failed
FROM named LEFT JOIN wherry.indexes i ON i.target = named.target
LEFT JOIN wherry.generations g ON g."index" = i.id AND g.number = i.live
LEFT JOIN wherry.sources s ON s."index" = i.id AND s.generation = i.live AND (s.name = ANY ($6::text[]) OR $6 IS NULL)
"""
_ENROLL = """
INSERT INTO wherry.indexes (target, shown) VALUES ($1, $2)
ON CONFLICT (target) DO UPDATE SET shown = EXCLUDED.shown RETURNING id
"""
_GENERATIONS = """
SELECT number, state, embedder, space, place, relation IS NULL
       OR relation = to_regclass(format('%I.%I', place->>'schema', place->>'table'))::oid
FROM wherry.generations WHERE "index" = $1 ORDER BY number
"""
_OPEN = """
INSERT INTO wherry.generations ("index", number, state, embedder, space, place, relation)
VALUES ($1, $2, $3, $4, $5, $6, $7::bigint::oid)
"""
_DIRTY = """
INSERT INTO wherry.sources ("index", generation, name, chunker, origin, recipe_fp) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ("index", generation, name) DO UPDATE SET chunker = EXCLUDED.chunker, origin = EXCLUDED.origin,
  recipe_fp = EXCLUDED.recipe_fp, clean = NULL
"""
_CLEAN = """
UPDATE wherry.sources SET clean = $4, scan_fp = $5, unsure_fp = $6, unread = $7, read_from_ns = $8, documents = $9,
       chunks = $10, failed = $11, finished_at = now()
WHERE "index" = $1 AND generation = $2 AND name = $3
"""
# Documents that stand as they are listed and were trusted then are not among the rows.
_DIFFER = """
SELECT coalesce(l.id, d.id), l.id IS NOT NULL, d.source_fp, d.recipe_fp, d.chunks
FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) AS l(id, size, mtime_ns, inode)
FULL JOIN (SELECT * FROM wherry.documents WHERE "index" = $1 AND generation = $2 AND source = $3) d ON d.id = l.id
WHERE l.id IS NULL OR d.id IS NULL OR d.recipe_fp <> $8 OR d.source_fp IS NULL
   OR l.mtime_ns IS NULL OR d.mtime_ns IS NULL
   OR (l.size, l.mtime_ns, l.inode) IS DISTINCT FROM (d.size, d.mtime_ns, d.inode)
"""
_KNOWN = """
SELECT id, source_fp, recipe_fp, doc_fp, chunk_fps, meta_fps FROM wherry.documents
WHERE "index" = $1 AND generation = $2 AND source = $3 AND id = ANY ($4::text[])
"""
_FORGET = (
    'DELETE FROM wherry.documents WHERE "index" = $1 AND generation = $2 AND source = $3 AND id = ANY ($4::text[])'
)
_RECORD = """
INSERT INTO wherry.documents
  ("index", generation, source, id, size, mtime_ns, inode, source_fp, recipe_fp, doc_fp, chunk_fps, meta_fps, chunks)
SELECT $1, $2, $3, u.* FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[],
  $10::bytea[], $11::bytea[], $12::bytea[], $13::int[]) u
ON CONFLICT ("index", generation, source, id) DO UPDATE SET size = EXCLUDED.size, mtime_ns = EXCLUDED.mtime_ns,
  inode = EXCLUDED.inode, source_fp = EXCLUDED.source_fp, recipe_fp = EXCLUDED.recipe_fp, doc_fp = EXCLUDED.doc_fp,
  chunk_fps = EXCLUDED.chunk_fps, meta_fps = EXCLUDED.meta_fps, chunks = EXCLUDED.chunks, indexed_at = now()
"""
_TOUCH = """
UPDATE wherry.documents d SET size = u.size, mtime_ns = u.mtime_ns, inode = u.inode
FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) u(id, size, mtime_ns, inode)
WHERE d."index" = $1 AND d.generation = $2 AND d.source = $3 AND d.id = u.id
  AND (u.size, u.mtime_ns, u.inode) IS DISTINCT FROM (d.size, d.mtime_ns, d.inode)
"""
_TOTALS = """
SELECT count(*), coalesce(sum(chunks), 0),
       sha256(string_agg(int4send(octet_length(id)) || convert_to(id, 'UTF8') || doc_fp, ''::bytea ORDER BY id))
FROM wherry.documents WHERE "index" = $1 AND generation = $2 AND source = $3
"""


@dataclass(frozen=True)
class Difference:
    """A document that a listing and the manifest do not agree on, or that only reading can tell about.

    listed: False for one the source no longer has. source_fp: None for one the manifest does not have.
    """

    id: str
    listed: bool
    source_fp: bytes | None
    recipe_fp: bytes | None
    chunks: int


def look(database: Database, target: Target, sources: Sequence[str] | None) -> Standing | None:
    """Return what stands there, in one round trip; None when Wherry's tables have to be made first."""
    pair = target.pair or (None, None)
    values = [target.key, target.schema, target.table, *pair, None if sources is None else list(sources)]
    try:
        rows = database.ask(_LOOK, values)
    except WherryError as error:
        if is_missing(error):
            return None
        raise
    if not require_version(str(rows[0][1])):
        database.upgrade()
        rows = database.ask(_LOOK, values)
    key, _, index, number, *rest = rows[0]
    live = None if number is None else Generation(number, rest[0], rest[1], Space.from_dict(rest[2]), rest[3], rest[4])
    found = [SourceRow(*row[9:]) for row in rows if row[9] is not None]
    return Standing(key, index, live, {row.name: row for row in found})


def enroll(database: Database, standing: Standing, shown: str) -> int:
    """Return the number of an index, which is given one the first time."""
    return int(database.ask(_ENROLL, [standing.key, shown])[0][0])


def generations(database: Database, index: int) -> list[Generation]:
    """Return all generations of an index, oldest first."""
    return [
        Generation(number, state, embedder, Space.from_dict(space), place, there)
        for number, state, embedder, space, place, there in database.ask(_GENERATIONS, [index])
    ]


def open_generation(
    connection: psycopg.Connection, index: int, number: int, state: str, embedder: str, space: Space,
    place: dict[str, Any], relation: int | None,
) -> None:  # fmt: skip
    """Record a new generation."""
    connection.execute(_OPEN, [index, number, state, embedder, as_json(space.to_dict()), as_json(place), relation])


class Manifest:
    """The documents of one source in one generation of an index."""

    def __init__(self, index: int, generation: int, source: str) -> None:
        self.key = (index, generation, source)

    def soil(self, database: Database, chunker: str, origin: str | None, recipe_fp: bytes) -> None:
        """Note that the source is being worked on: until `clean`, nobody may take it for unchanged."""
        database.tell(_DIRTY, [*self.key, chunker, origin, recipe_fp])

    def clean(
        self,
        database: Database,
        scan_fp: bytes,
        unsure_fp: bytes,
        unread: Sequence[str],
        read_from_ns: int,
        failed: int,
    ) -> tuple[int, int]:
        """Note that the source is indexed as it was listed; return its documents and chunks."""
        documents, chunks, root = database.ask(_TOTALS, self.key)[0]
        values = [root or b"", scan_fp, unsure_fp, list(unread), read_from_ns, documents, chunks, failed]
        database.tell(_CLEAN, [*self.key, *values])
        return int(documents), int(chunks)

    def differences(
        self, database: Database, listed: Sequence[tuple[str, Stamp | None]], recipe_fp: bytes
    ) -> list[Difference]:
        """Return the documents to look at, in one statement."""
        ids = [name for name, _ in listed]
        rows = database.ask(_DIFFER, [*self.key, ids, *_stamps([stamp for _, stamp in listed]), recipe_fp])
        return [Difference(name, here, source, recipe, chunks or 0) for name, here, source, recipe, chunks in rows]

    def known(self, database: Database, ids: Sequence[str]) -> dict[str, Known]:
        """Return what stands in the manifest about some documents."""
        rows = database.ask(_KNOWN, [*self.key, list(ids)]) if ids else []
        return {row[0]: known_of(row) for row in rows}

    def record(self, connection: psycopg.Connection, changes: Sequence[Change]) -> None:
        """Write the rows of documents that were changed, within the transaction that changes their chunks."""
        renamed = [c.known.id for c in changes if c.known is not None and c.known.id != c.document.id]
        if renamed:
            connection.execute(_FORGET, [*self.key, renamed])
        documents = [change.document for change in changes]
        connection.execute(
            _RECORD,
            [
                *self.key,
                [d.id for d in documents],
                *_stamps([d.stamp for d in documents]),
                [d.source_fp for d in documents],
                [d.recipe_fp for d in documents],
                [d.doc_fp for d in documents],
                [b"".join(piece.fp for piece in d.pieces) for d in documents],
                [b"".join(piece.meta_fp for piece in d.pieces) for d in documents],
                [len(d.pieces) for d in documents],
            ],
        )

    def forget(self, connection: psycopg.Connection, ids: Sequence[str]) -> None:
        """Remove documents, within the transaction that removes their chunks."""
        connection.execute(_FORGET, [*self.key, list(ids)])

    def touch(self, connection: psycopg.Connection, stamps: Sequence[tuple[str, Stamp | None]]) -> None:
        """Note the stamps of documents that were read and had not changed."""
        ids = [name for name, _ in stamps]
        connection.execute(_TOUCH, [*self.key, ids, *_stamps([stamp for _, stamp in stamps])])


def each(database: Database, index: int, generation: int, rows: int = 500) -> Iterator[list[tuple[str, Known]]]:
    """Yield all documents of a generation as (source, what is known), some at a time, by key."""
    source, document = "", ""
    while True:
        found = database.ask(_PAGE, [index, generation, source, document, rows])
        if not found:
            return
        yield [(row[0], known_of(row[1:])) for row in found]
        source, document = found[-1][0], found[-1][1]


_PAGE = """
SELECT source, id, source_fp, recipe_fp, doc_fp, chunk_fps, meta_fps FROM wherry.documents
WHERE "index" = $1 AND generation = $2 AND (source, id) > ($3, $4) ORDER BY source, id LIMIT $5
"""


def known_of(row: Sequence[Any]) -> Known:
    """Return a document from a row of (id, source_fp, recipe_fp, doc_fp, chunk_fps, meta_fps)."""
    return Known(row[0], row[1], row[2], row[3], split(row[4]), split(row[5]))


def _stamps(stamps: Sequence[Stamp | None]) -> tuple[list[int | None], list[int | None], list[int | None]]:
    return (
        [None if stamp is None else stamp.size for stamp in stamps],
        [None if stamp is None else stamp.mtime_ns for stamp in stamps],
        [None if stamp is None else signed(stamp.inode) for stamp in stamps],
    )


def as_json(value: dict[str, Any]) -> str:
    """Return a JSON object as the text that a jsonb column takes."""
    return json.dumps(value, ensure_ascii=False)
