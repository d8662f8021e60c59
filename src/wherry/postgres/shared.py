"""Tables that processes of several machines share, each group of them in a schema of its own.

It is spoken to as SQLite is: `?` for values, explicit transactions. Whoever keeps something either in a file or
here writes one kind of statement. Texts may hold U+0000, which PostgreSQL cannot: it travels escaped.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import pyarrow as pa
from psycopg import pq, sql
from psycopg.errors import UniqueViolation

from wherry.address import Address
from wherry.postgres.columns import take_columns
from wherry.postgres.failures import translated
from wherry.postgres.link import Server, server_of
from wherry.record import bytes_of

_PREPARED_AFTER = 5
_ESCAPES = (("\\", "\\\\"), ("\x00", "\\0"))


def shared_server() -> Server:
    """Return the server that all machines share: that of WHERRY_DATABASE_URL, else the embedded one of this one."""
    return server_of(Address.parse("pgvector:#shared"), set())


class SharedDatabase:
    """One schema of the shared server. Several threads may use it; a transaction is one thread's."""

    def __init__(self, schema: str, tables: Sequence[str]) -> None:
        """Connect, and make the schema and its tables if they are not there; several may do so at once."""
        self._server = shared_server()
        self._lock = threading.RLock()
        self._connection = self._server.connect()
        take_columns(self._connection)
        # The same few statements over and over; what stands between here and the server keeps the session anyway.
        self._connection.prepare_threshold = _PREPARED_AFTER
        with self._errors():
            self._make(schema, tables)

    def _make(self, schema: str, tables: Sequence[str]) -> None:
        connection, name = self._connection, sql.Identifier(schema)
        key = int.from_bytes(hashlib.sha256(f"wherry shared {schema}".encode()).digest()[:8], "big", signed=True)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock($1)", [key])
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
            for table in tables:
                connection.execute(table.encode())
        connection.execute(sql.SQL("SET search_path TO {}").format(name))

    @property
    def where(self) -> str:
        """The place, fit to print."""
        return self._server.shown if self._server.embedded else "WHERRY_DATABASE_URL"

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a failed one included."""
        return self._connection.info.transaction_status != pq.TransactionStatus.IDLE

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Answer:
        """Run one statement; `?` stands for a value: what SQLite takes, or an Arrow array of strings or bytes."""
        with self._lock, self._errors():
            return self._run(statement, values)

    def added(self, statement: str, values: Sequence[Any]) -> Answer | None:
        """Run one statement that adds rows, in no transaction; None, and none is added, where a key is there."""
        with self._lock, self._errors():
            try:
                return self._run(statement, values)
            except UniqueViolation:
                return None

    def _run(self, statement: str, values: Sequence[Any]) -> Answer:
        # All rows are taken at once: the connection is free for the next statement then, as SQLite's is.
        cursor = self._connection.execute(_numbered(statement), [_sent(value) for value in values])
        rows = cursor.fetchall() if cursor.description else []
        return Answer([tuple(map(_received, row)) for row in rows], cursor.rowcount)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for several rows of values."""
        with self._lock, self._errors(), self._connection.cursor() as cursor:
            cursor.executemany(_numbered(statement), [[_sent(value) for value in row] for row in rows])

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def _errors(self) -> Any:
        return translated(self.where, self._server.secrets)


class Answer:
    """The rows of a statement. rowcount: how many it changed or returned."""

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows, self.rowcount = iter(rows), rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last."""
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        return list(self._rows)


def _numbered(statement: str) -> bytes:
    """Return a statement with $1, $2, ... for its question marks, and what SQLite calls otherwise renamed."""
    numbers = count(1)
    parts = statement.replace("BEGIN IMMEDIATE", "BEGIN").split("?")
    return "".join(part if not at else f"${next(numbers)}{part}" for at, part in enumerate(parts)).encode()


def _sent(value: Any) -> Any:
    if isinstance(value, str):
        for plain, escaped in _ESCAPES:
            value = value.replace(plain, escaped)
    elif isinstance(value, pa.StringArray):
        joined = bytes(bytes_of(value))
        if any(plain.encode() in joined for plain, _ in _ESCAPES):
            return pa.array(map(_sent, value.to_pylist()), pa.string())
    return value


def _received(value: Any) -> Any:
    if not isinstance(value, str) or "\\" not in value:
        return value
    # From left to right: an escaped backslash before a 0 is no U+0000.
    return "\\".join(part.replace("\\0", "\x00") for part in value.split("\\\\"))
