"""What Chroma's own database says of a collection's index; nothing is written to it here.

Chroma 1.5 writes every operation to a table first and to the index files later: when at least
`sync_threshold` operations wait, the write that reaches that number rewrites the files in place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wherry.stores.chroma.place import DATABASE_FILE

_SEGMENT = """
SELECT s.id, coalesce(m.seq_id, 0) FROM segments s LEFT JOIN max_seq_id m ON m.segment_id = s.id
WHERE s.collection = ? AND s.scope = 'VECTOR'
"""
_WAITING = "SELECT count(*) FROM embeddings_queue WHERE seq_id > ? AND topic LIKE ?"
_INDEXED = "SELECT coalesce(seq_id, 0) FROM max_seq_id WHERE segment_id = ?"
_LATEST = "SELECT coalesce(max(seq_id), 0) FROM embeddings_queue"

_UNDER = "SELECT 1 FROM embedding_metadata WHERE key = ? AND string_value IS NOT NULL LIMIT 1"
_LISTED = """
SELECT 1 FROM embedding_metadata_array WHERE key = ? AND int_value IS NOT NULL
UNION ALL SELECT 1 FROM embedding_metadata_array WHERE key = ? AND float_value IS NOT NULL LIMIT 1
"""


@dataclass(frozen=True)
class Backlog:
    """segment: the folder of the index files. indexed: the last operation in them. waiting: how many are not."""

    segment: str
    indexed: int
    waiting: int


def backlog(folder: Path, collection: str) -> Backlog | None:
    """Return the state of a collection's index (by the collection's id); None where it has none."""
    with _reading(folder) as database:
        found = database.execute(_SEGMENT, (collection,)).fetchone()
        if found is None:
            return None
        segment, indexed = found
        (waiting,) = database.execute(_WAITING, (int(indexed), f"%/{collection}")).fetchone()
    return Backlog(segment, int(indexed), int(waiting))


def due(folder: Path, collection: str, threshold: int | None, operations: int) -> Backlog | None:
    """Return the state of an index whose files so many more operations make Chroma rewrite, or None.

    threshold: the collection's `sync_threshold` as Chroma has it in memory; None = it has no such index.
    """
    state = None if threshold is None else backlog(folder, collection)
    if state is None or threshold is None or state.waiting + operations < threshold:
        return None
    return state


def indexed(folder: Path, segment: str) -> int:
    """Return the last operation that the index files of a segment hold, 0 when none was written yet."""
    with _reading(folder) as database:
        found = database.execute(_INDEXED, (segment,)).fetchone()
    return 0 if found is None else int(found[0])


def latest(folder: Path) -> int:
    """Return the number of the last operation anybody logged in the folder."""
    with _reading(folder) as database:
        (number,) = database.execute(_LATEST).fetchone()
    return int(number)


def holds_beside(folder: Path, key: str) -> bool:
    """Tell whether a record of any collection has metadata under a key."""
    with _reading(folder) as database:
        return database.execute(_UNDER, (key,)).fetchone() is not None


def lists_of_numbers(folder: Path, keys: set[str]) -> frozenset[str]:
    """Return those of some keys under which a record of any collection has a list of numbers."""
    with _reading(folder) as database:
        return frozenset(key for key in keys if database.execute(_LISTED, (key, key)).fetchone() is not None)


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    # Not mode=ro: after a kill SQLite has to roll its own journal back before anybody can read.
    uri = f"{(folder / DATABASE_FILE).as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as database:
        database.execute("PRAGMA query_only = 1")
        yield database
