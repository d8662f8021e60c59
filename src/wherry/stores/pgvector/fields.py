"""Columns that are keys of the metadata: a model's title and page, LangChain's metadata columns.

A row's metadata is what its JSON column holds, if there is one, and beside it every field that is not null,
under the name of its column. A field that is null is a key that is not there.

Any type can be read so. Written are those alone of which the same value comes back: text, integers, booleans.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Protocol

import pyarrow as pa
from psycopg import sql

from wherry.errors import Rejected
from wherry.stores.base import Kind

# The name of the metadata of a table that has no column for it.
NOWHERE = "wherry_metadata"
_KINDS = {
    "text": Kind.TEXT, "varchar": Kind.TEXT, "bool": Kind.BOOL,
    "int2": Kind.INTEGER, "int4": Kind.INTEGER, "int8": Kind.INTEGER,
}  # fmt: skip
# What is no value of metadata: vectors themselves, and what is computed from the text for searching.
_NEVER = frozenset({"vector", "halfvec", "sparsevec", "bit", "tsvector", "bytea"})


class Named(Protocol):
    """A column of a table."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def type(self) -> str:
        """The name of its type."""
        ...

    @property
    def quoted(self) -> sql.Identifier:
        """The name for a statement."""
        ...


def can_be_field(column: Named) -> bool:
    """Tell whether a column can be a key of the metadata."""
    return column.type not in _NEVER


def inexact(fields: Iterable[Named]) -> list[str]:
    """Return the names of those fields that can be read only."""
    return [field.name for field in fields if field.type not in _KINDS]


def kinds(fields: Iterable[Named]) -> frozenset[Kind]:
    """Return the kinds of value that fields alone can hold."""
    return frozenset(_KINDS[field.type] for field in fields if field.type in _KINDS)


def decides(field: Named, stored: bool, not_null: bool) -> str | None:
    """Return the kind of value by which a column decides its key of the metadata: number, text or bool.

    None where it does not: a field that is null lets the JSON column speak, if there is one. stored: there is one.
    """
    if stored and not not_null:
        return None
    kind = _KINDS.get(field.type)
    return {Kind.TEXT: "text", Kind.BOOL: "bool", Kind.INTEGER: "number"}.get(kind) if kind else None


def metadata_of(column: Named, stored: bool, fields: Sequence[Named]) -> sql.Composed:
    """Return the expression of a row's metadata, of the column's type. stored: the table has that column."""
    pairs = [sql.SQL("{}, to_jsonb({})").format(sql.Literal(f.name), f.quoted) for f in fields]
    nulls = [sql.SQL("CASE WHEN {} IS NULL THEN {} END").format(f.quoted, sql.Literal(f.name)) for f in fields]
    own = sql.SQL("jsonb_build_object({}) - array_remove(ARRAY[{}]::text[], NULL)").format(
        sql.SQL(", ").join(pairs), sql.SQL(", ").join(nulls)
    )
    if not stored:
        return sql.SQL("nullif({}, '{{}}'::jsonb)").format(own)
    # Without a field the JSON stays as it is, text for text.
    return sql.SQL("CASE WHEN {own} = '{{}}'::jsonb THEN {held} ELSE (coalesce(nullif({held}::jsonb, 'null'),"
                   " '{{}}') || ({own}))::{type} END").format(
        own=own, held=column.quoted, type=sql.SQL("jsonb" if column.type == "jsonb" else "json")
    )  # fmt: skip


def rest_of(column: Named, fields: Sequence[Named]) -> sql.Composed:
    """Return the expression of what is left for the JSON column of a staged row `s`."""
    names = sql.SQL(", ").join(sql.Literal(f.name) for f in fields)
    return sql.SQL("(s.{0}::jsonb - ARRAY[{1}]::text[])::{2}").format(
        column.quoted, names, sql.SQL("jsonb" if column.type == "jsonb" else "json")
    )


def value_of(column: Named, table: sql.Composable, field: Named) -> sql.Composed:
    """Return the expression of a field in a staged row `s`, of the type it has in the table."""
    return sql.SQL("(jsonb_populate_record(NULL::{}, s.{}::jsonb)).{}").format(table, column.quoted, field.quoted)


def require_known(batch: pa.RecordBatch, fields: Sequence[Named], where: str) -> None:
    """Raise Rejected when metadata has a key that no column can take."""
    names = {field.name for field in fields}
    for record_id, text in zip(batch.column("id").to_pylist(), batch.column("metadata").to_pylist(), strict=True):
        unknown = sorted(json.loads(text).keys() - names) if text is not None else []
        if unknown:
            raise Rejected(
                f"the table has no column for {unknown[0]!r} in the metadata of record {record_id!r}",
                where=where,
                left="nothing of the batch was written",
                next="name a JSON column for the metadata, or add the column",
            )
