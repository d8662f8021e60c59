"""The durable memory of runs, one SQLite file per target.

A file holds the runs made on the target (plan, outcome), the quarantine of each run, and the ledger
(`ledger.py`): what was written, with the digest of the record it came from. Every change is one short
transaction, so a killed process leaves the file as of the last finished step. The file is not
fsynced on each step: after a power cut it may be a few steps old, which only means that these steps
are checked or done again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from wherry.canonical import DIGEST_BYTES
from wherry.errors import Busy, DiskFull, Integrity, JournalCorrupt, WherryError
from wherry.record import Reject
from wherry.state import file_name, home, new_run

FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (
    id TEXT PRIMARY KEY, act TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
    pid INTEGER NOT NULL, started TEXT NOT NULL, ended TEXT, status TEXT NOT NULL,
    plan TEXT, outcome TEXT
);
CREATE TABLE IF NOT EXISTS quarantine (
    run TEXT NOT NULL REFERENCES run, id TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS batch (no INTEGER PRIMARY KEY, run TEXT NOT NULL, state INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    pos INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest BLOB, batch INTEGER
);
"""


REPLACE = "ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, batch = excluded.batch"


class Journal:
    """The journal of one target."""

    db: Any

    @staticmethod
    def of(identity: str, shared: bool) -> Journal:
        """Open the journal of a target: the file of this state folder, or the one that all machines share."""
        if not shared:
            return Journal(identity)
        from wherry.moving.shared_journal import SharedJournal

        return SharedJournal(identity)

    def __init__(self, identity: str, path: Path | str | None = None) -> None:
        """Open the journal of the collection called `identity`, making the file if needed.

        path: another place for the file; ":memory:" keeps nothing, which is what a dry run wants.
        """
        self.path = path or folder() / f"{file_name(identity)}.sqlite3"
        try:
            self.db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            # Fewer, larger write-backs: a first copy puts down an entry per record.
            self.db.execute("PRAGMA wal_autocheckpoint=8000")
            self.db.execute("PRAGMA cache_size=-1000")
            self.db.executescript(_TABLES)
            self.remember("identity", self.recall("identity") or identity)
            self._check_format()
        except sqlite3.DatabaseError as error:
            raise _named(error, self.path) from None

    def _check_format(self) -> None:
        found = self.recall("format") or str(FORMAT)
        if found != str(FORMAT):
            raise JournalCorrupt(
                f"the journal has format {found}, this version reads {FORMAT}",
                where=str(self.path),
                next="use the version of wherry that wrote it, or move the file away",
            )
        self.remember("format", found)

    def recall(self, key: str) -> str | None:
        """Return a remembered fact about the target, or None."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Remember a fact about the target."""
        self.db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def begin(self, act: str, source: str, target: str, plan: dict[str, Any]) -> str:
        """Note that a run starts and return its id; runs that died unnoticed are marked so."""
        run = self._new_id()
        self.db.execute("UPDATE run SET status = 'died', ended = ? WHERE status = 'running'", (_now(),))
        self.db.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, NULL, 'running', ?, NULL)",
            (run, act, source, target, os.getpid(), _now(), printable(json.dumps(plan, ensure_ascii=False))),
        )
        return run

    def _new_id(self) -> str:
        """Return an id that no run has."""
        while True:
            run = new_run()
            if self.db.execute("SELECT 1 FROM run WHERE id = ?", (run,)).fetchone() is None:
                return run

    def end(self, run: str, status: str, outcome: dict[str, Any]) -> None:
        """Note how a run ended: `done`, `failed` or `interrupted`, with its outcome."""
        self.db.execute(
            "UPDATE run SET ended = ?, status = ?, outcome = ? WHERE id = ?",
            (_now(), status, printable(json.dumps(outcome, ensure_ascii=False)), run),
        )

    def quarantine(self, run: str, rejects: Sequence[Reject]) -> None:
        """Keep the ids and reasons of records that could not cross."""
        # A reject's id can hold what SQLite cannot (a lone surrogate): it is kept escaped.
        self.db.executemany(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?)",
            [(run, printable(r.id), r.reason, printable(r.detail)) for r in rejects],
        )

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of this target, latest first."""
        rows = self.db.execute(
            "SELECT id, act, source, target, pid, started, ended, status, plan, outcome,"
            " (SELECT count(*) FROM quarantine q WHERE q.run = run.id) FROM run ORDER BY rowid DESC"
        )
        return [_as_run(row) for row in rows]

    def quarantined(self, run: str) -> list[Reject]:
        """Return what a run put into quarantine."""
        rows = self.db.execute("SELECT id, reason, detail FROM quarantine WHERE run = ? ORDER BY rowid", (run,))
        return [Reject(*row) for row in rows]

    def put(self, ids: Sequence[str], digests: Sequence[bytes | None], number: int | None) -> None:
        """Put down entries of the ledger, each in place of an older one of its id. digests: 16 bytes each, or None."""
        joined = b"".join(digest or b"" for digest in digests)
        if len(joined) != DIGEST_BYTES * len(ids) or any("\x00" in i for i in ids):
            rows = zip(ids, digests, [number] * len(ids), strict=True)
            self.db.executemany("INSERT INTO entry (id, digest, batch) VALUES (?1, ?2, ?3) " + REPLACE, rows)
            return
        # One statement for the whole batch: SQLite works on it without asking Python for each row.
        self.db.execute(
            f"INSERT INTO entry (id, digest, batch) SELECT value, substr(?2, key * {DIGEST_BYTES} + 1,"
            f" {DIGEST_BYTES}), ?3 FROM json_each(?1) WHERE true {REPLACE}",
            (orjson.dumps(list(ids)).decode(), joined, number),
        )

    def put_new(self, run: str, state: int, ids: Sequence[str], digests: Sequence[bytes | None]) -> int | None:
        """Put down a batch with its entries and return its number, where that is quicker than one after the other.

        None, and nothing is put down, where it is not, or where one of the ids is there.
        """
        return None

    def copy(self, path: Path) -> Journal:
        """Return a copy in another file, for a dry run to write to."""
        other = Journal("", path)
        self.db.backup(other.db)
        return other

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise _named(error, self.path) from error


def folder() -> Path:
    """Return the folder of the journals."""
    path = home() / "journal"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _named(error: sqlite3.DatabaseError, path: Path | str) -> WherryError:
    """Return what an error of SQLite means for the one who runs wherry."""
    if "full" in str(error):
        return DiskFull(
            "the disk is full: the journal could not be written",
            where=str(path),
            left="what was written is in the target; the journal knows all but the last batch",
            next="free some room and run the same command again",
        )
    if "locked" in str(error):
        return Busy("another process holds the journal", where=str(path), next="run the same command again")
    if "I/O" in str(error):
        return Integrity(f"the journal failed: {error}", where=str(path), next="look at the disk")
    return JournalCorrupt(
        f"the journal cannot be read ({error})",
        where=str(path),
        left="the target is as the last run left it",
        next="move the file away and run sync again; it will read the target to learn what is there",
    )


def printable(text: str) -> str:
    """Return text as valid Unicode, with lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _as_run(row: Sequence[Any]) -> dict[str, Any]:
    names = ("id", "act", "source", "target", "pid", "started", "ended", "status", "plan", "outcome")
    run: dict[str, Any] = dict(zip(names, row, strict=False))
    run["plan"] = json.loads(run["plan"] or "{}")
    run["outcome"] = json.loads(run["outcome"] or "{}")
    run["quarantined"] = row[10]
    return run
