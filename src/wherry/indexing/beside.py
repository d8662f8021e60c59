"""An empty table like another one, for vectors of another space: columns, keys, defaults and rights come along."""

from __future__ import annotations

import psycopg
from psycopg import sql

from wherry.errors import Unsupported
from wherry.space import Space
from wherry.stores.pgvector import indexes
from wherry.stores.pgvector.catalog import Column, Table
from wherry.stores.pgvector.source import MAX_DIMENSION

_SETTINGS = "SELECT unnest(reloptions) FROM pg_class WHERE oid = $1::bigint::oid"
_SEQUENCE = "SELECT pg_get_serial_sequence($1, $2)"
_RIGHTS = """
SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::bigint::oid AND a.grantee <> c.relowner
"""
_OID = "SELECT to_regclass($1)::oid::bigint"


def make(connection: psycopg.Connection, old: Table, name: str, space: Space) -> bool:
    """Make the table within a transaction, without its vector indexes. Raises Unsupported for too many dimensions."""
    if space.dimension is None or space.dimension > MAX_DIMENSION:
        raise Unsupported(
            f"pgvector stores 1 to {MAX_DIMENSION:,} components per vector, not {space.dimension}",
            left="nothing was made; the index serves as before",
        )
    new = sql.Identifier(old.schema, name)
    connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(new, old.quoted))
    oid = (connection.execute(_OID, [new.as_string(connection)]).fetchone() or (0,))[0]
    # A graph is built when the rows are there, and of vectors that fit.
    like = Table(old.schema, name, old.id, _same_column(connection, oid, old.vector), old.text, old.metadata, oid=oid)
    for index in indexes.vector_indexes(connection, like):
        connection.execute(sql.SQL("DROP INDEX {}").format(index.quoted))
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}({})").format(
            new, old.vector.quoted, old.type(old.vector.type), sql.Literal(space.dimension)
        )
    )
    for (setting,) in connection.execute(_SETTINGS, [old.oid]).fetchall():
        option, _, value = setting.partition("=")
        alter = sql.SQL("ALTER TABLE {} SET ({} = {})")
        connection.execute(alter.format(new, sql.Identifier(option), sql.Literal(value)))
    _number(connection, old, new, name)
    _grant(connection, old, new)
    return True


def _same_column(connection: psycopg.Connection, oid: int, column: Column) -> Column:
    """Return a column of the old table as the new one numbers it: dropped columns do not come along."""
    found = connection.execute(
        "SELECT attnum::int FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attname = $2", [oid, column.name]
    ).fetchone()
    return Column(column.name, number=found[0] if found else 0, type=column.type)


def _number(connection: psycopg.Connection, old: Table, new: sql.Identifier, name: str) -> None:
    """Give the new table a sequence of its own: one that belongs to the old table would go with it."""
    found = connection.execute(_SEQUENCE, [old.quoted.as_string(connection), old.id.name]).fetchone()
    mine = connection.execute(_SEQUENCE, [new.as_string(connection), old.id.name]).fetchone()
    if not found or found[0] is None or (mine and mine[0] is not None):
        return
    sequence = sql.Identifier(old.schema, f"{name}_seq"[-63:])
    connection.execute(sql.SQL("CREATE SEQUENCE {} OWNED BY {}.{}").format(sequence, new, old.id.quoted))
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT nextval({})").format(
            new, old.id.quoted, sql.Literal(sequence.as_string(connection))
        )
    )


def _grant(connection: psycopg.Connection, old: Table, new: sql.Identifier) -> None:
    for role, right, further in connection.execute(_RIGHTS, [old.oid]).fetchall():
        whom = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
        ending = sql.SQL(" WITH GRANT OPTION" if further else "")
        connection.execute(sql.SQL("GRANT {} ON {} TO {}{}").format(sql.SQL(right), new, whom, ending))
