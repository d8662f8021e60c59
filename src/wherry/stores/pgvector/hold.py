"""Holding a table against other writers, wherever they run."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import psycopg

from wherry.errors import Busy, WherryError
from wherry.postgres.failures import translated
from wherry.postgres.link import Server

_TAKE = "SELECT pg_try_advisory_xact_lock($1)"
# Shared by every transaction that writes. A killed client's last one may still be at work when its hold
# is gone already; who takes the hold next waits here until that has ended.
_AT_WORK = "SELECT pg_advisory_xact_lock_shared($1)"
_WAIT = "SELECT pg_advisory_xact_lock($1)"
_PATIENCE = "SET LOCAL lock_timeout = '60s'"
_HOLDER = """
SELECT a.pid, a.application_name, a.client_addr::text, a.xact_start::timestamp(0)::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid
"""


class Hold:
    """An advisory lock of a transaction of its own: no pooler can lose it, and no crash can keep it."""

    def __init__(self, to: Server, name: str) -> None:
        self.server, self.name = to, name
        digest = hashlib.sha256(f"wherry {name}".encode()).digest()
        self.key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: psycopg.Connection | None = None

    def take(self) -> None:
        """Take the lock at once, or raise Busy and name who has it."""
        connection = self.server.connect()
        try:
            with translated(self.server.shown, self.server.secrets):
                connection.execute("BEGIN")
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                row = connection.execute(_TAKE, [self.key]).fetchone()
                if not row or not row[0]:
                    raise self._busy(connection)
                connection.execute(_PATIENCE)
                connection.execute("SAVEPOINT waited")
                connection.execute(_WAIT, [self.key ^ 1])
                # Gives this lock back, and keeps the hold.
                connection.execute("ROLLBACK TO waited")
        except WherryError:
            connection.close()
            raise
        self._connection = connection

    def renew(self) -> None:
        """Take the lock again if the server went away meanwhile; raise Busy if another run has it now."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return
        except psycopg.OperationalError:
            self.release()
        self.take()

    def note(self, connection: psycopg.Connection) -> None:
        """Let the next holder wait for the end of this transaction, even if this process is gone by then."""
        connection.execute(_AT_WORK, [self.key ^ 1])

    def release(self) -> None:
        """Give the lock back; without the server's answer it goes with the connection, some moments later."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.OperationalError):
                connection.execute("ROLLBACK")
            connection.close()

    def _busy(self, connection: psycopg.Connection) -> Busy:
        row = connection.execute(_HOLDER, [self.key]).fetchone()
        holder = ""
        if row:
            place = f" from {row[2]}" if row[2] else ""
            holder = f": process {row[0]} of the server, {row[1] or 'unnamed'}{place}, since {row[3]}"
        return Busy(
            f"another run is writing {self.name}{holder}",
            where=self.server.shown,
            left="nothing was written",
            next="wait for it to end, then run the same command again",
        )


class Guest(Hold):
    """What a worker writes by: the lock that the process it works for has taken, and may have lost."""

    def take(self) -> None:
        """Nothing is taken."""

    def renew(self) -> None:
        """Nothing is taken."""

    def note(self, connection: psycopg.Connection) -> None:
        """Let the next holder wait for this transaction. Raises Busy when nobody holds the table for this run."""
        super().note(connection)
        row = connection.execute(_TAKE, [self.key]).fetchone()
        if row and row[0]:
            raise Busy(
                f"the run that {self.name} was written for has ended",
                where=self.server.shown,
                left="nothing of the batch was written",
                next="run the same command again",
            )
