"""What is to be published: a SQLite file and one of vectors, beside the archive, that outlive a crash.

Writes to an archive are kept here, each batch durable when `upsert` returns, until `finish` writes
them all as one new archive. Order of first arrival is the order of the archive. Rows that came since
the last publishing are marked, so that a staging whose archive was changed by somebody else can be
laid over the changed one: what a run was told to be written is never lost.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.errors import Refused
from wherry.record import Page, joined, make_batch, vectors_of
from wherry.stores.archive.disk import Stamp, writing
from wherry.stores.archive.paging import PAGE_BYTES
from wherry.stores.archive.vectors import SUFFIX, VectorFile
from wherry.stores.base import PAGE_ROWS

NO_FILE = "none"
_AT_ONCE = 8000
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, vector INTEGER NOT NULL, text TEXT, metadata TEXT,
    fresh INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS gone (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = "id, vector, text, metadata"
# A record that is new has its place in the order of arrival from its vector, which always gets a new number.
_INSERT = f"INSERT INTO record (no, {_COLUMNS}, fresh) VALUES (?1, ?2, ?1, ?3, ?4,"
# Id, number of the vector, text, metadata.
Row = tuple[str, int, str | None, str | None]


class Staging:
    """The staging of one archive. dimension: components per vector, None until it is known."""

    def __init__(self, path: Path, shown: str) -> None:
        """Open the staging file at `path`, making it if needed."""
        self.path, self.shown = path, shown
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        self._dimension: int | None = None
        # What workers staged, read where it lies; its records come after the ones here, and none is in two files.
        self._joined: list[Staging] = []
        self._writer = self._connect()
        with self._errors():
            self._writer.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        self._reader = self._connect()
        with self._errors():
            self._vectors = VectorFile(path)
            known = self.recall("token")
            if known is None:
                self.remember(token=self._vectors.begin())
            else:
                self._vectors.require(known)

    def _connect(self) -> sqlite3.Connection:
        with self._errors():
            db = sqlite3.connect(self.path, timeout=2, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA page_size=8192")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
        return db

    def _errors(self) -> Any:
        return writing(self.path, self.shown)

    def recall(self, key: str) -> Any:
        """Return a remembered fact, None when there is none."""
        with self._errors(), self._lock:
            row = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def remember(self, **facts: Any) -> None:
        """Remember facts (JSON values), all or none."""
        with self._errors(), self._transaction():
            self._put_down(**facts)

    def _put_down(self, **facts: Any) -> None:
        for key, value in facts.items():
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    @property
    def dimension(self) -> int | None:
        """Components per vector, None until it is known."""
        if self._dimension is None:
            self._dimension = self.recall("dimension")
        return self._dimension

    @property
    def pending(self) -> bool:
        """Whether records were written or deleted since the last publishing."""
        query = "SELECT EXISTS (SELECT 1 FROM record WHERE fresh) OR EXISTS (SELECT 1 FROM gone)"
        with self._errors(), self._lock:
            here = bool(self._reader.execute(query).fetchone()[0])
        return here or any(other.pending for other in self._joined)

    def rebase(self, base: Stamp | None, pages: Iterable[Page]) -> None:
        """Lay what is staged over an archive: `pages` are its records, `base` is its stamp.

        Raises Refused when the archive holds what could not be written back.
        """
        with self._errors():
            with self._transaction():
                self._writer.execute("DELETE FROM meta WHERE key = 'base'")
                self._writer.execute("DELETE FROM record WHERE NOT fresh")
            for page in pages:
                if page.rejects:
                    raise self._unkept(page.rejects[0].id, page.rejects[0].reason)
                self._load(page.records)
            # Whoever finds the base believes the rest.
            self._vectors.sync()
        self.remember(base=NO_FILE if base is None else str(base))

    def _load(self, batch: pa.RecordBatch) -> None:
        ids = batch.column("id").to_pylist()
        overlaid = {row[0] for row in _select(self._writer, "SELECT id FROM gone WHERE id IN ({})", ids)}
        overlaid |= self._staged(ids, "AND fresh")
        try:
            with self._transaction():
                rows = (row for row in self._rows(batch) if row[1] not in overlaid)
                self._writer.executemany(f"{_INSERT} 0)", rows)
        except sqlite3.IntegrityError:
            held = self._staged(ids, "")
            twice = next((i for at, i in enumerate(ids) if i in held or i in ids[:at]), "")
            raise self._unkept(twice, "DuplicateId") from None

    def _staged(self, ids: list[str], condition: str) -> set[str]:
        query = f"SELECT id FROM record WHERE id IN ({{}}) {condition}"
        return {row[0] for row in _select(self._writer, query, ids)}

    def _unkept(self, record_id: str, reason: str) -> Refused:
        return Refused(
            f"the archive holds records that could not be written back, such as {record_id!r:.80} ({reason})",
            where=self.shown,
            left="the archive is as it was",
            next="sync it into a new archive first, or choose another target",
        )

    def upsert(self, batch: pa.RecordBatch) -> None:
        """Store records, each replacing what was under its id; durable on return."""
        for other in self._joined:
            other.delete(batch.column("id"))
        with self._errors(), self._transaction(durable=True):
            self._writer.executemany(
                f"{_INSERT} 1) ON CONFLICT (id) DO UPDATE SET vector = ?1, text = ?3, metadata = ?4, fresh = 1",
                self._rows(batch),
            )
            self._writer.executemany("DELETE FROM gone WHERE id = ?", ((i,) for i in batch.column("id").to_pylist()))
            self._vectors.sync()

    def join(self, portion: Staging) -> None:
        """Take over what was staged beside this without copying it; none of its ids is here."""
        if self.dimension is None:
            self.remember(dimension=portion.dimension)
        self._joined.append(portion)

    def absorb(self, portion: Staging) -> None:
        """Copy what was staged beside this, and remove it there."""
        if self.dimension is None:
            self.remember(dimension=portion.dimension)
        for page in portion.pages(PAGE_ROWS):
            self.upsert(page.records)
        portion.remove()

    def delete(self, ids: pa.Array) -> None:
        """Delete records; durable on return."""
        wanted = [(i,) for i in ids.to_pylist()]
        with self._errors(), self._transaction(durable=True):
            self._writer.executemany("INSERT OR IGNORE INTO gone SELECT id FROM record WHERE id = ?", wanted)
            self._writer.executemany("DELETE FROM record WHERE id = ?", wanted)
        for other in self._joined:
            other.delete(ids)

    def count(self) -> int:
        """Return how many records are staged."""
        with self._errors(), self._lock:
            here = int(self._reader.execute("SELECT count(*) FROM record").fetchone()[0])
        return here + sum(other.count() for other in self._joined)

    def pages(self, rows: int) -> Iterator[Page]:
        """Yield all records in order, as of the moment of the first page."""
        with self._errors(), closing(self._connect()) as db:
            cursor = db.execute(f"SELECT {_COLUMNS} FROM record ORDER BY no")
            for part in _parts(cursor, rows, 4 * (self.dimension or 0)):
                yield Page(self._batch(part))
        for other in self._joined:
            yield from other.pages(rows)

    def ids(self, rows: int) -> Iterator[pa.Array]:
        """Yield every id in order."""
        with self._errors(), closing(self._connect()) as db:
            cursor = db.execute("SELECT id FROM record ORDER BY no")
            while part := cursor.fetchmany(rows):
                yield pa.array([row[0] for row in part], type=pa.string())
        for other in self._joined:
            yield from other.ids(rows)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        wanted = ids.unique().to_pylist()
        with self._errors():
            with self._lock:
                rows = list(_select(self._reader, f"SELECT {_COLUMNS} FROM record WHERE id IN ({{}})", wanted))
            found = self._batch(rows)
        parts = [found, *(other.fetch(ids).records for other in self._joined)]
        parts = [part for part in parts if part.num_rows] or parts[:1]
        return Page(joined(parts))

    def _batch(self, rows: Sequence[Row]) -> pa.RecordBatch:
        numbers = np.fromiter((row[1] for row in rows), dtype=np.int64, count=len(rows))
        return make_batch(
            [row[0] for row in rows],
            self._vectors.read(numbers, self.dimension or 0),
            [row[2] for row in rows],
            [row[3] for row in rows],
        )

    def _rows(self, batch: pa.RecordBatch) -> list[tuple[int, str, str | None, str | None]]:
        """Write the vectors of a batch; return its rows, numbers first. For the transaction that puts them down."""
        first = self.recall("vectors") or 0
        end = first + batch.num_rows
        self._vectors.write(first, vectors_of(batch))
        self._put_down(vectors=end)
        ids, texts, metadata = (batch.column(name).to_pylist() for name in ("id", "text", "metadata"))
        # In the order of the index on ids, each page of it is met once.
        return sorted(zip(range(first, end), ids, texts, metadata, strict=True), key=itemgetter(1))

    @contextmanager
    def _transaction(self, durable: bool = False) -> Iterator[None]:
        # What was acknowledged must outlive a power cut; the rest can be done again. One sync of the
        # log covers everything written to it before.
        with self._write_lock:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                # After some errors, a full disk among them, SQLite has rolled back by itself.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def close(self) -> None:
        """Close the file and keep it; a second call does nothing."""
        for other in self._joined:
            other.close()
        self._reader.close()
        self._writer.close()
        self._vectors.close()

    def remove(self) -> None:
        """Close and delete the file, after those that it was joined with."""
        for other in self._joined:
            other.remove()
        # In this order: closing a file that is still there would first move its log into it.
        remove(self.path)
        self.close()


def remove(path: Path) -> None:
    """Delete a staging file and its companions."""
    # Without its log the file would show an older state, which must never be taken for the latest;
    # a log without its file is ignored by SQLite.
    for suffix in ("", "-wal", "-shm", SUFFIX):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _parts(cursor: sqlite3.Cursor, rows: int, vector_bytes: int) -> Iterator[list[Row]]:
    """Cut a result into parts of at most `rows` records and about 16 MiB."""
    part: list[Row] = []
    size = 0
    for row in cursor:
        part.append(row)
        size += vector_bytes + 4 * len(row[2] or "") + 4 * len(row[3] or "")
        if len(part) >= rows or size >= PAGE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _select(db: sqlite3.Connection, query: str, ids: list[str]) -> Iterator[Any]:
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        yield from db.execute(query.format(",".join("?" * len(part))), part)
