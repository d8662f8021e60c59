"""What is there: tables, columns, constraints and indexes of the schema that comes first in the search path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(format('%I.%I', current_schema(), CAST(:table AS text)))
AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT c.conname, c.contype::text, pg_get_constraintdef(c.oid),
       array(SELECT attname::text FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey))
FROM pg_constraint c WHERE c.conrelid = to_regclass(format('%I.%I', current_schema(), CAST(:table AS text)))
"""
_INDEXES = """
SELECT ic.relname, pg_get_indexdef(i.indexrelid), i.indisunique, obj_description(i.indexrelid, 'pg_class')
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid = to_regclass(format('%I.%I', current_schema(), CAST(:table AS text)))
AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x'))
"""


@dataclass(frozen=True)
class Held:
    """A column as it is. type, default: as PostgreSQL writes them."""

    type: str
    needed: bool
    default: str | None


@dataclass
class Look:
    """One connection, and what was changed over it, one sentence each."""

    connection: Connection
    changes: list[str] = field(default_factory=list)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return the rows of a query."""
        return list(self.connection.execute(text(statement), values))

    def one(self, statement: str, **values: Any) -> Any:
        """Return the first value of a query."""
        return self.connection.execute(text(statement), values).scalar()

    def run(self, statement: str, **values: Any) -> int:
        """Run a statement; return how many rows it touched."""
        return self.connection.execute(text(statement), values).rowcount

    def change(self, what: str, statement: str, **values: Any) -> None:
        """Run a statement and note what it changes."""
        self.run(statement, **values)
        self.changes.append(what)

    def update(self, what: str, statement: str, **values: Any) -> None:
        """Run an UPDATE; note it where it changed rows."""
        touched = self.run(statement, **values)
        if touched:
            self.changes.append(f"{what} ({touched} rows)")

    def has(self, table: str) -> bool:
        """Tell whether there is a table of this name."""
        return bool(
            self.one("SELECT to_regclass(format('%I.%I', current_schema(), CAST(:t AS text))) IS NOT NULL", t=table)
        )

    def columns(self, table: str) -> dict[str, Held]:
        """Return the columns of a table; none where there is no such table."""
        return {row[0]: Held(row[1], row[2], row[3]) for row in self.rows(_COLUMNS, table=table)}

    def constraints(self, table: str) -> list[tuple[str, str, str, list[str]]]:
        """Return the constraints of a table: name, kind (p, u, f, c), definition, columns."""
        return [tuple(row) for row in self.rows(_CONSTRAINTS, table=table)]

    def indexes(self, table: str) -> dict[str, tuple[str, bool, str]]:
        """Return the indexes that no constraint made: name -> (definition, unique, comment)."""
        return {row[0]: (row[1], row[2], row[3] or "") for row in self.rows(_INDEXES, table=table)}

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self.one(f"SELECT count(*) FROM {quoted(table)}"))


def quoted(name: str) -> str:
    """Return a name for a statement of SQLAlchemy's `text`, where a colon would begin a parameter."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
