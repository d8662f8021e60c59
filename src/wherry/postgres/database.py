"""A database with Wherry's own tables: of indexes, routes and keys; in the same PostgreSQL as the rows where it can be.

Every statement goes through here, so that a test can count them and end the process at each one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from wherry.errors import NoSuchCollection, Unsupported
from wherry.postgres import migrations
from wherry.postgres.link import Link, Server

_MISSING = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedColumn)


class Database:
    """A database with Wherry's tables; for one thread at a time. `again` opens another connection to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._link = Link(server)

    def again(self) -> Database:
        """Return the same database over a connection of its own."""
        return Database(self.server)

    def ask(self, statement: str | sql.Composable, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement by itself and return its rows: one round trip."""
        with self._link.alone() as connection:
            return _rows(connection.execute(statement, values))  # type: ignore[arg-type]

    def tell(self, statement: str | sql.Composable, values: Sequence[Any] = ()) -> int:
        """Run one statement by itself; return how many rows it changed."""
        with self._link.alone() as connection:
            return connection.execute(statement, values).rowcount  # type: ignore[arg-type]

    @contextmanager
    def begin(self) -> Iterator[psycopg.Connection]:
        """Run one transaction: committed at the end, rolled back by an error."""
        with self._link.begin() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[psycopg.Connection]:
        """Give the connection outside of a transaction."""
        with self._link.alone() as connection:
            yield connection

    @property
    def link(self) -> Link:
        """The connection, for what works on links."""
        return self._link

    def upgrade(self) -> None:
        """Make Wherry's tables, or bring them to this program's version."""
        migrations.upgrade(self.server)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._link.close()


def is_missing(error: BaseException) -> bool:
    """Tell whether an error says that Wherry's tables are not there, or not all of them."""
    return (isinstance(error, NoSuchCollection) and isinstance(error.__cause__, _MISSING)) or (
        isinstance(error.__cause__, _MISSING)
    )


def require_version(found: str) -> bool:
    """Tell whether the tables have this program's version. Raises Unsupported when they are newer."""
    if found > migrations.HEAD:
        raise Unsupported(
            f"the tables of the index are of a later version of Wherry: {found}, this one knows {migrations.HEAD}",
            left="nothing was touched",
            next="upgrade Wherry",
        )
    return found == migrations.HEAD


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description else []
