"""Trying and changing the vector index of a table: the sample is a table of its own beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from uuid import uuid4

import numpy as np
import psycopg
from psycopg import sql

from wherry.errors import UnknownMetric, Unsupported, WherryError
from wherry.postgres.failures import translated
from wherry.postgres.link import Link, Server
from wherry.space import Metric
from wherry.stores.base import Index
from wherry.stores.pgvector import indexes
from wherry.stores.pgvector.catalog import Column, Table
from wherry.stores.pgvector.ground import MARK, Ground, VectorIndex
from wherry.stores.pgvector.searching import Asked, made_ready
from wherry.stores.pgvector.statements import Statements
from wherry.stores.tuning import Build, Cost, Form, Trial

_WORDS = {Metric.COSINE: "cosine", Metric.L2: "l2", Metric.IP: "ip", Metric.L1: "l1"}
_BITS_MOST = 64_000
_BUILD_MEMORY = "256MB"


class TableTrial:
    """A sample of a table. See `Trial`."""

    def __init__(self, connection: psycopg.Connection, ground: Ground, sample: Table, of: int, questions: np.ndarray):
        self.of, self.questions = of, questions
        self._connection, self._ground = connection, ground
        self._sample = sample
        self._index: VectorIndex | None = None
        self._name = sql.Identifier(sample.schema, f"{sample.name}_index")
        self.rows = int(_one(connection, sql.SQL("SELECT count(*) FROM {}").format(sample.quoted)))
        self.forms = forms_of(ground)

    def build(self, build: Build) -> Cost:
        """Build an index in place of the one before."""
        self._connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(self._name))
        started = time.perf_counter()
        self._connection.execute(statement(self._ground, self._sample, build, self._name, ""))
        seconds = time.perf_counter() - started
        self._index = as_index(self._ground, self._sample, build, 1)
        size = sql.SQL("SELECT pg_relation_size({})").format(sql.Literal(self._name.as_string(None)))
        return Cost(seconds, int(_one(self._connection, size)))

    def ask(self, vector: np.ndarray, k: int, breadth: int) -> list[str]:
        """Return the ids of the k nearest by the index."""
        index = replace(self._index, breadth=breadth) if self._index else None
        made = Statements(replace(self._ground, table=self._sample, index=index, metadata=None)).nearest(k, None, 1)
        return [row[0] for row in self._connection.execute(made.encode(), [Asked.of(vector)])]

    def truth(self, vector: np.ndarray, k: int) -> list[tuple[str, float]]:
        """Return ids and distances of the k nearest by comparing all."""
        made = Statements(replace(self._ground, table=self._sample, index=None, metadata=None)).exact(k, None)
        return [(row[0], row[3]) for row in self._connection.execute(made.encode(), [Asked.of(vector)])]


@contextmanager
def trial(server: Server, ground: Ground, rows: int, questions: int) -> Iterator[Trial]:
    """Make a sample beside the table, and drop it again."""
    require_tunable(ground, server.shown)
    table = ground.table
    sample = Table(
        table.schema, f"wherry_tune_{uuid4().hex[:12]}", Column("id"), replace(table.vector, not_null=True, name="v"),
        None, None, oid=0, types=table.types, version=table.version,
    )  # fmt: skip
    with translated(server.shown, server.secrets), server.connect() as connection:
        made_ready(connection)
        connection.execute("SET jit = off")
        if server.embedded:
            connection.execute(sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(_BUILD_MEMORY)))
        try:
            of = int(_one(connection, sql.SQL("SELECT count(*) FROM {}").format(table.rows)))
            asked = _filled(connection, ground, sample, min(rows, of), questions)
            yield TableTrial(connection, ground, sample, of, asked)
        finally:
            # A connection that broke has nothing left to drop with: the error that broke it is the one to see.
            with suppress(psycopg.OperationalError):
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sample.quoted))


def retune(server: Server, ground: Ground, build: Build, breadth: int) -> None:
    """Build an index beside the one in use, note the breadth on it, then drop the others of the column."""
    require_tunable(ground, server.shown)
    table, link = ground.table, Link(server)
    name = sql.Identifier(table.schema, f"wherry_{uuid4().hex[:16]}")
    try:
        with link.begin() as connection:
            former = indexes.vector_indexes(connection, table)
        with link.alone() as connection:
            _built(connection, link, ground, build, name)
            note = sql.Literal(MARK + json.dumps({"ef_search": breadth}))
            connection.execute(sql.SQL("COMMENT ON INDEX {} IS {}").format(name, note))
            for index in former:
                connection.execute(sql.SQL("DROP INDEX {}").format(index.quoted))
    finally:
        link.close()


def _built(connection: psycopg.Connection, link: Link, ground: Ground, build: Build, name: sql.Identifier) -> None:
    """Build an index while others go on writing; what a failure leaves is dropped."""
    wanted = Index("hnsw", build.m, build.ef_construction)
    concurrently = "CONCURRENTLY " if ground.table.kind == "r" else ""
    try:
        with indexes.room(connection, link, int(ground.rows), ground.space.dimension or 0, wanted):
            connection.execute(statement(ground, ground.table, build, name, concurrently))
    except psycopg.Error:
        connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name))
        raise


def forms_of(ground: Ground) -> tuple[Form, ...]:
    """Return what an index on the vectors of a table can keep."""
    dimension, kind = ground.space.dimension or 0, ground.table.vector.type
    found: list[Form] = []
    if dimension <= indexes.INDEX_DIMENSIONS[kind]:
        found.append("full")
    if kind == "vector" and dimension <= indexes.INDEX_DIMENSIONS["halfvec"]:
        found.append("half")
    if kind == "vector" and ground.space.metric is Metric.COSINE and dimension <= _BITS_MOST:
        found.append("bits")
    return tuple(found)


def require_tunable(ground: Ground, where: str) -> None:
    """Raise UnknownMetric or Unsupported for a table that cannot have an index of its own."""
    if ground.space.metric is None:
        raise UnknownMetric(where=where, next="state it: add ?metric=cosine, l2, ip or l1 to the address")
    problem: WherryError | None = None
    if not ground.space.dimension:
        problem = Unsupported("the table holds no vector yet, so there is nothing to measure", where=where)
    elif ground.table.scope is not None or not forms_of(ground):
        problem = Unsupported("this collection can have no vector index of its own", where=where)
    if problem is not None:
        raise problem


def statement(ground: Ground, table: Table, build: Build, name: sql.Identifier, concurrently: str) -> sql.Composed:
    """Return the statement that makes an index. concurrently: "" or "CONCURRENTLY "."""
    index = as_index(ground, table, build, 1)
    alone = sql.Identifier(name._obj[-1])
    return sql.SQL("CREATE INDEX {}{} ON {} USING hnsw (({}) {}) WITH (m = {}, ef_construction = {})").format(
        sql.SQL(concurrently),  # type: ignore[arg-type]
        alone,
        table.quoted,
        sql.SQL(index.expression),  # type: ignore[arg-type]
        table.type(index.operators),
        sql.Literal(build.m),
        sql.Literal(max(build.ef_construction, 2 * build.m)),
    )


def as_index(ground: Ground, table: Table, build: Build, breadth: int) -> VectorIndex:
    """Return an index as searching sees it."""
    column, size = table.vector.quoted.as_string(None), ground.space.dimension
    word = _WORDS[ground.space.metric or Metric.L2]
    if build.form == "bits":
        quantised = f"{table.type('binary_quantize').as_string(None)}({column})::bit({size})"
        return VectorIndex("hnsw", f"({quantised})", "bit_hamming_ops", breadth)
    if build.form == "half":
        halved = f"({column}::{table.type('halfvec').as_string(None)}({size}))"
        return VectorIndex("hnsw", halved, f"halfvec_{word}_ops", breadth)
    return VectorIndex("hnsw", column, f"{table.vector.type}_{word}_ops", breadth)


def _filled(connection: psycopg.Connection, ground: Ground, sample: Table, rows: int, questions: int) -> np.ndarray:
    """Fill the sample with random rows; return the vectors that are asked for.

    Those are taken out of the sample again where that leaves most of it.
    """
    table, size, wanted = ground.table, ground.space.dimension or 0, rows + questions
    connection.execute(
        sql.SQL(
            "CREATE UNLOGGED TABLE {} AS SELECT {}::text AS id, {} AS v FROM {} WHERE {} IS NOT NULL AND {}({}) = {}"
            " ORDER BY random() LIMIT {}"
        ).format(
            sample.quoted, table.id.quoted, table.vector.quoted, _drawn(ground, wanted), table.vector.quoted,
            table.type("vector_dims"), table.vector.quoted, sql.Literal(size), sql.Literal(wanted),
        )
    )  # fmt: skip
    held = int(_one(connection, sql.SQL("SELECT count(*) FROM {}").format(sample.quoted)))
    asked = sql.SQL("SELECT v::text FROM {0} LIMIT {1}")
    if held >= questions * 4:
        asked = sql.SQL("DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} LIMIT {1})) RETURNING v::text")
    found = [json.loads(row[0]) for row in connection.execute(asked.format(sample.quoted, sql.Literal(questions)))]
    connection.execute(sql.SQL("ANALYZE {} (id)").format(sample.quoted))
    vectors = np.array(found, dtype=np.float32).reshape(len(found), size)
    # A zero vector asks for nothing under cosine.
    return vectors[vectors.any(axis=1)]


def _drawn(ground: Ground, wanted: int) -> sql.Composable:
    """Return what the sample is drawn from: of a large table a part at random, which need not be sorted whole."""
    percent = 200.0 * wanted / ground.rows
    if ground.table.kind != "r" or ground.table.fields or percent >= 50:
        return ground.table.rows
    return sql.SQL("{} TABLESAMPLE BERNOULLI ({})").format(ground.table.quoted, sql.Literal(percent))


def _one(connection: psycopg.Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return row[0] if row else 0
