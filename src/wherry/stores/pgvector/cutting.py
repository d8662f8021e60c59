"""Cutting a table into ranges of its key, so that several can read it at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import psycopg
from psycopg import sql

from wherry.stores.base import Range
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.keys import id_kind, selected
from wherry.stores.pgvector.writing import ESTIMATED

# Enough to cut a thousand parts whose sizes differ by a seventh at most, nineteen times in twenty.
_SAMPLE = 200_000
_LITERALS = {"integer": "bigint", "uuid": "uuid", "text": "text"}


def ranges(connection: psycopg.Connection, table: Table, parts: int) -> list[Range]:
    """Return at most `parts` ranges of the key with about as many rows each, by a sample of a large table."""
    known = (connection.execute(ESTIMATED, [table.oid]).fetchone() or (-1,))[0]
    bounds, seen = _bounds(connection, table, parts, known)
    if len(bounds) < parts - 1 and known > _SAMPLE:
        # The sample hit next to nothing: the pages of a table may be filled very unevenly.
        bounds, seen = _bounds(connection, table, parts, -1)
    total = max(known, seen)
    return list(_between(bounds, total))


def condition(table: Table, part: Range) -> sql.Composable:
    """Return what holds for the rows of a range. Rows without a key are in the first one."""
    key = table.id.quoted
    found = [sql.SQL("{} >= {}").format(key, _literal(table, part.first))] if part.first is not None else []
    found += [sql.SQL("{} < {}").format(key, _literal(table, part.end))] if part.end is not None else []
    if not found:
        return sql.SQL("true")
    inside = sql.SQL(" AND ").join(found)
    return sql.SQL("({} OR {} IS NULL)").format(inside, key) if part.first is None else inside


def _bounds(connection: psycopg.Connection, table: Table, parts: int, known: int) -> tuple[list[str], int]:
    """Return the keys that cut a table, in order and without repeats, and how many rows were seen."""
    sampled = sql.SQL("")
    if known > _SAMPLE and table.scope is None:
        sampled = sql.SQL(" TABLESAMPLE SYSTEM ({})").format(sql.Literal(min(100.0, 100.0 * _SAMPLE / known)))
    shares = [number / parts for number in range(1, parts)]
    statement = sql.SQL(
        "SELECT {}, n FROM (SELECT unnest(percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY {})) AS key,"
        " count(*) AS n FROM {}{} WHERE {}) AS cut ORDER BY cut.key"
    ).format(
        selected(table.id, sql.SQL("key")),
        sql.Literal(shares),
        table.id.quoted,
        table.quoted,
        sampled,
        table.condition,
    )
    rows = connection.execute(statement).fetchall()
    return list(dict.fromkeys(row[0] for row in rows if row[0] is not None)), rows[0][1] if rows else 0


def _between(bounds: list[str], total: int) -> Iterator[Range]:
    ends: list[str | None] = [None, *bounds, None]
    for first, end in pairwise(ends):
        yield Range(first, end, max(0, total) // (len(ends) - 1))


def _literal(table: Table, key: str) -> sql.Composable:
    return sql.SQL("{}::{}").format(sql.Literal(key), sql.SQL(_LITERALS[id_kind(table.id).value]))  # type: ignore[arg-type]
