"""What was about to be written to a store that joins no transaction, noted before it is.

A note that is still there when a run begins tells that its documents may be old, new or a mixture: they are
written again whole, and what an aborted write may have left is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from wherry.indexing.diff import Change, Known
from wherry.indexing.fingerprints import chunk_ids
from wherry.postgres.database import Database

_NOTE = """
INSERT INTO wherry.intents AS i ("index", generation, source, document, put, drop, state)
VALUES ($1, $2, $3, $4, $5, $6, 'pending')
ON CONFLICT ("index", generation, source, document)
DO UPDATE SET put = i.put || EXCLUDED.put, drop = i.drop || EXCLUDED.drop, state = 'pending'
"""
_READY = """
UPDATE wherry.intents SET state = 'ready'
WHERE "index" = $1 AND generation = $2 AND source = $3 AND document = ANY ($4::text[])
"""
_SETTLED = """
DELETE FROM wherry.intents WHERE "index" = $1 AND generation = $2 AND source = $3 AND document = ANY ($4::text[])
"""
_ALL_SETTLED = "DELETE FROM wherry.intents WHERE \"index\" = $1 AND generation = $2 AND state = 'ready'"
_LEFT = 'SELECT source, document, put, drop FROM wherry.intents WHERE "index" = $1 AND generation = $2 ORDER BY 1, 2'
_MARK = """
UPDATE wherry.documents SET source_fp = NULL, mtime_ns = NULL
WHERE "index" = $1 AND generation = $2 AND source = $3 AND id = ANY ($4::text[])
"""


@dataclass(frozen=True)
class Intent:
    """A write that was begun. put: ids that may be in the store now; drop: ids that may still be."""

    source: str
    document: str
    put: tuple[str, ...]
    drop: tuple[str, ...]


def note(connection: psycopg.Connection, key: tuple[int, int, str], changes: Sequence[Change]) -> list[str]:
    """Note what changes are about to write; return the documents that are named."""
    named = []
    for change in changes:
        dropped = [change.old_ids[position] for position in change.drop]
        moved = [change.document.pieces[after].id for _, after in change.move]
        left = [change.old_ids[before] for before, _ in change.move]
        put = [piece.id for piece in change.pieces] + moved
        connection.execute(_NOTE, [*key, change.document.id, put, dropped])
        named.append(change.document.id)
        if change.known is not None and change.known.id != change.document.id:
            connection.execute(_NOTE, [*key, change.known.id, [], dropped + left])
            named.append(change.known.id)
    return named


def note_gone(connection: psycopg.Connection, key: tuple[int, int, str], documents: Sequence[Known]) -> None:
    """Note documents that are about to be removed."""
    for known in documents:
        connection.execute(_NOTE, [*key, known.id, [], chunk_ids(key[2], known.id, known.chunk_fps)])


def ready(database: Database, key: tuple[int, int, str], documents: Sequence[str]) -> None:
    """Note that the store has what was to be written."""
    database.tell(_READY, [*key, list(documents)])


def settle(database: Database, index: int, generation: int) -> None:
    """Forget the notes of what the store has for good: some engines publish nothing before they are told to."""
    database.tell(_ALL_SETTLED, [index, generation])


def left(database: Database, index: int, generation: int) -> list[Intent]:
    """Return the writes that are not known to be in the store for good."""
    rows = database.ask(_LEFT, [index, generation])
    return [Intent(row[0], row[1], tuple(row[2]), tuple(row[3])) for row in rows]


def mark(connection: psycopg.Connection, key: tuple[int, int, str], documents: Sequence[str]) -> None:
    """Mark documents to be written again whole, and forget their notes."""
    connection.execute(_MARK, [*key, list(documents)])
    connection.execute(_SETTLED, [*key, list(documents)])
