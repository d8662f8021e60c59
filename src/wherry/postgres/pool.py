"""Connections for many readers at once: made when they are needed, kept, shared between threads.

psycopg's own pool connects in the background, where whoever waits does not learn why it fails, and needs
threads for that; a search is better off with the error at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from wherry.errors import TimedOut
from wherry.postgres.failures import translated
from wherry.postgres.link import Server

# More would only stand in each other's way on the server; who comes later waits for one of these.
MOST = 10
WAIT_S = 60.0


class Pool:
    """Connections to one server. made: called once with each new connection, in autocommit mode."""

    def __init__(self, to: Server, made: Callable[[psycopg.Connection], None], most: int = MOST) -> None:
        self.server = to
        self._made = made
        self._most = most
        self._free = threading.BoundedSemaphore(most)
        self._idle: list[psycopg.Connection] = []
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """Lend a connection for one thread. Raises TimedOut, Unreachable or AuthFailed, or what psycopg raises."""
        if not self._free.acquire(timeout=WAIT_S):
            raise TimedOut(
                f"all {self._most} connections for searching were in use for {WAIT_S:.0f} s",
                where=self.server.shown,
                left="nothing was read",
                next="ask fewer questions at once",
            )
        try:
            lent = self._lent()
            try:
                yield lent
            finally:
                self._take_back(lent)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections nobody uses; those in use are kept until their next close."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _lent(self) -> psycopg.Connection:
        with self._lock:
            if self._idle:
                # The one that was used last: the others may time out at the server.
                return self._idle.pop()
        connection = self.server.connect()
        with translated(self.server.shown, self.server.secrets):
            self._made(connection)
        return connection

    def _take_back(self, connection: psycopg.Connection) -> None:
        if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)
