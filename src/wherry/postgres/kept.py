"""Connections whose user is done: kept for a second, for the next one to the same server.

The session behind a connection learns the catalog by looking things up: the first look at a table costs the server
11 ms on a new one, 2 ms on one that has been used.
"""

from __future__ import annotations

import atexit
import os
import selectors
import threading

import psycopg
from psycopg.pq import TransactionStatus

# Short, for whoever wants to drop the database waits for all of them; long enough for a store that is opened next.
KEPT_S = 1.0
MOST = 4


class Kept:
    """Some idle connections by what the driver was told; the last one given is the first one taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, psycopg.Connection]] = []

    def take(self, conninfo: str) -> psycopg.Connection | None:
        """Return a connection that still stands, or None."""
        while (found := self._last(conninfo)) is not None:
            if not _has_news(found):
                return found
            found.close()
        return None

    def give(self, conninfo: str, connection: psycopg.Connection) -> None:
        """Keep a connection, or close it where it is in the middle of something or there are enough."""
        entry = (conninfo, connection)
        with self._lock:
            kept = _is_idle(connection) and len(self._idle) < MOST
            if kept:
                self._idle.append(entry)
        if not kept:
            connection.close()
            return
        ending = threading.Timer(KEPT_S, self._end, [entry])
        ending.daemon = True
        ending.start()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _last(self, conninfo: str) -> psycopg.Connection | None:
        with self._lock:
            at = next((n for n in reversed(range(len(self._idle))) if self._idle[n][0] == conninfo), None)
            return None if at is None else self._idle.pop(at)[1]

    def _end(self, entry: tuple[str, psycopg.Connection]) -> None:
        with self._lock:
            # It may have been lent and given back meanwhile: then it is another entry, with another end.
            at = next((n for n, one in enumerate(self._idle) if one is entry), None)
            if at is not None:
                del self._idle[at]
        if at is not None:
            entry[1].close()


def _is_idle(connection: psycopg.Connection) -> bool:
    return not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE


def _has_news(connection: psycopg.Connection) -> bool:
    """Tell whether the server said something that nobody asked for, such as that it ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


KEPT = Kept()
_of_parents: list[Kept] = []


def _begin_anew() -> None:
    """Leave a parent's connections alone in a forked child, closing included: they are the parent's sessions."""
    global KEPT
    _of_parents.append(KEPT)
    KEPT = Kept()


atexit.register(lambda: KEPT.close())
os.register_at_fork(after_in_child=_begin_anew)
