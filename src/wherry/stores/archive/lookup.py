"""Where each id of an archive is: a temporary index, made when a record is first asked for by id."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator

import pyarrow as pa

_AT_ONCE = 8000


class Lookup:
    """Ids with their places (two integers), in file order. An id may be there more than once.

    Kept in a SQLite file without a name, which goes with the process and stays out of memory.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        self._indexed = False
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE place (no INTEGER PRIMARY KEY, id TEXT, a INTEGER, b INTEGER)")

    def add(self, rows: Iterable[tuple[str, int, int]]) -> None:
        """Append ids with their places."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO place (id, a, b) VALUES (?, ?, ?)", ((_printable(i), a, b) for i, a, b in rows)
        )
        self._db.execute("COMMIT")

    def find(self, ids: pa.Array) -> list[tuple[int, int]]:
        """Return the places of some ids, in file order; ids that are not there have none."""
        wanted = ids.unique().to_pylist()
        found: list[tuple[int, int, int]] = []
        with self._lock:
            if not self._indexed:
                self._db.execute("CREATE INDEX place_id ON place (id)")
                self._indexed = True
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                found += self._db.execute(f"SELECT no, a, b FROM place WHERE id IN ({marks})", part).fetchall()
        return [(a, b) for _, a, b in sorted(found)]

    def ids(self, rows: int) -> Iterator[pa.Array]:
        """Yield every id in file order."""
        last = 0
        while True:
            with self._lock:
                found = self._db.execute(
                    "SELECT no, id FROM place WHERE no > ? ORDER BY no LIMIT ?", (last, rows)
                ).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield pa.array([row[1] for row in found], type=pa.string())

    def close(self) -> None:
        """Drop the index."""
        self._db.close()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
