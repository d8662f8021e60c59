"""Words of collections in the database: two tables of Wherry's own in the schema of the collection.

    wherry_lexicons (name, version, manifest)      what counts, replaced in one step
    wherry_words    (lexicon, name, part, data)    the files it names, in parts

They are made when somebody asks for words inside the database (`wherry lexicon build --inside`), never by a search.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import psycopg
from psycopg import sql

from wherry.errors import Busy, JournalCorrupt
from wherry.postgres.link import Link, Server
from wherry.stores.lexical import Published

_LEXICONS, _WORDS = "wherry_lexicons", "wherry_words"
_PART_BYTES = 16 << 20
_MAKE = (
    "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, version bigint NOT NULL, manifest text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {} (lexicon text, name text, part int, data bytea NOT NULL,"
    " PRIMARY KEY (lexicon, name, part))",
)
_MAY = "SELECT bool_and(coalesce(has_table_privilege(to_regclass(n), 'SELECT'), false)) FROM unnest($1::text[]) n"
_PUT = (
    "INSERT INTO {} (name, version, manifest) VALUES ($1, $2, $3)"
    " ON CONFLICT (name) DO UPDATE SET version = excluded.version, manifest = excluded.manifest"
)


def published(connection: psycopg.Connection, schema: str, name: str) -> bool:
    """Tell whether the words of a collection are in the database, and this user may read them."""
    lexicons = sql.Identifier(schema, _LEXICONS)
    names = [lexicons.as_string(connection), sql.Identifier(schema, _WORDS).as_string(connection)]
    may = connection.execute(_MAY, [names]).fetchone()
    if not may or not may[0]:
        return False
    query = sql.SQL("SELECT 1 FROM {} WHERE name = $1").format(lexicons)
    return connection.execute(query, [name]).fetchone() is not None


class PgShelf:
    """Room for the words of one collection. name: tells it from others in the same schema."""

    def __init__(self, server: Server, schema: str, name: str) -> None:
        self.name = name
        self._link = Link(server)
        self._lexicons, self._words = sql.Identifier(schema, _LEXICONS), sql.Identifier(schema, _WORDS)

    def make(self) -> None:
        """Make the tables if they are not there."""
        with self._link.begin() as connection:
            for statement, table in zip(_MAKE, (self._lexicons, self._words), strict=True):
                connection.execute(sql.SQL(statement).format(table))

    def read(self) -> Published | None:
        """Return what was published last, None when nothing was."""
        with self._link.begin() as connection:
            query = sql.SQL("SELECT version, manifest FROM {} WHERE name = $1").format(self._lexicons)
            row = connection.execute(query, [self.name]).fetchone()
        return Published(*row) if row else None

    def fetch(self, name: str) -> bytes:
        """Return a file. Raises JournalCorrupt for one that is not there."""
        with self._link.begin() as connection:
            query = sql.SQL("SELECT data FROM {} WHERE lexicon = $1 AND name = $2 ORDER BY part").format(self._words)
            parts = connection.execute(query, [self.name, name], binary=True).fetchall()
        if not parts:
            raise JournalCorrupt(
                f"the words of a collection are not whole: {name} is missing",
                where=self._link.server.shown,
                left="the collection itself is not touched",
                next="run `wherry lexicon build --inside` again",
            )
        return b"".join(bytes(part[0]) for part in parts)

    def publish(self, manifest: str, files: Mapping[str, bytes], keep: Collection[str], after: int) -> int:
        """Add files, replace the manifest and drop what nobody needs, in one transaction."""
        with self._link.begin() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [f"wherry words {self.name}"])
            self._require(connection, after)
            insert = sql.SQL("INSERT INTO {} (lexicon, name, part, data) VALUES ($1, $2, $3, $4)").format(self._words)
            for name, data in files.items():
                for part, start in enumerate(range(0, max(len(data), 1), _PART_BYTES)):
                    connection.execute(insert, [self.name, name, part, data[start : start + _PART_BYTES]])
            drop = sql.SQL("DELETE FROM {} WHERE lexicon = $1 AND name <> ALL ($2::text[])").format(self._words)
            connection.execute(drop, [self.name, list(keep)])
            connection.execute(sql.SQL(_PUT).format(self._lexicons), [self.name, after + 1, manifest])
        return after + 1

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _require(self, connection: psycopg.Connection, after: int) -> None:
        query = sql.SQL("SELECT version FROM {} WHERE name = $1").format(self._lexicons)
        row = connection.execute(query, [self.name]).fetchone()
        if (row[0] if row else 0) != after:
            raise Busy(
                "another machine wrote the words of this collection in the meantime",
                where=self._link.server.shown,
                left="its words stand",
                next="run the same command again",
            )
