"""A small store that outlives its process: one SQLite file, and a log of every record ever written.

It keeps everything exactly, proves changes by its numbers when asked to, and commits each call as
one transaction, so whatever goes wrong around it is not its doing.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.errors import Busy
from wherry.record import Page, Record, Reject, from_records, make_batch, schema, vectors_of
from wherry.space import Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Index, Touched
from wherry.stores.memory import CAPABILITIES

_TABLES = """
CREATE TABLE IF NOT EXISTS card (space TEXT, kind TEXT);
CREATE TABLE IF NOT EXISTS record (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    vector BLOB NOT NULL, text TEXT, metadata TEXT
);
CREATE TABLE IF NOT EXISTS log (act TEXT NOT NULL, id TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Row:
    """One stored record; no grows with every write, which tells what was touched."""

    no: int
    id: str
    vector: bytes
    text: str | None
    metadata: str | None


class Chest:
    """A collection in a file."""

    def __init__(self, path: Path, *, batch: int = 8, detects_changes: bool = False) -> None:
        self.path = path
        self.capabilities: Capabilities = replace(
            CAPABILITIES, max_batch=batch, detects_changes=detects_changes, snapshot_scan=False
        )
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # The page cache outlives a killed process; only a power cut would need more.
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.executescript(_TABLES)

    @property
    def address(self) -> str:
        """The file."""
        return f"chest:{self.path.name}"

    @property
    def identity(self) -> str:
        """The file."""
        return self.address

    def describe(self) -> Collection:
        """Return what is there now."""
        with self.lock:
            count = self.db.execute("SELECT count(*) FROM record").fetchone()[0]
            card = self.db.execute("SELECT space FROM card").fetchone()
        space = Space.from_dict(json.loads(card[0])) if card else Space()
        return Collection(self.path.stem, card is not None, count, space)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the records in the order of their last write, paged by key."""
        last = 0
        while found := self._rows("no > ? ORDER BY no LIMIT ?", (last, rows)):
            last = found[-1].no
            yield self._page(found)

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id."""
        for start in range(0, self.describe().count, rows):
            with self.lock:
                found = self.db.execute("SELECT id FROM record ORDER BY no LIMIT ? OFFSET ?", (rows, start))
                yield pa.array([row[0] for row in found], type=pa.string())

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        wanted = ids.to_pylist()
        marks = ",".join("?" * len(wanted))
        return self._page(self._rows(f"id IN ({marks}) ORDER BY no", wanted))

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection if it is not there."""
        with self._transaction():
            if not self.db.execute("SELECT 1 FROM card").fetchone():
                self.db.execute("INSERT INTO card VALUES (?, ?)", (json.dumps(space.to_dict()), index.kind))

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records in one transaction and log their ids."""
        word = "INSERT" if absent else "INSERT OR REPLACE"
        vectors = vectors_of(batch)
        rows = [
            (record_id, vectors[i].tobytes(), batch["text"][i].as_py(), batch["metadata"][i].as_py())
            for i, record_id in enumerate(batch["id"].to_pylist())
        ]
        with self._transaction():
            self.db.executemany(f"{word} INTO record (id, vector, text, metadata) VALUES (?, ?, ?, ?)", rows)
            self._log("upsert", [row[0] for row in rows])

    def delete(self, ids: pa.Array) -> None:
        """Delete records in one transaction and log their ids."""
        with self._transaction():
            self.db.executemany("DELETE FROM record WHERE id = ?", ((i,) for i in ids.to_pylist()))
            self._log("delete", ids.to_pylist())

    def finish(self, space: Space, index: Index) -> None:
        """Everything is on disk already."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the file; the kernel lets go when the process dies."""
        with self.path.with_suffix(".lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"another run is writing {self.address}") from None
            yield

    def mark(self) -> str | None:
        """Return the age of the file and the last number given out; numbers are never used again."""
        with self.lock:
            row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        return f"{self._age()} {row[0] if row else 0}"

    def new_age(self) -> None:
        """Say that numbers of now and of before may not be compared."""
        with self._transaction():
            self.db.execute("UPDATE card SET kind = ?", (secrets.token_hex(4),))

    def _age(self) -> str:
        with self.lock:
            row = self.db.execute("SELECT kind FROM card").fetchone()
        return "none" if row is None else str(row[0])

    def touched(self, mark: str) -> Touched | None:
        """Return what has a later number, if the file is of the same age."""
        age, number = mark.rsplit(" ", 1)
        if age != self._age():
            return None
        with self.lock:
            found = self.db.execute("SELECT id FROM record WHERE no > ? ORDER BY no", (int(number),)).fetchall()
            count = self.db.execute("SELECT count(*) FROM record").fetchone()[0]
        return Touched(count, pa.array([row[0] for row in found], type=pa.string()))

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def put(self, *records: Record) -> None:
        """Write records as someone other than wherry would."""
        self.upsert(from_records(records))

    def drop(self, *ids: str) -> None:
        """Delete records as someone other than wherry would."""
        self.delete(pa.array(ids, type=pa.string()))

    def spoil(self, record_id: str) -> None:
        """Make a record unreadable, as a vector of another length or none."""
        with self._transaction():
            self.db.execute("UPDATE record SET vector = x'00' WHERE id = ?", (record_id,))

    def writes(self) -> Counter[str]:
        """Return how often each record was written, from the log."""
        with self.lock:
            return Counter(row[0] for row in self.db.execute("SELECT id FROM log WHERE act = 'upsert'"))

    def clear_log(self) -> None:
        """Start counting anew."""
        with self._transaction():
            self.db.execute("DELETE FROM log")

    def _rows(self, where: str, values: Sequence[Any]) -> list[Row]:
        query = f"SELECT no, id, vector, text, metadata FROM record WHERE {where}"
        with self.lock:
            return [Row(*row) for row in self.db.execute(query, values)]

    def _page(self, rows: list[Row]) -> Page:
        width = 4 * (self.describe().space.dimension or 0)
        rejects = [Reject(r.id, "WrongDimension") for r in rows if len(r.vector) != width]
        rows = [r for r in rows if len(r.vector) == width]
        if not rows:
            empty = pa.RecordBatch.from_pylist([], schema=schema(self.describe().space.dimension or 0))
            return Page(empty, rejects)
        vectors = np.stack([np.frombuffer(row.vector, dtype=np.float32) for row in rows])
        return Page(
            make_batch([r.id for r in rows], vectors, [r.text for r in rows], [r.metadata for r in rows]),
            rejects,
        )

    def _log(self, act: str, ids: list[str]) -> None:
        self.db.executemany("INSERT INTO log VALUES (?, ?)", ((act, i) for i in ids))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")
