"""What is read of a table: which query gives whole records, and where their fields are in its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.keys import selected

# The fields of a row that every table has.
VECTOR, ID = 0, 1
# In front of a vector's components stand its dimension and two bytes of nothing.
HEAD_BYTES = 4
_TEXTS = ("text", "varchar")


@dataclass(frozen=True)
class Form:
    """What is read of a table. dimension: components of a vector that can be in a batch."""

    table: Table
    dimension: int
    utf8: bool = True

    @cached_property
    def native(self) -> str | None:
        """What the rows mean to another table of PostgreSQL; None where they have to be decoded to be sound."""
        text, metadata = self.table.text, self.table.metadata
        known = self.table.id.type in _TEXTS and (text is None or text.type in _TEXTS)
        if not self.utf8 or not known or (metadata is not None and metadata.type != "jsonb"):
            return None
        fields = [f"{self.table.vector.type}({self.dimension})", "id"]
        return f"postgresql copy: {', '.join([*fields, *(['text'] if text else []), *(['jsonb'] if metadata else [])])}"

    def select(self) -> sql.Composed:
        """Return the query for whole records; each row can be decoded by `pages`."""
        table = self.table
        values = [table.vector.quoted, selected(table.id, table.id.quoted)]
        values += [column.quoted for column in (table.text, table.metadata) if column]
        return self._select(values)

    def select_where(self, condition: sql.Composable) -> sql.Composed:
        """Return the query for whole records of which something holds."""
        return sql.SQL("{} WHERE {}").format(self.select(), condition)

    @property
    def vector_bytes(self) -> int:
        """How long a vector of the dimension is."""
        return HEAD_BYTES + self.dimension * (2 if self.table.half else 4)

    @property
    def fields(self) -> int:
        """How many fields follow the leading ones."""
        return len(self.table.columns)

    @property
    def names(self) -> list[str]:
        """What the fields of a row are."""
        table = self.table
        return ["vector", "id", *(["text"] if table.text else []), *(["metadata"] if table.metadata else [])]

    @property
    def positions(self) -> tuple[int, int, int]:
        """The fields of id, text and metadata; 0 for one that the table does not have."""
        text = 2 if self.table.text else 0
        return ID, text, self.fields - 1 if self.table.metadata else 0

    @property
    def skips(self) -> tuple[int, int, int]:
        """How many bytes stand before the value of each of those fields."""
        metadata = self.table.metadata
        return 0, 0, 1 if metadata is not None and metadata.type == "jsonb" else 0

    def select_ids(self) -> sql.Composed:
        """Return the query for ids; each row can be decoded by `listed`."""
        return self._select([selected(self.table.id, self.table.id.quoted)])

    def _select(self, values: list[sql.Composable]) -> sql.Composed:
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(values), self.table.rows)
