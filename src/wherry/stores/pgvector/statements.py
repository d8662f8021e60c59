"""The statements of a search. Names come quoted from the catalog, values as parameters: $1 is the vector."""

from __future__ import annotations

from psycopg import sql

from wherry.space import Metric
from wherry.stores.pgvector.ground import BINARY_FACTOR, OPERATORS, Ground, VectorIndex
from wherry.stores.pgvector.keys import selected

# pgvector's own bounds.
_MOST_BREADTH, _MOST_PROBES = 1_000, 32_768
_SCANNED = 20_000
_SAMPLED_PAGES = 60
_SAMPLED_ROWS = 2_000


class Statements:
    """Statements for one table as it was looked at; names are quoted once."""

    def __init__(self, ground: Ground) -> None:
        table = ground.table
        self.ground = ground
        self._rows = _text(table.searched)
        self._schema = _text(sql.Identifier(table.types))
        self._vector = _text(table.vector.quoted)
        self._id = _text(selected(table.id, table.id.quoted))
        metadata = f"{_text(table.metadata.quoted)}::text" if table.metadata else "NULL"
        self._shown = f"{self._id}, {_text(table.text.quoted) if table.text else 'NULL'}, {metadata}"
        self._columns = ", ".join(
            dict.fromkeys(_text(c.quoted) for c in (table.id, table.text, table.metadata) if c is not None)
        )
        self._dimension = ground.space.dimension
        self._operator = f"OPERATOR({self._schema}.{OPERATORS[ground.space.metric or Metric.L2]})"
        self._distance = self._apart()
        # Before it, an index cannot go on after its first candidates.
        self._goes_on = tuple(map(int, table.version.split(".")[:2])) >= (0, 8)

    def nearest(self, k: int, condition: str | None, factor: int) -> str:
        """Return the statement that asks the index for `factor` times k records.

        In one statement, so that the settings hold for it alone and cost no round trip: their row has to be made
        before the index is asked.
        """
        index, ground = self.ground.index, self.ground
        if index is None:
            return self.exact(k, condition)
        wanted = k * factor
        if index.is_binary or (index.is_half and not ground.table.half):
            # What the index compares is coarser than the vectors are: the nearest are chosen among more.
            wanted *= BINARY_FACTOR if index.is_binary else 2
        conditions = ["wherry_settings.done IS NOT NULL", *([condition] if condition else [])]
        return (
            f"WITH wherry_settings AS MATERIALIZED (SELECT {self._settings(index, wanted)} AS done) "
            f"SELECT {self._shown}, wherry_distance FROM wherry_settings, "
            f"LATERAL (SELECT {self._columns}, {self._distance} AS wherry_distance "
            f"FROM {self._rows} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {self._order(index)} LIMIT {wanted}) AS found ORDER BY wherry_distance LIMIT {k}"
        )

    def exact(self, k: int, condition: str | None) -> str:
        """Return the statement that compares every record that satisfies the condition; ties by id."""
        kept = [f"{self._vector} IS NOT NULL", *([condition] if condition else [])]
        if self.ground.table.dimension is None and self._dimension:
            kept.append(f"{self._type('vector_dims')}({self._vector}) = {self._dimension}")
        # Adding nothing keeps the vector index out of it; texts are made of what is shown alone.
        return (
            f"SELECT {self._shown}, wherry_distance "
            f"FROM (SELECT {self._columns}, {self._distance} + 0 AS wherry_distance "
            f"FROM {self._rows} WHERE {' AND '.join(kept)} "
            f'ORDER BY wherry_distance, {self._id} COLLATE "C" LIMIT {k}) AS found'
        )

    def sample(self, condition: str) -> str:
        """Return the statement that counts rows of a sample: all of them, and those that satisfy the condition."""
        percent = min(100.0, 100.0 * _SAMPLED_PAGES / self.ground.pages)
        table, rows = self.ground.table, self._rows
        if table.kind == "r" and not table.fields:
            rows = f"{_text(table.quoted)} TABLESAMPLE SYSTEM ({percent:.6f}) WHERE {_text(table.condition)}"
        # The vector is mentioned because every parameter has to be.
        return (
            f"SELECT count(*), count(*) FILTER (WHERE {condition}) "
            f"FROM (SELECT * FROM {rows} LIMIT {_SAMPLED_ROWS}) AS sampled WHERE {self._query('vector')} IS NOT NULL"
        )

    def counted(self, condition: str, most: int) -> str:
        """Return the statement that counts the rows that satisfy a condition, at most so many."""
        return (
            f"SELECT count(*) FROM (SELECT FROM {self._rows} WHERE {self._query('vector')} IS NOT NULL "
            f"AND {condition} LIMIT {most}) AS found"
        )

    def _apart(self) -> str:
        asked = f"{self._vector} {self._operator} {self._query('halfvec' if self.ground.table.half else 'vector')}"
        # A zero vector has no direction: pgvector says NaN, everybody else says that it is at right angles.
        return f"coalesce(nullif({asked}, 'NaN'), 1)" if self.ground.space.metric is Metric.COSINE else f"({asked})"

    def _order(self, index: VectorIndex) -> str:
        if index.is_binary:
            bits = f"{self._type('binary_quantize')}({self._query('vector')})::bit({self._dimension})"
            return f"{index.expression} OPERATOR({self._schema}.<~>) {bits}"
        return f"{index.expression} {self._operator} {self._query('halfvec' if index.is_half else 'vector')}"

    def _settings(self, index: VectorIndex, wanted: int) -> str:
        """Return the expression that sets what the index heeds, for this statement alone."""
        if index.kind == "hnsw":
            name, breadth = "hnsw.ef_search", min(max(index.breadth, wanted), _MOST_BREADTH)
            more = {"hnsw.iterative_scan": "relaxed_order", "hnsw.max_scan_tuples": str(max(_SCANNED, wanted * 20))}
        else:
            name, breadth = "ivfflat.probes", min(index.breadth, _MOST_PROBES)
            more = {"ivfflat.iterative_scan": "relaxed_order"}
        value = f"'{breadth}'"
        if not index.chosen:
            # Somebody may have set the server, the database or the role to more.
            value = f"greatest({breadth}, current_setting('{name}')::int)::text"
        pairs = {name: value, **({key: f"'{each}'" for key, each in more.items()} if self._goes_on else {})}
        return " || ".join(f"set_config('{key}', {each}, true)" for key, each in pairs.items())

    def _query(self, kind: str) -> str:
        asked = f"$1::{self._type('vector')}"
        if kind == "vector":
            return asked
        return f"{asked}::{self._type(kind)}{f'({self._dimension})' if self._dimension else ''}"

    def _type(self, name: str) -> str:
        return _text(self.ground.table.type(name))


def _text(part: sql.Composable) -> str:
    return part.as_string(None)
