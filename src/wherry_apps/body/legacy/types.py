"""Columns brought to their type, default and not-null; rows that do not fit are listed, never dropped."""

from __future__ import annotations

import wherry
from wherry_apps.body.legacy.catalog import Held, Look
from wherry_apps.body.legacy.shape import STAMP, Column, Table

_TEXTS = ("text", "character varying", "character")
_MOST_LISTED = 20
# What a null becomes where the column needs a value and others know it.
_FILLED = {
    ("health_records", "record_date"): "created_at",
    ("health_records", "source"): "'manual'",
    ("analysis_reports", "analysis_type"): "'status_analysis'",
    ("user_goals", "is_active"): "CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END",
    ("users", "owner"): "'local'",
}


def convert(look: Look, table: str, name: str, held: Held, wanted: Column) -> None:
    """Bring a column to its type and default. Raises BadRecord listing the rows whose value is none of that type."""
    if held.type != wanted.type:
        _require_fitting(look, table, name, held.type, wanted.type)
        if held.default is not None:
            look.run(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")
        using = _expression(name, held.type, wanted.type)
        look.change(
            f"{table}.{name}: {held.type} became {wanted.type}",
            f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted.type} USING {using}",
        )
    if wanted.default and (held.type != wanted.type or not _same_default(held.default, wanted.default)):
        look.run(f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {wanted.default}")
        if held.type == wanted.type:
            look.changes.append(f"{table}.{name} has the default {wanted.default}")


def require_filled(look: Look, name: str, table: Table) -> None:
    """Make columns not null that have to be; nulls that others can tell are filled. Raises BadRecord."""
    held = look.columns(name)
    for column, wanted in table.columns.items():
        if not wanted.needed or held[column].needed:
            continue
        if (name, column) in _FILLED:
            source = _FILLED[name, column]
            look.update(f"{name}.{column} was null", f"UPDATE {name} SET {column} = {source} WHERE {column} IS NULL")
        elif wanted.type == STAMP:
            look.update(f"{name}.{column} was null", f"UPDATE {name} SET {column} = now() WHERE {column} IS NULL")
        _refuse(look, name, column, f"{column} IS NULL", "is null")
        look.change(f"{name}.{column} is not null", f"ALTER TABLE {name} ALTER COLUMN {column} SET NOT NULL")


def _same_default(held: str | None, wanted: str) -> bool:
    if held is None:
        return False
    plain = held.split("::")[0] if held.startswith("'") else held
    spelt = {"CURRENT_TIMESTAMP": "now()"}.get(plain, plain)
    return spelt == wanted.split("::")[0]


def _require_fitting(look: Look, table: str, name: str, held: str, wanted: str) -> None:
    if wanted.startswith("character varying") and held.startswith(_TEXTS):
        most = wanted.partition("(")[2].rstrip(")")
        _refuse(look, table, name, f"length({name}) > {most}", f"is longer than {most} characters")
    elif held.startswith(_TEXTS) and wanted != "text" and not (wanted == "jsonb" and table == "user_goals"):
        bad = f"{name} IS NOT NULL AND NOT pg_input_is_valid({name}::text, '{wanted}')"
        _refuse(look, table, name, bad, f"is no {wanted}")


def _refuse(look: Look, table: str, name: str, condition: str, why: str) -> None:
    rows = [str(row[0]) for row in look.rows(f"SELECT id FROM {table} WHERE {condition} ORDER BY id LIMIT 1000")]
    if rows:
        shown = ", ".join(rows[:_MOST_LISTED]) + (", ..." if len(rows) > _MOST_LISTED else "")
        raise wherry.BadRecord(
            f"{table}.{name} {why} in row {shown}",
            fields=[f"{table}.{name}"],
            left="nothing was changed",
            next="correct or delete these rows, then run the same again",
        )


def _expression(name: str, held: str, wanted: str) -> str:
    if wanted == STAMP and held in ("timestamp without time zone", "date"):
        return f"{name}::timestamp AT TIME ZONE 'UTC'"
    if wanted == "jsonb" and held.startswith(_TEXTS):
        # What is no JSON is kept as a JSON text; for columns that must be objects it was refused before.
        valid = f"pg_input_is_valid({name}::text, 'jsonb')"
        return f"CASE WHEN {valid} THEN {name}::jsonb ELSE to_jsonb({name}::text) END"
    if wanted == "integer" and held == "boolean":
        return f"{name}::int"
    return f"{name}::{wanted}"
