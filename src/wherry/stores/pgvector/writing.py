"""The statements that make a table and change its rows."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from wherry.errors import Refused
from wherry.stores.layouts import PLAIN
from wherry.stores.pgvector import fields, layout_writing
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.layout_writing import STAGE

# Half a page: rows up to that keep their vector beside them, which is written three times as fast and
# read twice as fast as one in the table of long values. Longer rows would waste the rest of their page.
_INLINE_BYTES = 4_080


def creation(table: Table, dimension: int) -> sql.Composed:
    """Return the statement that makes a table for records of a dimension."""
    if table.shape.layout != PLAIN:
        return layout_writing.creation(table, dimension)
    columns = [
        sql.SQL("{} {} PRIMARY KEY").format(table.id.quoted, _key_type(table)),
        sql.SQL("{} {}({}) NOT NULL").format(
            table.vector.quoted, table.type(table.vector.type), sql.Literal(dimension)
        ),
    ]
    columns += [sql.SQL("{} text").format(table.text.quoted)] if table.text else []
    columns += [sql.SQL("{} jsonb").format(table.metadata.quoted)] if table.metadata else []
    return sql.SQL("CREATE TABLE {} ({}) WITH (toast_tuple_target = {})").format(
        table.quoted, sql.SQL(", ").join(columns), sql.Literal(_INLINE_BYTES)
    )


def _key_type(table: Table) -> sql.Composable:
    # Bytes compare faster than the words of a language, and no two of them are ever equal.
    if table.id.type == "text":
        return sql.SQL('text COLLATE "C"')
    return sql.Identifier("pg_catalog", table.id.type)


def staged(table: Table) -> sql.Composed:
    """Return the statement that makes an empty table like the records of another, for one transaction."""
    return sql.SQL("CREATE TEMP TABLE wherry_batch ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
        _names(table), table.rows
    )


def replacing(table: Table) -> sql.Composed:
    """Return the statement that moves what was staged into a table, replacing the columns of a record."""
    if not table.arbiter:
        return layout_writing.replacing(table)
    stored = layout_writing.stored(table)
    new = [*stored, *table.fills]
    return sql.SQL(
        "INSERT INTO {} AS held ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s"
        " ON CONFLICT ({}) DO UPDATE SET {} WHERE {}"
    ).format(
        table.quoted,
        sql.SQL(", ").join(name for name, _ in new),
        sql.SQL(", ").join(value for _, value in new),
        STAGE,
        table.id.quoted,
        sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(n) for n, _ in stored if n != table.id.quoted),
        sql.SQL("held.{}").format(table.scope.condition) if table.scope else sql.SQL("true"),
    )


ESTIMATED = "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::bigint::oid"


def analysed(table: Table) -> sql.Composed:
    """Return the statement that renews the statistics of the mapped columns that plans look at."""
    unseen = [column.quoted for column in (table.vector, table.text) if column is not None]
    columns = [name for name, _ in layout_writing.stored(table) if name not in unseen]
    return sql.SQL("ANALYZE {} ({})").format(table.quoted, sql.SQL(", ").join(columns))


def counted(table: Table) -> sql.Composed:
    """Return the statement that counts the rows of a table."""
    return sql.SQL("SELECT count(*) FROM {}").format(table.quoted)


def renumbering(table: Table, connection: psycopg.Connection) -> tuple[sql.Composed, list[Any]]:
    """Return the statement, with its values, that lets a table's own numbering go on behind its ids."""
    statement = sql.SQL(
        "SELECT setval(s, greatest(m, nextval(s))) FROM (SELECT max({})::bigint AS m,"
        " pg_get_serial_sequence($1, $2)::regclass AS s FROM {}) q WHERE s IS NOT NULL AND m IS NOT NULL"
    ).format(table.id.quoted, table.quoted)
    return statement, [table.quoted.as_string(connection), table.id.name]


def require_writable(table: Table, where: str) -> None:
    """Raise Refused when rows of nothing but a record cannot be written to a table, or not replaced."""
    if not table.arbiter and table.shape.layout == PLAIN:
        raise Refused(
            f"nothing keeps the values of {table.id.name!r} apart, so records cannot be replaced",
            where=where,
            left="nothing was written",
            next="add a unique index on it that is neither partial nor deferrable",
        )
    needed = [c.name for c in table.others if c.not_null and not c.filled and not c.generated]
    if needed:
        raise Refused(
            f"the table has columns that need a value and are no part of a record: {', '.join(needed)}",
            where=where,
            left="nothing was written",
            next="give them a default, or choose another table",
        )
    unsure = fields.inexact(table.fields)
    if unsure:
        raise Refused(
            f"columns that are metadata and may give back another value than they got: {', '.join(unsure)}",
            where=where,
            left="nothing was written",
            next="the table can be read; name only columns of text, integers and booleans to write to it",
        )
    computed = [c.name for c in table.columns if c.generated]
    if computed:
        raise Refused(
            f"the server computes {', '.join(computed)}: it cannot be written",
            where=where,
            left="nothing was written",
        )


def _names(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(column.quoted for column in table.columns)
