"""Records that found no partner in passing: their ids and digests, in a file.

Two equal digests settle a record without reading it again. They are SHA-256, which neither an accident nor
anybody's intent makes equal for two records; what differs in digest is left to be compared value by value.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from wherry.canonical import secure_digests
from wherry.record import Records, ids_of
from wherry.stores.base import PAGE_ROWS

LEFT, RIGHT = "on_left", "on_right"
_NOTED = "CREATE TABLE noted (id TEXT NOT NULL, digest BLOB, on_left INTEGER NOT NULL, on_right INTEGER NOT NULL)"
_SETTLED = "CREATE TABLE settled (id TEXT PRIMARY KEY, on_left INTEGER, on_right INTEGER, alike INTEGER) WITHOUT ROWID"
# A digest that is missing equals no other.
_SETTLE = """
INSERT INTO settled
SELECT id, max(on_left), max(on_right),
       max(on_left) AND max(on_right) AND count(digest) = count(*) AND count(DISTINCT digest) = 1
FROM noted GROUP BY id ORDER BY id
"""


class Unpaired:
    """Notes of both sides while they are read; what they come to when both have ended."""

    def __enter__(self) -> Unpaired:
        self.folder = tempfile.TemporaryDirectory(prefix="wherry-pairing-")
        self.db = sqlite3.connect(Path(self.folder.name) / "unpaired.sqlite3", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=OFF")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute(_NOTED)
        self.db.execute(_SETTLED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()
        self.folder.cleanup()

    def note(self, side: str, records: Records) -> None:
        """Note records of one side, LEFT or RIGHT."""
        noted = zip(ids_of(records).to_pylist(), secure_digests(records), strict=True)
        self.db.execute("BEGIN")
        self.db.executemany(f"INSERT INTO noted VALUES (?, ?, {side == LEFT}, {side == RIGHT})", noted)
        self.db.execute("COMMIT")

    def settle(self) -> int:
        """Bring the notes of both sides together; return how many records are on both and alike."""
        self.db.execute(_SETTLE)
        self.db.execute("DELETE FROM noted")
        return int(self.db.execute("SELECT count(*) FROM settled WHERE alike").fetchone()[0])

    def doubtful(self) -> Iterator[list[str]]:
        """Yield the ids that are on both sides and have to be compared, a page at a time."""
        return self._pages("on_left AND on_right AND NOT alike")

    def only(self, side: str) -> Iterator[list[str]]:
        """Yield the ids of one side alone, a page at a time."""
        return self._pages(f"NOT {RIGHT if side == LEFT else LEFT}")

    def _pages(self, condition: str) -> Iterator[list[str]]:
        query = f"SELECT id FROM settled WHERE {condition} AND (?1 IS NULL OR id > ?1) ORDER BY id LIMIT ?2"
        last: str | None = None
        while rows := self.db.execute(query, (last, PAGE_ROWS)).fetchall():
            last = rows[-1][0]
            yield [row[0] for row in rows]
