"""A table of PostgreSQL as the place of an index: its rows change in the same transaction as the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection, Refused, Unsupported
from wherry.indexing import beside
from wherry.indexing.diff import Change, Known
from wherry.indexing.layouts import RAG, RAG_COLUMNS, RAG_RECORD, Layout, layout_of
from wherry.indexing.lease import Lease
from wherry.indexing.manifest import Generation, Manifest, Target
from wherry.postgres.database import Database
from wherry.postgres.link import server_of
from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.pgvector import cards, indexes, writing
from wherry.stores.pgvector.catalog import NAME_BYTES, Table, find, planned, require_name
from wherry.stores.pgvector.source import MAX_DIMENSION

_ROLES = ("id", "vector", "text", "metadata")
_OPTIONS = {*_ROLES, "schema", "metric", "layout", *RAG_COLUMNS}
_ANALYSED_SHARE = 10
_MAKE_RAG = """
CREATE TABLE {table} ({id} bigserial PRIMARY KEY, {source} text NOT NULL, {source_hash} text NOT NULL,
  {doc_id} int NOT NULL, {text} text NOT NULL, {vector} {type}({dimension}) NOT NULL,
  {metadata} jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE ({source}, {doc_id}))
"""


class TablePlace:
    """The table an address names. `open` or `make` says which generation is worked on."""

    def __init__(self, address: Address) -> None:
        require_name(address)
        if address.option("layout", "records") not in ("records", RAG):
            raise BadAddress(f"unknown layout in {address}", next=f"use ?layout=records or ?layout={RAG}")
        self.address = address
        self.server = server_of(address, _OPTIONS)
        self.database = Database(self.server)
        self.table: Table | None = None
        self._layout: Layout | None = None
        self._live = False
        self._written = 0

    @property
    def target(self) -> Target:
        """What the manifest looks for."""
        parts = self.address.collection.split(".")
        schema = self.address.option("schema")
        pair = (parts[0], parts[1]) if len(parts) == 2 and schema is None else None
        return Target(str(self.address), None, schema, self.address.collection, pair)

    @property
    def layout(self) -> Layout:
        """How the rows lie."""
        if self._layout is None:
            raise NoSuchCollection("the table of the index is not open", where=str(self.address))
        return self._layout

    def make(self, connection: psycopg.Connection, space: Space) -> tuple[dict[str, Any], int]:
        """Make the table of a first generation, or take an empty one that is there; return (place, oid).

        Raises Refused when it holds rows that no index made.
        """
        place = self._planned_place(connection)
        found = find(connection, self._address_of(place))
        if found is None:
            self._create(connection, place, space)
            found = find(connection, self._address_of(place))
        if found is None or found.oid is None:
            raise NoSuchCollection(f"the table {place['table']!r} could not be made", where=str(self.address))
        self._require_empty(connection, found)
        space.require_same(Space(dimension=found.dimension), "the model", str(self.address))
        cards.write(connection, found, self._stated(space), Index("hnsw"))
        self._take(found, place)
        return place, found.oid

    def make_beside(
        self, connection: psycopg.Connection, live: dict[str, Any], space: Space, number: int
    ) -> tuple[dict[str, Any], int]:
        """Make an empty table like the live one, for vectors of another space; return (place, oid)."""
        old = self._found(connection, live)
        place = live | {"table": numbered(live["table"], number)}
        new = beside.make(connection, old, place["table"], space)
        found = find(connection, self._address_of(place)) if new else None
        if found is None or found.oid is None:
            raise NoSuchCollection(f"the table {place['table']!r} could not be made", where=str(self.address))
        cards.write(connection, found, self._stated(space), Index("hnsw"))
        self._take(found, place)
        return place, found.oid

    def switch(
        self, connection: psycopg.Connection, live: Generation, other: Generation
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the live table's name to another one, in a transaction; return the places (live before, live now)."""
        name, aside = live.place["table"], numbered(live.place["table"], live.number)
        for schema, old, new in (
            (live.place["schema"], name, aside),
            (other.place["schema"], other.place["table"], name),
        ):
            rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(schema, old), sql.Identifier(new)))
        return live.place | {"table": aside}, other.place | {"table": name}

    def remove(self, connection: psycopg.Connection, place: dict[str, Any]) -> None:
        """Drop the table of a generation that nobody reads."""
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(place["schema"], place["table"])))

    def texts(self, connection: psycopg.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return (text, metadata as JSON text) of some rows, by what identifies them."""
        table, key = self._open_table, self.layout.key()
        if table.text is None:
            raise Unsupported("the table keeps no texts, so nothing can be embedded from it", where=str(self.address))
        metadata = table.metadata.quoted if table.metadata is not None else sql.SQL("NULL")
        statement = sql.SQL("SELECT {}, {}, coalesce({}::text, '{{}}') FROM {} t WHERE {} = ANY ($1::text[])")
        rows = connection.execute(
            statement.format(key, table.text.quoted, metadata, table.quoted, key), [list(ids)]
        ).fetchall()
        return {row[0]: (row[1], row[2]) for row in rows}

    def row_ids(self, source: str, document: Known) -> list[str]:
        """Return what identifies the rows of a document, in order."""
        return self.layout.ids(source, document)

    def keys(self, connection: psycopg.Connection) -> Iterator[list[str]]:
        """Yield what identifies the rows of the table, some at a time."""
        table = self._open_table
        with connection.cursor(name="wherry_keys") as cursor:
            cursor.execute(sql.SQL("SELECT {} FROM {} t").format(self.layout.key(), table.quoted))
            while rows := cursor.fetchmany(10_000):
                yield [row[0] for row in rows]

    def wrong_vectors(
        self, connection: psycopg.Connection, ids: Sequence[str], keys: Sequence[bytes], unit: bool
    ) -> set[str]:
        """Return which rows have a vector that is not the one that was paid for, has no direction or no unit length.

        A row whose vector the cache no longer has is judged by its length alone.
        """
        table, key = self._open_table, self.layout.key()
        kept = sql.SQL("v.vector::{}").format(table.type("halfvec")) if table.half else sql.SQL("v.vector")
        norm = sql.SQL("{}({})").format(
            table.type("l2_norm" if table.half else "vector_norm"), sql.SQL("t.{}").format(table.vector.quoted)
        )
        statement = sql.SQL(
            "SELECT u.id FROM unnest($1::text[], $2::bytea[]) u(id, key) JOIN {} t ON {} = u.id"
            " LEFT JOIN wherry.vectors v ON v.embed_fp = u.key"
            " WHERE t.{} <> {} OR {} = 0 OR ($3 AND abs({} - 1) > 0.01)"
        ).format(table.quoted, key, table.vector.quoted, kept, norm, norm)
        return {row[0] for row in connection.execute(statement, [list(ids), list(keys), unit]).fetchall()}

    def health(self) -> tuple[int, str]:
        """Return how many rows the table has, and its vector index in a word: hnsw, invalid or none."""
        table = self._open_table
        with self.database.begin() as connection:
            (rows,) = connection.execute(writing.counted(table)).fetchone() or (0,)
            found = indexes.vector_indexes(connection, table)
        valid = [index.kind for index in found if index.valid]
        return int(rows), valid[0] if valid else ("invalid" if found else "none")

    def open(self, place: dict[str, Any]) -> None:
        """Work on the table of a generation that exists. Raises NoSuchCollection when it is gone."""
        with self.database.begin() as connection:
            found = self._found(connection, place)
            some = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(found.quoted)
            self._live = bool((connection.execute(some).fetchone() or (False,))[0])
        self._take(found, place)

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold nothing: the lease and the transactions do."""
        return nullcontext()

    def recover(self, database: Database, lease: Lease, generation: int) -> None:
        """Do nothing: a transaction leaves nothing half done."""

    def announce(
        self, database: Database, lease: Lease, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Do nothing: all is done in one transaction."""

    def change(
        self, connection: psycopg.Connection, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Bring the rows of some documents to what they should be, within a transaction."""
        self._written += sum(len(c.put) + len(c.move) + len(c.drop) for c in changes)
        self.layout.change(connection, changes, settings)

    def announce_gone(self, database: Database, lease: Lease, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Do nothing, like `announce`."""

    def drop(self, connection: psycopg.Connection, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Remove the rows of some documents, within a transaction."""
        self._written += sum(len(known.chunk_fps) for known in documents)
        self.layout.drop(connection, manifest.key[2], documents)

    def mend(self) -> None:
        """Drop a vector index that a failed build left behind; the next run builds it."""
        with self.database.begin() as connection:
            found = indexes.vector_indexes(connection, self._open_table)
        indexes.drop_invalid(self.database.link, found)

    def finish(self, space: Space, rows: int) -> None:
        """Build the vector index if there is none, beside writers where there are readers; renew statistics."""
        table, link = self._open_table, self.database.link
        with self.database.begin() as connection:
            found = indexes.vector_indexes(connection, table)
        metric = self._stated(space).metric
        if not indexes.drop_invalid(link, found) and metric is not None and space.dimension and rows:
            indexes.build(link, table, metric, Index("hnsw"), rows, space.dimension, self._live)
        if self._written and self._written * _ANALYSED_SHARE > rows:
            with self.database.begin() as connection:
                connection.execute(writing.analysed(table))
        self._written = 0

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.database.close()

    @property
    def _open_table(self) -> Table:
        if self.table is None:
            raise NoSuchCollection("the table of the index is not open", where=str(self.address))
        return self.table

    def _found(self, connection: psycopg.Connection, place: dict[str, Any]) -> Table:
        found = find(connection, self._address_of(place))
        if found is None:
            raise NoSuchCollection(
                f"the table {place['schema']}.{place['table']} of this index is gone",
                where=str(self.address),
                left="what is known about its documents, and the vectors that were paid for, stay",
                next=f"wherry index repair '{self.address}' makes it again",
            )
        return found

    def _take(self, table: Table, place: dict[str, Any]) -> None:
        self.table, self._layout = table, layout_of(table, place)

    def _stated(self, space: Space) -> Space:
        return space.with_metric(self.address.stated_metric(), str(self.address))

    def _planned_place(self, connection: psycopg.Connection) -> dict[str, Any]:
        rag = self.address.option("layout") == RAG
        names = {role: self.address.option(role, RAG_RECORD[role] if rag else None) for role in _ROLES}
        given = {role: name for role, name in names.items() if name is not None}
        table = find(connection, self._plain(given)) or planned(connection, self._plain(given))
        columns = {
            "id": table.id.name,
            "vector": table.vector.name,
            "text": table.text.name if table.text else "",
            "metadata": table.metadata.name if table.metadata else "",
        }
        if rag:
            columns |= {role: self.address.option(role) or name for role, name in RAG_COLUMNS.items()}
        return {
            "schema": table.schema, "table": table.name, "layout": RAG if rag else "records",
            "columns": columns,
        }  # fmt: skip

    def _plain(self, options: dict[str, str]) -> Address:
        """Return the address with the options that the table's own adapter knows."""
        schema = self.address.option("schema")
        return replace(self.address, options=options | ({"schema": schema} if schema else {}))

    def _address_of(self, place: dict[str, Any]) -> Address:
        options = {role: place["columns"][role] for role in _ROLES}
        return replace(self.address, collection=place["table"], options=options | {"schema": place["schema"]})

    def _create(self, connection: psycopg.Connection, place: dict[str, Any], space: Space) -> None:
        dimension = space.dimension
        if dimension is None or dimension > MAX_DIMENSION:
            raise Unsupported(
                f"pgvector stores 1 to {MAX_DIMENSION:,} components per vector, not {dimension}",
                where=str(self.address),
                left="nothing was made",
            )
        table = planned(connection, self._address_of(place))
        if place["layout"] == RAG:
            names = {role: sql.Identifier(name) for role, name in place["columns"].items()}
            kind, size = table.type("vector"), sql.Literal(dimension)
            connection.execute(sql.SQL(_MAKE_RAG).format(table=table.quoted, type=kind, dimension=size, **names))
        else:
            connection.execute(writing.creation(table, dimension))

    def _require_empty(self, connection: psycopg.Connection, table: Table) -> None:
        some = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.quoted)
        if (connection.execute(some).fetchone() or (False,))[0]:
            raise Refused(
                "the table holds rows that no index made",
                where=str(self.address),
                left="nothing was touched",
                next="index into another table, or empty this one first",
            )


def numbered(table: str, number: int) -> str:
    """Return the name under which a generation of a table stands aside; no longer than a name may be."""
    ending = f"__g{number}"
    encoded = table.encode()
    if len(encoded) + len(ending) <= NAME_BYTES:
        return table + ending
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    head = encoded[: NAME_BYTES - len(ending) - len(digest) - 1].decode(errors="ignore")
    return f"{head}_{digest}{ending}"
