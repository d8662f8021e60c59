"""What is to be published: a SQLite file beside the archive that outlives a crash.

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
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.errors import Refused
from wherry.record import Page, joined, make_batch, vectors_of
from wherry.stores.archive.disk import Stamp, writing
from wherry.stores.archive.paging import PAGE_BYTES

NO_FILE = "none"
_AT_ONCE = 8000
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, vector BLOB NOT NULL, text TEXT, metadata TEXT,
    fresh INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS gone (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = "id, vector, text, metadata"
_ABSORB = f"""
INSERT INTO main.record ({_COLUMNS}, fresh) SELECT {_COLUMNS}, 1 FROM portion.record WHERE true ORDER BY no
ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, text = excluded.text, metadata = excluded.metadata, fresh = 1
"""
Row = tuple[str, bytes, str | None, str | None]


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
        self.remember(base=NO_FILE if base is None else str(base))

    def _load(self, batch: pa.RecordBatch) -> None:
        ids = batch.column("id").to_pylist()
        overlaid = {row[0] for row in _select(self._writer, "SELECT id FROM gone WHERE id IN ({})", ids)}
        overlaid |= self._staged(ids, "AND fresh")
        rows = (row for row in _rows(batch) if row[0] not in overlaid)
        try:
            with self._transaction():
                self._writer.executemany(f"INSERT INTO record ({_COLUMNS}, fresh) VALUES (?, ?, ?, ?, 0)", rows)
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
                f"INSERT INTO record ({_COLUMNS}, fresh) VALUES (?1, ?2, ?3, ?4, 1) ON CONFLICT (id) DO UPDATE"
                " SET vector = ?2, text = ?3, metadata = ?4, fresh = 1",
                _rows(batch),
            )
            self._writer.executemany("DELETE FROM gone WHERE id = ?", ((i,) for i in batch.column("id").to_pylist()))

    def join(self, portion: Path, dimension: int | None) -> None:
        """Take over what was staged beside this without copying it; none of its ids is here."""
        if self.dimension is None:
            self.remember(dimension=dimension)
        self._joined.append(Staging(portion, self.shown))

    def absorb(self, portion: Path, dimension: int | None) -> None:
        """Copy what was staged beside this, in a file of the same kind, and remove that one."""
        if self.dimension is None:
            self.remember(dimension=dimension)
        with self._errors():
            self._writer.execute("ATTACH ? AS portion", (str(portion),))
            try:
                with self._transaction(durable=True):
                    self._writer.execute(_ABSORB)
                    self._writer.execute("DELETE FROM main.gone WHERE id IN (SELECT id FROM portion.record)")
            finally:
                self._writer.execute("DETACH portion")
        remove(portion)

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
            yield from (Page(self._batch(part)) for part in _parts(cursor, rows))
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
        with self._errors(), self._lock:
            wanted = ids.unique().to_pylist()
            found = list(_select(self._reader, f"SELECT {_COLUMNS} FROM record WHERE id IN ({{}})", wanted))
        parts = [self._batch(found), *(other.fetch(ids).records for other in self._joined)]
        parts = [part for part in parts if part.num_rows] or parts[:1]
        return Page(joined(parts))

    def _batch(self, rows: Sequence[Row]) -> pa.RecordBatch:
        vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4")
        dimension = self.dimension or 0
        return make_batch(
            [row[0] for row in rows],
            vectors.reshape(len(rows), dimension).astype(np.float32, copy=False),
            [row[2] for row in rows],
            [row[3] for row in rows],
        )

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
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    vectors = np.ascontiguousarray(vectors_of(batch), dtype="<f4")
    columns = [batch.column(name).to_pylist() for name in ("id", "text", "metadata")]
    for record_id, vector, text, metadata in zip(columns[0], vectors, *columns[1:], strict=True):
        yield record_id, vector.tobytes(), text, metadata


def _parts(cursor: sqlite3.Cursor, rows: int) -> Iterator[list[Row]]:
    """Cut a result into parts of at most `rows` records and about 16 MiB."""
    part: list[Row] = []
    size = 0
    for row in cursor:
        part.append(row)
        size += len(row[1]) + 4 * len(row[2] or "") + 4 * len(row[3] or "")
        if len(part) >= rows or size >= PAGE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _select(db: sqlite3.Connection, query: str, ids: list[str]) -> Iterator[Any]:
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        yield from db.execute(query.format(",".join("?" * len(part))), part)
