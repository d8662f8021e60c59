"""The journal of a target where every machine reaches it: the same tables, in a schema of PostgreSQL.

A target may be written by runs of either kind. What one journal does not know of, it must not vouch for: a run with
the shared journal marks everything in this state folder's own as unknown, and finds out by the number of the last
run here whether its own knowledge still stands. Runs and proofs are copied here when they end, so that
`wherry runs` and `wherry switch` find them.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from wherry.moving.journal import REPLACE, Journal
from wherry.moving.ledger import Ledger
from wherry.moving.proofs import PROOF
from wherry.moving.standing import forget
from wherry.state import home
from wherry.stores.registry import open_shared

_TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (key text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS run (id text PRIMARY KEY, act text NOT NULL, source text NOT NULL,"
    " target text NOT NULL, pid integer NOT NULL, started text NOT NULL, ended text, status text NOT NULL,"
    " plan text, outcome text, rowid bigserial)",
    "CREATE TABLE IF NOT EXISTS quarantine (run text NOT NULL, id text NOT NULL, reason text NOT NULL,"
    " detail text NOT NULL, rowid bigserial)",
    "CREATE TABLE IF NOT EXISTS batch (no bigserial PRIMARY KEY, run text NOT NULL, state integer NOT NULL)",
    'CREATE TABLE IF NOT EXISTS entry (pos bigserial PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, digest bytea,'
    " batch bigint)",
)
_COPIED = {
    "meta": "key, value",
    "run": "id, act, source, target, pid, started, ended, status, plan, outcome",
    "quarantine": "run, id, reason, detail",
    "batch": "no, run, state",
    "entry": "pos, id, digest, batch",
}

_ROWS = "unnest(?::text[], ?::bytea[]) AS e (i, d)"


class SharedJournal(Journal):
    """The shared journal of one target."""

    def __init__(self, identity: str) -> None:
        """Open the journal of the collection called `identity`, making its tables if needed."""
        self.identity = identity
        schema = f"wherry_journal_{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        self.db = open_shared(schema, _TABLES)
        # As of the file: what a crash of the server takes along, the last steps, is checked or done again.
        self.db.execute("SET synchronous_commit TO off")
        self.path = f"{self.db.where}, schema {schema}"
        self.remember("identity", identity)
        self._check_format()

    def begin(self, act: str, source: str, target: str, plan: dict[str, Any]) -> str:
        """Note that a run starts and return its id; the two journals of the target settle first who knows what."""
        with Journal(self.identity) as local:
            if self.recall(_key()) != _last(local):
                Ledger(self).doubt_all()
                forget(self)
            Ledger(local).doubt_all()
            forget(local)
        return super().begin(act, source, target, plan)

    def end(self, run: str, status: str, outcome: dict[str, Any]) -> None:
        """Note how a run ended, here and in this state folder."""
        super().end(run, status, outcome)
        with Journal(self.identity) as local:
            for table, key, wanted in _told_here(run):
                columns = _COPIED[table]
                rows = self.db.execute(f"SELECT {columns} FROM {table} WHERE {key}", (wanted,)).fetchall()
                marks = ", ".join("?" * len(columns.split(",")))
                local.db.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", rows)
            self.remember(_key(), _last(local))

    def put(self, ids: Sequence[str], digests: Sequence[bytes | None], number: int | None) -> None:
        """Put down entries of the ledger, each in place of an older one of its id. digests: 16 bytes each, or None."""
        self.db.execute(
            f"INSERT INTO entry (id, digest, batch) SELECT i, d, ?::bigint FROM {_ROWS} {REPLACE}",
            (number, *_columns(ids, digests)),
        )

    def put_new(self, run: str, state: int, ids: Sequence[str], digests: Sequence[bytes | None]) -> int | None:
        """Put down a batch with its entries, by one statement; None, and nothing is put down, where one is there."""
        answer = self.db.added(
            "WITH new AS (INSERT INTO batch (run, state) VALUES (?, ?) RETURNING no), added AS"
            f" (INSERT INTO entry (id, digest, batch) SELECT i, d, no FROM new, {_ROWS}) SELECT no FROM new",
            (run, state, *_columns(ids, digests)),
        )
        return None if answer is None else int(answer.fetchone()[0])

    def copy(self, path: Path) -> Journal:
        """Return a copy in a file, for a dry run to write to."""
        other = Journal("", path)
        for table, columns in _COPIED.items():
            marks = ", ".join("?" * len(columns.split(",")))
            rows = self.db.execute(f"SELECT {columns} FROM {table}")
            other.db.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", rows)
        return other


def _columns(ids: Sequence[str], digests: Sequence[bytes | None]) -> tuple[pa.Array, pa.Array]:
    return pa.array(ids, pa.string()), pa.array(digests, pa.binary())


def _told_here(run: str) -> Iterator[tuple[str, str, str]]:
    """Yield (table, condition, value) of what this state folder is told when a run ends."""
    yield "run", "id = ?", run
    yield "quarantine", "run = ?", run
    yield "meta", "key LIKE ?", f"{PROOF}%"


def _key() -> str:
    return f"last run of {home()} on {socket.gethostname()}"


def _last(local: Journal) -> str:
    runs = local.runs()
    return runs[0]["id"] if runs else ""
