"""What was read of a pipeline, kept on this machine's disk for as long as a reading goes on.

The service wants one request per document, at a rate it limits. An act of Wherry goes over a source more
than once, and a run that was killed begins again: neither has to ask twice for a document that did not
change. The file lies in the state folder, readable by its owner alone. It is removed when a reading came
to its end, so the next one asks for everything; of an interrupted one it is kept for six hours.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from wherry.errors import DiskFull, StoreError
from wherry.models.tokens import estimate
from wherry.state import file_name, home
from wherry.stores.llamacloud.chunks import MISSING, Row
from wherry.stores.llamacloud.listing import Document

KEPT_S = 6 * 3600
_VERSION = "1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, stamp BLOB, digest BLOB, rows INTEGER, gone INTEGER);
CREATE TABLE IF NOT EXISTS chunks (
    document INTEGER, n INTEGER, id TEXT, text TEXT, metadata TEXT, vector BLOB, dimension INTEGER,
    reason TEXT, detail TEXT, characters INTEGER, tokens INTEGER, kept_out TEXT);
CREATE INDEX IF NOT EXISTS by_document ON chunks (document, n);
CREATE INDEX IF NOT EXISTS by_id ON chunks (id);
"""
_ROW = "id, text, metadata, vector, reason, detail"


@dataclass(frozen=True)
class Held:
    """A document as it was read. digest: equal for equal chunks."""

    number: int
    id: str
    stamp: bytes
    digest: bytes


@dataclass(frozen=True)
class Missing:
    """Records without a vector. characters: of their texts. tokens: about as many."""

    records: int
    characters: int
    tokens: int


class Spool:
    """The chunks of one pipeline. Safe to use from several threads.

    making: what decides how chunks are made; what was read under another one is thrown away.
    """

    def __init__(self, identity: str, making: str) -> None:
        self._lock = threading.RLock()
        self._path, self._hold = _place(identity)
        self.resumed = self._path.stat().st_size > 0
        try:
            self._db = self._opened(making)
        except sqlite3.DatabaseError:
            # A file that a power failure damaged holds nothing that cannot be asked for again.
            self._remove()
            self.resumed = False
            self._db = self._opened(making)

    def _opened(self, making: str) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
            known = dict(db.execute("SELECT name, value FROM meta").fetchall())
            wanted = {"version": _VERSION, "making": making}
            old = time.time() - float(known.get("began", 0)) > KEPT_S
            if old or any(known.get(name) != value for name, value in wanted.items()):
                self.resumed = False
                db.executescript("DELETE FROM documents; DELETE FROM chunks; DELETE FROM meta;")
                entries = {**wanted, "began": str(time.time())}
                db.executemany("INSERT INTO meta VALUES (?, ?)", list(entries.items()))
        except BaseException:
            db.close()
            raise
        return db

    def documents(self) -> list[Held]:
        """Return the documents, in the order in which they were first read; those without chunks too."""
        with self._lock:
            found = self._db.execute("SELECT number, id, stamp, digest FROM documents ORDER BY number")
            return [Held(*entry) for entry in found.fetchall()]

    def put(self, document: Document, rows: list[Row] | None) -> None:
        """Replace a document's chunks; None for one whose chunks are gone."""
        kept = rows or []
        with self._lock, self._transaction():
            self._drop(document.id)
            cursor = self._db.execute(
                "INSERT INTO documents (id, stamp, digest, rows, gone) VALUES (?, ?, ?, ?, ?)",
                (document.id, document.stamp, _digest(kept), len(kept), rows is None),
            )
            entries = [(cursor.lastrowid, n, *_columns(row)) for n, row in enumerate(kept)]
            self._db.executemany(f"INSERT INTO chunks VALUES ({', '.join('?' * 12)})", entries)

    def drop(self, documents: Iterable[str]) -> None:
        """Forget documents that are no more."""
        with self._lock, self._transaction():
            for document in documents:
                self._drop(document)

    def rows(self, document: int) -> list[Row]:
        """Return the chunks of a document, in its order."""
        with self._lock:
            found = self._db.execute(f"SELECT {_ROW} FROM chunks WHERE document = ? ORDER BY n", (document,)).fetchall()
        return [_row(entry) for entry in found]

    def rows_of(self, ids: Iterable[str]) -> list[Row]:
        """Return the chunks with these ids."""
        found = []
        with self._lock:
            for record_id in ids:
                found += self._db.execute(f"SELECT {_ROW} FROM chunks WHERE id = ?", (record_id,)).fetchall()
        return [_row(entry) for entry in found]

    def ids(self, rows: int) -> Iterator[pa.Array]:
        """Yield every id, some at a time."""
        last = 0
        while True:
            with self._lock:
                found = self._db.execute(
                    "SELECT rowid, id FROM chunks WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, rows)
                ).fetchall()
            if not found:
                return
            yield pa.array([record_id for _, record_id in found], type=pa.string())
            last = found[-1][0]

    def count(self) -> int:
        """Return the number of chunks."""
        return int(self._one("SELECT count(*) FROM chunks")[0])

    def missing(self) -> Missing:
        """Return what has no vector."""
        found = self._one("SELECT count(*), sum(characters), sum(tokens) FROM chunks WHERE reason = ?", MISSING)
        return Missing(*(value or 0 for value in found))

    def dimensions(self) -> dict[int, int]:
        """Return how many vectors have how many components."""
        with self._lock:
            found = self._db.execute("SELECT dimension, count(*) FROM chunks WHERE dimension > 0 GROUP BY dimension")
            return {int(dimension): int(count) for dimension, count in found.fetchall()}

    def empty(self) -> tuple[int, int]:
        """Return how many documents have no chunks, and how many of those are listed but gone."""
        found = self._one("SELECT count(*), sum(gone) FROM documents WHERE rows = 0")
        return int(found[0]), int(found[1] or 0)

    def kept_out(self) -> dict[str, int]:
        """Return which fields of chunks are in no record, and of how many chunks."""
        counts: dict[str, int] = {}
        with self._lock:
            found = self._db.execute("SELECT kept_out, count(*) FROM chunks WHERE kept_out <> '' GROUP BY kept_out")
            for names, count in found.fetchall():
                for name in names.split(","):
                    counts[name] = counts.get(name, 0) + int(count)
        return counts

    def close(self, keep: bool) -> None:
        """Close the file; keep it for the next reading, or remove it."""
        with self._lock:
            self._db.close()
            if not keep or self._hold is None:
                self._remove()
            if self._hold is not None:
                self._hold.close()

    def _drop(self, document: str) -> None:
        self._db.execute("DELETE FROM chunks WHERE document = (SELECT number FROM documents WHERE id = ?)", (document,))
        self._db.execute("DELETE FROM documents WHERE id = ?", (document,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with written(self._path):
            try:
                self._db.execute("BEGIN")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _one(self, statement: str, *values: str) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._db.execute(statement, values).fetchone())

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file that cannot be written into an error of Wherry."""
    try:
        yield
    except sqlite3.OperationalError as error:
        kind = DiskFull if "full" in str(error) else StoreError
        raise kind(
            f"what is read from LlamaCloud cannot be kept meanwhile: {error}",
            where=str(path.parent),
            left="nothing was changed at the service",
            next="make room there, or set WHERRY_HOME to another folder",
        ) from None


def _place(identity: str) -> tuple[Path, IO[str] | None]:
    """Return the file, and what holds it against others; a file of one's own where somebody else has it."""
    folder = home() / "llamacloud"
    hold: IO[str] | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{file_name(identity)}.sqlite3"
        hold = path.with_suffix(".lock").open("a")
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.touch(mode=0o600)
        return path, hold
    except OSError:
        if hold is not None:
            hold.close()
    handle, name = tempfile.mkstemp(prefix="wherry-llamacloud-", suffix=".sqlite3")
    os.close(handle)
    return Path(name), None


def _columns(row: Row) -> tuple[object, ...]:
    reason, detail = row.fault or (None, None)
    text = row.text or ""
    return (
        row.id, row.text, row.metadata, row.vector, row.dimension, reason, detail,
        len(text), estimate(text), ",".join(sorted(row.left)),
    )  # fmt: skip


def _row(entry: tuple[str, str | None, str | None, bytes | None, str | None, str | None]) -> Row:
    record_id, text, metadata, vector, reason, detail = entry
    return Row(record_id, text, metadata, vector, (reason, detail or "") if reason else None)


def _digest(rows: list[Row]) -> bytes:
    state = hashlib.blake2b(digest_size=16)
    for row in rows:
        state.update(repr((row.id, row.text, row.metadata, row.vector, row.fault)).encode())
    return state.digest()


__all__ = ["Held", "Missing", "Spool", "written"]
