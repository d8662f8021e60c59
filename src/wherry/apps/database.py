"""The tables of an app in PostgreSQL.

url, else DATABASE_URL, else WHERRY_DATABASE_URL, else the embedded server. Where Wherry chooses the database, the
tables are in a schema named like the app, so that apps do not meet; in a database of the user's own they are in
`public`, where they have been all along.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, text
from sqlalchemy.orm import Session

from wherry.address import Address
from wherry.apps.failures import translated
from wherry.apps.pool import pool_settings
from wherry.postgres import server as embedded
from wherry.postgres.extension import extend
from wherry.postgres.link import CONNECT_S, VARIABLE, Server, server_at
from wherry.postgres.migrations import ALONE

URL = "DATABASE_URL"
_HERE = Path(__file__).parent / "migrations"
_LOCKS = 0x77686570


class AppDatabase:
    """The database of one app; threads may share it.

    metadata: of its SQLAlchemy models, whose tables name no schema. migrations: the folder of its Alembic revisions.
    url: of a server; None takes it from the environment. schema: where the tables are, instead of the rule above.
    """

    def __init__(
        self, app: str, metadata: MetaData, migrations: Path, url: str | None = None, schema: str | None = None
    ) -> None:
        self.app, self.metadata, self._migrations = app, metadata, migrations
        own = url or os.environ.get(URL)
        self._url = own or os.environ.get(VARIABLE)
        self.server: Server = server_at(self._url) if self._url else Server(None, f"the embedded database ({app})")
        self.schema = schema or ("public" if own else app)

    @cached_property
    def engine(self) -> Engine:
        """The engine, with a pool of the size the environment says. Raises Usage."""
        pool = pool_settings()
        return create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_pre_ping=True,
            pool_size=pool.pool_size,
            max_overflow=pool.max_overflow,
            pool_timeout=pool.pool_timeout,
            pool_recycle=pool.pool_recycle,
            echo=pool.echo,
            hide_parameters=True,
        )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a session of one transaction: committed at the end, rolled back by an error.

        Raises Conflict, Unreachable, AuthFailed, TimedOut, Rejected, and what happens inside.
        """
        with translated(self.server), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give a connection in one transaction, for statements that are no model's; errors as of `session`."""
        with translated(self.server), self.engine.begin() as connection:
            yield connection

    def upgrade(self, to: str = "head") -> None:
        """Make the tables or bring them to this program's version: one transaction, safe to repeat and to race.

        Raises Refused when the user may not install pgvector, Unsupported when nobody can, Unreachable and the like.
        """
        from alembic import command

        with ALONE, translated(self.server):
            self._extend()
            with self.engine.begin() as connection:
                # One at a time; whoever comes second finds the work done.
                lock = [_LOCKS, zlib.crc32(f"{self.schema}/{self.app}".encode()) - 2**31]
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", tuple(lock))
                # Asked first: even a schema that is there is not made by a user who may make none.
                if not connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :n"), {"n": self.schema}):
                    connection.execute(text(f"CREATE SCHEMA {_quoted(self.schema)}"))
                command.upgrade(self._config(connection), to)

    def revision(self) -> str | None:
        """Return the revision the tables are at, None where the app has none yet."""
        from alembic.runtime.migration import MigrationContext

        with self.begin() as connection:
            options = {"version_table": self._versions, "version_table_schema": self.schema}
            return MigrationContext.configure(connection, opts=options).get_current_revision()

    def drift(self) -> list[str]:
        """Return what Alembic's autogenerate would still change; nothing when tables and models agree."""
        # Columns of the type are known to reflection once this is imported.
        import pgvector.sqlalchemy  # noqa: F401
        from alembic.autogenerate import compare_metadata
        from alembic.runtime.migration import MigrationContext

        with self.begin() as connection:
            options = {"compare_type": True, "include_object": self._ours}
            return [
                str(one)
                for one in compare_metadata(MigrationContext.configure(connection, opts=options), self.metadata)
            ]

    def check(self) -> dict[str, Any]:
        """Describe the database: server, extension, revision, which of the app's tables and indexes are missing."""
        with self.begin() as connection:
            versions = connection.exec_driver_sql(
                "SELECT current_setting('server_version'),"
                " (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
            ).one()
            found = inspect(connection)
            tables = set(found.get_table_names())
            indexes = {i["name"] for t in self.metadata.tables if t in tables for i in found.get_indexes(t)}
        expected = {str(i.name) for t in self.metadata.tables.values() for i in t.indexes}
        return {
            "database": self.server.shown,
            "schema": self.schema,
            "postgresql": versions[0],
            "pgvector": versions[1],
            "revision": self.revision(),
            "tables": sorted(tables & set(self.metadata.tables)),
            "missing_tables": sorted(set(self.metadata.tables) - tables),
            "indexes": sorted(indexes & expected),
            "missing_indexes": sorted(expected - indexes),
        }

    def address(self, table: str, **options: str) -> Address:
        """Return a table as an address: wherry.search(question, in_=db.address("chunks", id="id", vector="embedding")).

        options: those of pgvector addresses, such as id, vector, text, metadata, fields.
        """
        name = f"{self.schema}.{table}"
        if not self._url:
            return Address("pgvector", "", name, options)
        base = Address.parse(self._url)
        return Address("postgresql", base.location, name, {**base.options, **options})

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @property
    def _versions(self) -> str:
        return f"alembic_version_{self.app}"

    def _connect(self) -> psycopg.Connection[Any]:
        conninfo = embedded.start() if self.server.conninfo is None else self.server.conninfo
        # Libpq splits options at spaces that no backslash precedes.
        path = f"{_quoted(self.schema)},public".replace("\\", "\\\\").replace(" ", "\\ ")
        return psycopg.connect(
            conninfo, connect_timeout=CONNECT_S, options=f"-c search_path={path}", application_name=f"wherry {self.app}"
        )

    def _extend(self) -> None:
        # Over a connection without the app's search path: the extension belongs to the database, not to an app.
        with closing(self.server.connect()) as connection:
            extend(connection, self.server.shown)

    def _config(self, connection: Connection) -> Any:
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
        config.set_main_option("version_locations", str(self._migrations).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        config.attributes.update(
            connection=connection, metadata=self.metadata, version_table=self._versions, schema=self.schema
        )
        return config

    def _ours(self, thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        table = name if kind == "table" else getattr(getattr(thing, "table", None), "name", name)
        # What an app makes while it runs, such as an index of a kind that the user chooses, is no drift.
        unmanaged = name in self.metadata.info.get("unmanaged", ()) or (other is not None and _tuned(thing, kind))
        return table in self.metadata.tables and not unmanaged


def _tuned(thing: Any, kind: str) -> bool:
    """Return whether this is a vector index: `tune` chooses its form, which may be an expression over the column."""
    return kind == "index" and thing.dialect_kwargs.get("postgresql_using") == "hnsw"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
