"""Keys, checks and indexes: those of version 1, and none of the earlier ones beside them."""

from __future__ import annotations

import wherry
from wherry_apps.body.legacy.catalog import Look, quoted
from wherry_apps.body.legacy.shape import INDEXES, TABLES, Table

# `wherry tune` writes this on the indexes it builds.
_TUNED = "wherry: "


def bring(look: Look, name: str, table: Table) -> None:
    """Bring the constraints of a table. Raises BadRecord for rows that belong to nobody who is there."""
    held = {key: (kind, text, columns) for key, kind, text, columns in look.constraints(name)}
    if not any(kind == "p" for kind, _, _ in held.values()):
        look.change(f"{name} has its primary key", f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
    for key, (kind, _, _) in held.items():
        if kind == "u" and key not in table.unique:
            look.change(
                f"dropped the constraint {key} of {name}", f"ALTER TABLE {name} DROP CONSTRAINT {quoted(key)} CASCADE"
            )
    for key, columns in table.unique.items():
        if key not in held:
            look.change(
                f"{', '.join(columns)} of {name} are unique",
                f"ALTER TABLE {name} ADD CONSTRAINT {key} UNIQUE ({', '.join(columns)})",
            )
    for column, other in table.belongs.items():
        _bring_reference(look, name, column, other)
    for key, condition in table.checks.items():
        if key not in held:
            _require(look, name, condition)
            look.change(
                f"{name} is checked: {condition}", f"ALTER TABLE {name} ADD CONSTRAINT {key} CHECK ({condition})"
            )


def bring_indexes(look: Look) -> None:
    """Make the indexes that are missing; drop earlier ones, which are copies of what the rows say."""
    for table in TABLES:
        for name, (_, _, comment) in look.indexes(table).items():
            if name not in INDEXES and not comment.startswith(_TUNED):
                look.change(f"dropped the index {name}", f"DROP INDEX {quoted(name)}")
        for name, (on, rest) in INDEXES.items():
            if on == table and name not in look.indexes(table):
                look.change(f"made the index {name}", f"CREATE INDEX {name} ON {table} {rest}")


def _bring_reference(look: Look, name: str, column: str, other: str) -> None:
    wanted = f"FOREIGN KEY ({column}) REFERENCES {other}(id) ON DELETE CASCADE"
    found = [one for one in look.constraints(name) if one[1] == "f" and one[3] == [column]]
    if len(found) == 1 and found[0][2] == wanted:
        return
    _require(look, name, f"{column} IS NULL OR {column} IN (SELECT id FROM {other})")
    for key, *_ in found:
        look.run(f"ALTER TABLE {name} DROP CONSTRAINT {quoted(key)}")
    look.change(f"{name}.{column} is deleted with its row of {other}", f"ALTER TABLE {name} ADD {wanted}")


def _require(look: Look, name: str, condition: str) -> None:
    rows = [str(row[0]) for row in look.rows(f"SELECT id FROM {name} WHERE NOT ({condition}) ORDER BY id LIMIT 20")]
    if rows:
        raise wherry.BadRecord(
            f"rows of {name} do not satisfy {condition}: {', '.join(rows)}",
            left="nothing was changed",
            next="correct or delete these rows, then run the same again",
        )
