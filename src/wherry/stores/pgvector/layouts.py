"""Finding the tables of LlamaIndex and LangChain by the names their users know, and planning new ones.

    pgvector:#data_docs                                  LlamaIndex's table
    pgvector:#docs                                       the same, where no table is called docs
    pgvector:#langchain_pg_embedding?collection=docs     one collection of LangChain's shared table
    pgvector:#docs                                       the same, where nothing else is called docs
    pgvector:#docs?layout=langchain                      LangChain's newer form, a table of its own

`collection` is a name, or the uuid of a collection where several have that name. What is to be written is
looked for under a framework's names only where a layout was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import psycopg
import pyarrow as pa
from psycopg import sql

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection, Rejected
from wherry.space import Metric
from wherry.stores.base import ALL_KINDS, Kind
from wherry.stores.layouts import LANGCHAIN, LLAMAINDEX, PLAIN, wanted
from wherry.stores.pgvector import catalog, fields, keys
from wherry.stores.pgvector.catalog import Column, Scope, Table
from wherry.stores.pgvector.indexes import VectorIndex
from wherry.stores.pgvector.shapes import (
    COLLECTIONS,
    EMBEDDINGS,
    NODES,
    ONE_TABLE,
    PLAIN_SHAPE,
    ROLES,
    SHARED,
    Shape,
    nodes_table,
)

_FEW = 20


@dataclass(frozen=True)
class Asked:
    """Which layout is meant. layout: None = whatever is there. guess: look under a framework's names too.

    stated: the address says so, and means a framework's table rather than another one of the same name.
    """

    layout: str | None
    guess: bool
    stated: bool = False

    @classmethod
    def to_read(cls, address: Address) -> Asked:
        """Return what an address to be read means."""
        layout = wanted(address)
        return cls(layout, layout != PLAIN and not _names_columns(address), layout == LLAMAINDEX)

    @classmethod
    def to_write(cls, address: Address, source: str | None) -> Asked:
        """Return what an address to be written means. source: the layout of what is to be written, if known."""
        stated = wanted(address)
        layout = stated or (None if _names_columns(address) else source)
        return cls(layout, layout in (LLAMAINDEX, LANGCHAIN), stated == LLAMAINDEX)


def find(connection: psycopg.Connection, address: Address, asked: Asked) -> Table | None:
    """Return the table an address means, with the rows of one collection where it holds many.

    None when it is not there. Raises what `catalog.find` raises, and BadAddress where it is not clear which
    collection is meant.
    """
    table = _under_another_name(connection, address, asked) if asked.stated else None
    table = table or catalog.find(connection, address)
    if table is None and asked.guess:
        table = _under_another_name(connection, address, asked)
    if table is None:
        return None
    if not table.shape.owner:
        _require_no_collection(address)
        return table
    scope = _scope(connection, table, address.option("collection"), str(address))
    return None if scope is None else replace(table, scope=scope)


def planned(connection: psycopg.Connection, address: Address, asked: Asked) -> Table:
    """Return the table that `prepare` would make."""
    shape = _planned_shape(address, asked)
    if shape is SHARED:
        there = catalog.find(connection, address)
        if there is not None:
            return replace(there, oid=None, scope=_new_scope(address))
    else:
        _require_no_collection(address)
    if shape.layout == PLAIN:
        return catalog.planned(connection, address)
    name = nodes_table(address.collection) if shape is NODES else address.collection
    table = catalog.planned(connection, replace(address, collection=name, options=_options(address, shape)))
    table = replace(
        table,
        shape=shape,
        unique=shape is not NODES,
        arbiter=shape is not NODES,
        metadata=replace(table.metadata or Column(""), type="jsonb" if shape is SHARED else "json"),
        text=replace(table.text or Column(""), not_null=shape is not SHARED),
    )
    return table if shape is not SHARED else replace(table, scope=_new_scope(address))


def absent(connection: psycopg.Connection, address: Address) -> NoSuchCollection:
    """Return the error for a collection that is not there; of a shared table it lists those that are."""
    table = catalog.find(connection, address)
    if table is None or not table.shape.owner:
        return NoSuchCollection(f"there is no table {address.collection!r}", where=str(address), next="check its name")
    names = [name for _, name in _listed(connection, table.schema, None)]
    return NoSuchCollection(
        f"{table.name} holds no collection {address.option('collection')!r}",
        where=str(address),
        next=f"its collections: {', '.join(names) or 'none'}",
    )


def require_own(connection: psycopg.Connection, table: Table, ids: pa.Array, where: str) -> None:
    """Raise Rejected when one of the ids belongs to another collection of a shared table."""
    if table.scope is None or not table.arbiter:
        return
    query = sql.SQL("SELECT {} FROM {} WHERE {} = ANY ($1::text[]) AND NOT coalesce({}, false) LIMIT 3").format(
        table.id.quoted, table.quoted, table.id.quoted, table.condition
    )
    taken = [str(row[0]) for row in connection.execute(query, [keys.possible(ids, table.id)])]
    if taken:
        raise Rejected(
            f"ids that another collection of {table.name} has: {', '.join(map(repr, taken))}",
            where=where,
            left="nothing of the batch was written, and nothing of the other collection was touched",
            next="give the collection a table of its own: #NAME?layout=langchain",
        )


def kinds_of(table: Table) -> frozenset[Kind]:
    """Return the kinds of value that the metadata of a table can hold."""
    if table.metadata is None:
        return frozenset()
    if not table.fields:
        return ALL_KINDS
    # A field without a value is a key that is not there.
    return ALL_KINDS - {Kind.NULL} if table.stores_metadata else fields.kinds(table.fields)


def usual_metric(connection: psycopg.Connection, table: Table) -> Metric | None:
    """Return what a framework always asks by, which is the metric of the rows it wrote; None without rows."""
    some = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.rows)
    return table.shape.metric if (connection.execute(some).fetchone() or (False,))[0] else None


def notes_on(table: Table, address: Address, found: list[VectorIndex]) -> Iterator[str]:
    """Yield what a person should know about a framework's table."""
    if address.collection != table.name and table.name not in address.collection.split("."):
        yield f"{table.label} is what {table.shape.layout} calls {address.collection!r}"
    if table.shape.metric is not None:
        yield f"{table.shape.layout}'s own code asks this table by {table.shape.metric}, whatever its index is for"
        for index in found:
            if index.metric != table.shape.metric:
                yield f"the index {index.name} is for {index.metric}: {table.shape.layout} never uses it"
    if table.scope is not None:
        yield "ids are unique across all collections of the table: one of another collection is never overwritten"
        if table.oid is not None and table.dimension is None:
            yield f"{table.vector.name} declares no dimension: no index can serve {table.shape.layout}'s queries"


def _names_columns(address: Address) -> bool:
    return any(role in address.options for role in ROLES)


def _under_another_name(connection: psycopg.Connection, address: Address, asked: Asked) -> Table | None:
    if asked.layout in (None, LLAMAINDEX):
        found = _shaped(connection, replace(address, collection=nodes_table(address.collection)), NODES.layout)
        if found is not None:
            return found
    if asked.layout in (None, LANGCHAIN) and "collection" not in address.options:
        shared = _shaped(connection, replace(address, collection=EMBEDDINGS), LANGCHAIN)
        scope = shared and _scope(connection, shared, address.collection, str(address))
        return replace(shared, scope=scope) if shared and scope else None
    return None


def _shaped(connection: psycopg.Connection, address: Address, layout: str) -> Table | None:
    """Return a table if it has the shape of a framework's; a stranger of that name is nobody's business."""
    stranger = replace(address, options={k: v for k, v in address.options.items() if k != "layout"})
    table = catalog.find(connection, stranger)
    return table if table is not None and table.shape.layout == layout else None


def _scope(connection: psycopg.Connection, table: Table, name: str | None, where: str) -> Scope | None:
    if table.scope is not None:
        return table.scope
    found = _listed(connection, table.schema, name)
    if len(found) > 1:
        shown = ", ".join(f"{uuid} ({known})" if name else known for uuid, known in found[:_FEW])
        what = f"several collections are called {name!r}" if name else f"{table.name} holds many collections"
        raise BadAddress(
            what, where=where, next=f"say which one with ?collection={'UUID' if name else 'NAME'}: {shown}"
        )
    return Scope(table.shape.owner, *found[0]) if found else None


def _listed(connection: psycopg.Connection, schema: str, name: str | None) -> list[tuple[str, str]]:
    """Return uuid and name of the collections called so (or of that uuid), all of them for None."""
    query = sql.SQL("SELECT uuid::text, name FROM {} WHERE $1::text IS NULL OR name = $1 OR uuid::text = $1 ORDER BY 2")
    rows = connection.execute(query.format(sql.Identifier(schema, COLLECTIONS)), [name]).fetchall()
    return [(str(uuid), str(known)) for uuid, known in rows]


def _planned_shape(address: Address, asked: Asked) -> Shape:
    if address.collection == EMBEDDINGS and wanted(address) in (None, LANGCHAIN) and not _names_columns(address):
        return SHARED
    if asked.layout == LLAMAINDEX:
        return NODES
    return ONE_TABLE if asked.layout == LANGCHAIN else PLAIN_SHAPE


def _require_no_collection(address: Address) -> None:
    if "collection" in address.options:
        raise BadAddress(
            "?collection= names one collection of LangChain's shared table", next=f"write #{EMBEDDINGS}?collection=NAME"
        )


def _options(address: Address, shape: Shape) -> dict[str, str]:
    return {**address.options, **shape.roles}


def _new_scope(address: Address) -> Scope:
    name = address.option("collection")
    if not name:
        raise BadAddress(f"{address} names no collection", next="write ?collection=NAME")
    return Scope(SHARED.owner, str(uuid4()), name)
