"""A table of PostgreSQL as the place of an index: its rows change in the same transaction as the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection, Refused, Unsupported
from wherry.indexing.database import Database
from wherry.indexing.diff import Change, Known
from wherry.indexing.layouts import RAG, RAG_COLUMNS, RAG_RECORD, Layout, layout_of
from wherry.indexing.manifest import Target
from wherry.postgres.link import server_of
from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.pgvector import cards, indexes, writing
from wherry.stores.pgvector.catalog import Table, find, planned, require_name
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

    transactional = True

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

    def make(self, connection: psycopg.Connection, space: Space, suffix: str = "") -> tuple[dict[str, Any], int]:
        """Make the table of a new generation, or take an empty one that is there; return (place, oid).

        suffix: put behind the table's name, for one that is built beside another. Raises Refused when it holds
        rows that no index made.
        """
        place = self._planned_place(connection, suffix)
        found = find(connection, self._address_of(place))
        if found is None:
            self._create(connection, place, space)
            found = find(connection, self._address_of(place))
        if found is None or found.oid is None:
            raise NoSuchCollection(f"the table {place['table']!r} could not be made", where=str(self.address))
        self._require_empty(connection, found)
        cards.write(connection, found, self._stated(space), Index("hnsw"))
        self._take(found, place)
        return place, found.oid

    def open(self, place: dict[str, Any]) -> None:
        """Work on the table of a generation that exists. Raises NoSuchCollection when it is gone."""
        with self.database.begin() as connection:
            found = find(connection, self._address_of(place))
            if found is None:
                raise NoSuchCollection(
                    f"the table {place['schema']}.{place['table']} of this index is gone",
                    where=str(self.address),
                    left="what is known about its documents stays",
                    next=f"wherry index repair '{self.address}' makes it again, from vectors that were paid for",
                )
            some = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(found.quoted)
            self._live = bool((connection.execute(some).fetchone() or (False,))[0])
        self._take(found, place)

    def change(
        self, connection: psycopg.Connection, index: int, generation: int, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Bring the rows of some documents to what they should be, within a transaction."""
        self._written += sum(len(c.put) + len(c.move) + len(c.drop) for c in changes)
        self.layout.change(connection, changes, settings)

    def drop(
        self, connection: psycopg.Connection, index: int, generation: int, source: str, documents: Sequence[Known]
    ) -> None:
        """Remove the rows of some documents, within a transaction."""
        self._written += sum(len(known.chunk_fps) for known in documents)
        self.layout.drop(connection, source, documents)

    def finish(self, space: Space, rows: int) -> None:
        """Build the vector index if there is none, beside writers where there are readers; renew statistics."""
        if not self._written or self.table is None:
            return
        table, link = self.table, self.database.link
        with self.database.begin() as connection:
            found = indexes.vector_indexes(connection, table)
        metric = self._stated(space).metric
        if not indexes.drop_invalid(link, found) and metric is not None and space.dimension and rows:
            indexes.build(link, table, metric, Index("hnsw"), rows, space.dimension, self._live)
        if self._written * _ANALYSED_SHARE > rows:
            with self.database.begin() as connection:
                connection.execute(writing.analysed(table))
        self._written = 0

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.database.close()

    def _take(self, table: Table, place: dict[str, Any]) -> None:
        self.table, self._layout = table, layout_of(table, place)

    def _stated(self, space: Space) -> Space:
        return space.with_metric(self.address.stated_metric(), str(self.address))

    def _planned_place(self, connection: psycopg.Connection, suffix: str) -> dict[str, Any]:
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
            "schema": table.schema, "table": table.name + suffix, "layout": RAG if rag else "records",
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
