"""One database brought up: tables renamed, columns folded into their new places, types, keys and indexes put right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

import wherry
from wherry_apps.body.legacy import folding, keys, types
from wherry_apps.body.legacy.catalog import Held, Look, quoted
from wherry_apps.body.legacy.shape import TABLES, Column, Table
from wherry_apps.body.legacy.vectors import Unread, move_vectors


@dataclass
class Upgrade:
    """What bringing up a database did.

    changes: one sentence each, none where nothing was to do. counts: table -> rows before and after. unread: vectors
    that could not be read and are null now.
    """

    changes: list[str] = field(default_factory=list)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "changes": self.changes,
            "counts": {table: {"before": a, "after": b} for table, (a, b) in self.counts.items()},
            "unread_vectors": [one.to_dict() for one in self.unread],
        }


def bring_up(connection: Connection, *, rename_duplicates: bool = False) -> Upgrade:
    """Bring the tables of the first schema in the search path to version 1, inside the caller's transaction.

    Raises Refused where names or tables stand twice, BadRecord listing rows that fit nowhere, Integrity when a count
    would change. Whatever is raised, the caller rolls back.
    """
    look = Look(connection)
    _extend(look)
    _rename_tables(look)
    before = {name: look.count(name) for name in TABLES if look.has(name)}
    unread: list[Unread] = []
    for name, table in TABLES.items():
        if name not in before:
            look.change(f"made the table {name}", _create(name, table))
            continue
        _rename_columns(look, name, table)
        if name == "analysis_reports":
            unread += move_vectors(look)
        if name == "users":
            folding.fill_people(look, rename_duplicates)
        if name == "weekly_plans":
            folding.fold_plan_texts(look)
        _bring_columns(look, name, table)
    added = folding.fold(look)
    for name, table in TABLES.items():
        types.require_filled(look, name, table)
        keys.bring(look, name, table)
    keys.bring_indexes(look)
    counts = {name: (rows, look.count(name)) for name, rows in before.items()}
    _require_equal(counts, added)
    return Upgrade(look.changes, counts, unread)


def _extend(look: Look) -> None:
    if look.one("SELECT current_schema() IS NULL"):
        raise wherry.Refused("there is no schema for the tables", next="run: wherry body init")
    if not look.one("SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector')"):
        look.change("installed the extension vector", "CREATE EXTENSION vector")


def _rename_tables(look: Look) -> None:
    for name, table in TABLES.items():
        for former in table.formerly:
            if not look.has(former):
                continue
            if look.has(name):
                raise wherry.Refused(
                    f"there are both {former} and {name}, and nobody can tell which one counts",
                    left="nothing was changed",
                    next=f"move the rows of {former} into {name} or rename one of them, then run the same again",
                )
            look.change(f"renamed the table {former} to {name}", f"ALTER TABLE {former} RENAME TO {name}")


def _rename_columns(look: Look, name: str, table: Table) -> None:
    for new, former in table.renamed.items():
        held = look.columns(name)
        if former not in held:
            continue
        if new not in held:
            look.change(f"renamed {name}.{former} to {new}", f"ALTER TABLE {name} RENAME COLUMN {former} TO {new}")
            continue
        # A new column that was added beside holds the time of that change; the former one holds the measurement's.
        look.update(
            f"{name}.{new} takes what {former} says",
            f"UPDATE {name} SET {new} = {former} WHERE {former} IS NOT NULL AND {new} IS DISTINCT FROM {former}",
        )
        look.change(f"dropped {name}.{former}", f"ALTER TABLE {name} DROP COLUMN {former}")


def _bring_columns(look: Look, name: str, table: Table) -> None:
    held = look.columns(name)
    for column, wanted in table.columns.items():
        if column in held:
            types.convert(look, name, column, held[column], wanted)
        else:
            look.change(f"added {name}.{column}", f"ALTER TABLE {name} ADD COLUMN {column} {_added(wanted)}")
    _number_rows(look, name, held)


def _number_rows(look: Look, name: str, held: dict[str, Held]) -> None:
    """Make the id an integer that the server counts on from the rows that are there."""
    if held["id"].type != "integer":
        look.change(f"{name}.id became integer", f"ALTER TABLE {name} ALTER COLUMN id TYPE integer")
    if held["id"].default is None and look.one(f"SELECT pg_get_serial_sequence('{name}', 'id') IS NULL"):
        look.run(f"CREATE SEQUENCE {name}_id_seq OWNED BY {name}.id")
        look.run(f"SELECT setval('{name}_id_seq', (SELECT greatest(max(id), 1) FROM {name}))")
        look.change(
            f"{name}.id is counted by the server",
            f"ALTER TABLE {name} ALTER COLUMN id SET DEFAULT nextval('{name}_id_seq')",
        )


def _added(wanted: Column) -> str:
    # Rows that are there get the default, and may still be null where the column has none.
    return f"{wanted.type} DEFAULT {wanted.default}" if wanted.default else wanted.type


def _create(name: str, table: Table) -> str:
    lines = ["id serial PRIMARY KEY"]
    for column, wanted in table.columns.items():
        line = f"{quoted(column)} {_added(wanted)}{' NOT NULL' if wanted.needed else ''}"
        if column in table.belongs:
            line += f" REFERENCES {table.belongs[column]} (id) ON DELETE CASCADE"
        lines.append(line)
    lines += [f"CONSTRAINT {key} UNIQUE ({', '.join(columns)})" for key, columns in table.unique.items()]
    lines += [f"CONSTRAINT {key} CHECK ({condition})" for key, condition in table.checks.items()]
    return f"CREATE TABLE {name} ({', '.join(lines)})"


def _require_equal(counts: dict[str, tuple[int, int]], added: dict[str, int]) -> None:
    wrong = [name for name, (before, after) in counts.items() if after != before + added.get(name, 0)]
    if wrong:
        raise wherry.Integrity(
            f"the number of rows of {', '.join(wrong)} would change", left="nothing was changed", next="report this"
        )
