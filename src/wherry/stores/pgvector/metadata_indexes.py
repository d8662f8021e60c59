"""Indexes on the metadata, so that a condition that few rows satisfy is no reason to look at all of them.

One GIN index finds equal values of every key. The order of numbers needs a B-tree per key: made for the keys
that hold a number in most records. Together they take about a hundredth of what the vectors take.
"""

from __future__ import annotations

import json
from typing import LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from wherry.postgres.link import Link
from wherry.space import Space
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.filters import numbers
from wherry.stores.pgvector.ground import MARK, look

# Fewer rows are looked at as fast as an index is.
LEAST_ROWS = 1_000
_MOST_KEYS = 6
_NUMBERS = """
SELECT key FROM (SELECT {metadata} AS held FROM {table} WHERE {metadata} IS NOT NULL LIMIT 1000) AS sampled,
LATERAL jsonb_each(CASE WHEN jsonb_typeof(held) = 'object' THEN held ELSE '{{}}' END)
WHERE jsonb_typeof(value) = 'number' GROUP BY key
HAVING count(*) * 2 > (SELECT count(*) FROM (SELECT FROM {table} WHERE {metadata} IS NOT NULL LIMIT 1000) AS counted)
ORDER BY count(*) DESC, key COLLATE "C" LIMIT {most}
"""


def build(link: Link, table: Table, rows: int, live: bool) -> None:
    """Build the indexes that are missing on the metadata of a plain table. live: others may be writing."""
    if table.metadata is None or table.metadata.type != "jsonb" or not table.direct or rows < LEAST_ROWS:
        return
    with link.begin() as connection:
        ground = look(connection, table, Space())
        asked = sql.SQL(_NUMBERS).format(
            metadata=table.metadata.quoted, table=table.quoted, most=sql.Literal(_MOST_KEYS)
        )
        keys = [row[0] for row in connection.execute(asked)]
    # A partitioned table cannot be indexed without holding its writers.
    create = "CREATE INDEX CONCURRENTLY" if live and table.kind == "r" else "CREATE INDEX"
    with link.alone() as connection:
        if not ground.contained:
            on = sql.SQL("{} ON {} USING gin ({} jsonb_path_ops)")
            connection.execute(on.format(sql.SQL(create), table.quoted, table.metadata.quoted))
        for key in keys:
            if key not in ground.ordered:
                _build_order(connection, table, key, create)
        if keys:
            _analyse(connection, table)


def _analyse(connection: psycopg.Connection, table: Table) -> None:
    """Let the planner know what the indexes hold, which it learns only when the whole table is looked at.

    Statistics of the vectors would be most of that work, and no plan uses them.
    """
    column = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET STATISTICS 0")
    connection.execute(column.format(table.quoted, table.vector.quoted))
    connection.execute(sql.SQL("ANALYZE {}").format(table.quoted))


def _build_order(connection: psycopg.Connection, table: Table, key: str, create: LiteralString) -> None:
    """Build the index that has the numbers under one key in order, and note on it which key that is."""
    column = table.metadata.quoted if table.metadata else sql.SQL("")
    expression = numbers(column.as_string(None), sql.Literal(key).as_string(None))
    name = sql.Identifier(table.schema, f"wherry_{uuid4().hex[:16]}")
    statement = f"{create} {name.as_string(None).rpartition('.')[2]} ON {table.quoted.as_string(None)} (({expression}))"
    connection.execute(statement.encode())
    note = MARK + json.dumps({"numbers": key}, ensure_ascii=False)
    connection.execute(sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(note)))
