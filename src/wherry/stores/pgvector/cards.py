"""Space cards: one row per collection in `wherry_collections`, in the schema of the collection.

A card belongs to one table by its oid: it stays with a table that is renamed, and says nothing about a
table that was made again under the name of one that was dropped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.pgvector.catalog import Table

TABLE = "wherry_collections"
_MAKE = (
    "CREATE TABLE {} (name text NOT NULL, vector text, relation oid,"
    ' space jsonb NOT NULL, "index" jsonb NOT NULL, PRIMARY KEY (relation, vector))'
)
_MAY = "SELECT to_regclass($1) IS NOT NULL, has_schema_privilege($2, 'CREATE')"
_FORGET = "DELETE FROM {} WHERE vector = $1 AND (relation = $2 OR name = $3)"
_RECORD = 'INSERT INTO {} (name, vector, relation, space, "index") VALUES ($1, $2, $3, $4, $5)'


@dataclass(frozen=True)
class Card:
    """What was recorded about a collection. stale: it was recorded about another table of this name."""

    space: Space
    index: Index
    stale: bool = False


def read(connection: psycopg.Connection, table: Table) -> Card | None:
    """Return the card of a table; None when there is none, or none that this user may read."""
    cards = sql.Identifier(table.schema, TABLE)
    there = connection.execute(
        "SELECT coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)",
        [cards.as_string(connection)],
    ).fetchone()
    if not there or not there[0]:
        return None
    query = sql.SQL(
        'SELECT relation::bigint, space, "index" FROM {} WHERE vector = $1 AND (relation = $2 OR name = $3)'
        " ORDER BY relation = $2 DESC LIMIT 1"
    )
    row = connection.execute(query.format(cards), [_key(table), table.oid, table.name]).fetchone()
    if row is None:
        return None
    space = Space.from_dict(row[1])
    other = table.dimension is not None and space.dimension not in (None, table.dimension)
    return Card(space, Index(**row[2]), stale=row[0] != table.oid or other)


def write(connection: psycopg.Connection, table: Table, space: Space, index: Index) -> None:
    """Record the space and the wanted index of a table.

    `wherry_collections` is made if it is not there; a user who may not make it goes without a card.
    """
    cards = sql.Identifier(table.schema, TABLE)
    found = connection.execute(_MAY, [cards.as_string(connection), table.schema]).fetchone() or (False, False)
    if not any(found):
        return
    if not found[0]:
        connection.execute(sql.SQL(_MAKE).format(cards))
    connection.execute(sql.SQL(_FORGET).format(cards), [_key(table), table.oid, table.name])
    row = [table.name, _key(table), table.oid, _json(space.to_dict()), _json(asdict(index))]
    connection.execute(sql.SQL(_RECORD).format(cards), row)


def _key(table: Table) -> str:
    """Return what tells the collections of one table apart: the vector, and whose rows are meant."""
    return table.vector.name if table.scope is None else f"{table.vector.name} {table.scope.value}"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
