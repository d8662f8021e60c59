"""Space cards: one row per collection in `wherry_collections`, in the schema of the collection.

A card belongs to one table by its oid: a table that was dropped and made again under the same name is
another collection, and the old card says nothing about it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import psycopg
from psycopg import sql

from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.pgvector.catalog import Table

TABLE = "wherry_collections"


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
    query = sql.SQL('SELECT relation::bigint, space, "index" FROM {} WHERE name = $1 AND vector = $2')
    row = connection.execute(query.format(cards), [table.name, table.vector.name]).fetchone()
    if row is None:
        return None
    space = Space.from_dict(row[1])
    other = table.dimension is not None and space.dimension not in (None, table.dimension)
    return Card(space, Index(**row[2]), stale=row[0] != table.oid or other)


def write(connection: psycopg.Connection, table: Table, space: Space, index: Index) -> None:
    """Record the space and the wanted index of a table; `wherry_collections` is made if it is not there."""
    cards = sql.Identifier(table.schema, TABLE)
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (name text, vector text, relation oid NOT NULL,"
            ' space jsonb NOT NULL, "index" jsonb NOT NULL, PRIMARY KEY (name, vector))'
        ).format(cards)
    )
    connection.execute(
        sql.SQL(
            'INSERT INTO {} (name, vector, relation, space, "index") VALUES ($1, $2, $3, $4, $5)'
            " ON CONFLICT (name, vector) DO UPDATE SET relation = EXCLUDED.relation,"
            ' space = EXCLUDED.space, "index" = EXCLUDED."index"'
        ).format(cards),
        [
            table.name,
            table.vector.name,
            table.oid,
            json.dumps(space.to_dict(), ensure_ascii=False),
            json.dumps(asdict(index)),
        ],
    )
