"""Vector indexes: which there are, what they say about the metric, and building one after the load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from wherry.postgres.link import Link
from wherry.space import Metric
from wherry.stores.base import Index
from wherry.stores.pgvector.catalog import Table

# pgvector 0.8: what an index of each type can take, and the bounds of its parameters.
INDEX_DIMENSIONS = {"vector": 2_000, "halfvec": 4_000}
_LINKS, _BREADTH = (2, 100), (4, 1_000)
_DEFAULT_LINKS = 16
_OPERATORS = {Metric.COSINE: "cosine", Metric.L2: "l2", Metric.IP: "ip", Metric.L1: "l1"}
_MEGABYTE = 1 << 20

_FIND = """
SELECT n.nspname AS schema, ic.relname AS name, am.amname AS kind, o.opcname AS operators,
       i.indisvalid AS valid, i.indpred IS NOT NULL AS partial,
       (SELECT option_value::int FROM pg_options_to_table(ic.reloptions) WHERE option_name = 'm') AS m,
       (SELECT option_value::int FROM pg_options_to_table(ic.reloptions)
        WHERE option_name = 'ef_construction') AS ef_construction
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_namespace n ON n.oid = ic.relnamespace
JOIN pg_am am ON am.oid = ic.relam JOIN pg_opclass o ON o.oid = i.indclass[0]
WHERE i.indrelid = $1 AND am.amname IN ('hnsw', 'ivfflat') AND (
  i.indkey[0] = $2 OR EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
    AND d.refobjid = i.indrelid AND d.refobjsubid = $2))
ORDER BY i.indexrelid
"""


@dataclass(frozen=True)
class VectorIndex:
    """An index on the vector column. partial: it covers some rows only."""

    schema: str
    name: str
    kind: str
    operators: str
    valid: bool
    partial: bool
    m: int | None
    ef_construction: int | None

    @property
    def metric(self) -> Metric | None:
        """The metric of its operator class, None for one of no metric we know."""
        word = self.operators.removesuffix("_ops").rpartition("_")[2]
        return next((metric for metric, name in _OPERATORS.items() if name == word), None)

    @property
    def settings(self) -> Index:
        """Its kind and parameters; None for one left to pgvector's default."""
        return Index(self.kind, self.m, self.ef_construction)

    @property
    def quoted(self) -> sql.Identifier:
        """The name for a statement."""
        return sql.Identifier(self.schema, self.name)


def vector_indexes(connection: psycopg.Connection, table: Table) -> list[VectorIndex]:
    """Return the indexes on the vector column of a table, oldest first."""
    with connection.cursor(row_factory=class_row(VectorIndex)) as cursor:
        values = [table.oid, table.vector.number]
        return cursor.execute(_FIND, values).fetchall()


def metric_of(found: list[VectorIndex]) -> Metric | None:
    """Return the metric that all indexes of a column agree on."""
    metrics = {index.metric for index in found if index.metric}
    return metrics.pop() if len(metrics) == 1 else None


def notes_on(found: list[VectorIndex], table: Table, wanted: Index, dimension: int | None) -> Iterator[str]:
    """Yield what a person should know about the indexes of a table."""
    for index in found:
        if not index.valid:
            yield f"the index {index.name} is invalid: it is rebuilt at the next sync into this table"
        if index.partial:
            yield f"the index {index.name} covers some rows only"
    if len({index.metric for index in found}) > 1:
        yield "indexes of several metrics: say which one is meant with ?metric="
    if wanted.kind == "hnsw" and not found and dimension and dimension > INDEX_DIMENSIONS["halfvec"]:
        yield f"no index: pgvector indexes at most {INDEX_DIMENSIONS['halfvec']:,} dimensions"


def drop_invalid(link: Link, found: list[VectorIndex]) -> list[VectorIndex]:
    """Drop what a failed build left behind; return the indexes that can be used."""
    for index in found:
        if not index.valid:
            with link.begin() as connection:
                connection.execute(sql.SQL("DROP INDEX {}").format(index.quoted))
    return [index for index in found if index.valid and not index.partial]


def build(link: Link, table: Table, metric: Metric, wanted: Index, rows: int, dimension: int, live: bool) -> None:
    """Build an HNSW index; nothing happens where pgvector cannot index that many dimensions.

    rows: about how many there are, for the memory. live: others may be writing, so do not lock them out.
    """
    statement = _statement(table, metric, wanted, dimension, live)
    if statement is None:
        return
    with link.alone() as connection, room(connection, link, rows, dimension, wanted):
        try:
            connection.execute(statement)
        except psycopg.errors.DiskFull:
            # Parallel builds share memory that containers keep small; one process alone needs none.
            for index in vector_indexes(connection, table):
                if not index.valid:
                    connection.execute(sql.SQL("DROP INDEX {}").format(index.quoted))
            connection.execute("SET max_parallel_maintenance_workers = 0")
            connection.execute(statement)


def _statement(table: Table, metric: Metric, wanted: Index, dimension: int, live: bool) -> sql.Composed | None:
    kind, indexed = table.vector.type, table.vector.quoted
    if dimension > INDEX_DIMENSIONS[kind] or table.dimension is None:
        kind = "halfvec" if dimension > INDEX_DIMENSIONS[kind] else kind
        cast = sql.SQL("(({}::{}({})))").format(table.vector.quoted, table.type(kind), sql.Literal(dimension))
        indexed = cast  # type: ignore[assignment]
    if dimension > INDEX_DIMENSIONS[kind]:
        return None
    # A partitioned table cannot be indexed without holding its writers.
    concurrently = sql.SQL("CONCURRENTLY " if live and table.kind == "r" else "")
    return sql.SQL("CREATE INDEX {}ON {} USING hnsw ({} {}) {}").format(
        concurrently, table.quoted, indexed, table.type(f"{kind}_{_OPERATORS[metric]}_ops"), _with(wanted)
    )


def _with(wanted: Index) -> sql.Composable:
    """Return the parameters, brought within pgvector's bounds; none for its defaults."""
    given = {}
    if wanted.m is not None:
        given["m"] = min(max(wanted.m, _LINKS[0]), _LINKS[1])
    if wanted.ef_construction is not None or wanted.m is not None:
        least = 2 * given.get("m", _DEFAULT_LINKS)
        asked = wanted.ef_construction
        # Its default of 64 is too little for many links: pgvector wants twice the links at least.
        if asked is not None or least > 64:
            given["ef_construction"] = min(max(asked or least, least, _BREADTH[0]), _BREADTH[1])
    if not given:
        return sql.SQL("")
    pairs = [sql.SQL("{} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in given.items()]
    return sql.SQL("WITH ({})").format(sql.SQL(", ").join(pairs))


@contextmanager
def room(connection: psycopg.Connection, link: Link, rows: int, dimension: int, wanted: Index) -> Iterator[None]:
    """Give a build the memory its graph needs, where the memory is ours to give."""
    connection.execute("SET statement_timeout = 0")
    if link.server.embedded:
        size = _graph_bytes(rows, dimension, wanted.m or _DEFAULT_LINKS)
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        megabytes = max(64, min(size, most) // _MEGABYTE)
        connection.execute(sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(f"{megabytes}MB")))
    try:
        yield
    finally:
        if not connection.closed:
            for name in ("statement_timeout", "maintenance_work_mem", "max_parallel_maintenance_workers"):
                connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))


def _graph_bytes(rows: int, dimension: int, links: int) -> int:
    """Return about what the graph of an HNSW build takes."""
    return int(rows * (4 * dimension + 40 * links + 300) * 1.2)
