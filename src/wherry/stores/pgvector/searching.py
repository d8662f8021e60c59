"""Searching a table: one statement on a shared connection, by index or exactly, k rows where k exist.

no condition                 the vector index, as far as it gives k rows
a condition an index finds   one statement; PostgreSQL chooses between that index and the vector's
any other condition          a sample says how rare its rows are: rare ones are compared one by one, of the
                             others the vector index is asked for more candidates the rarer they are
fewer than k rows came       every row is compared
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format

from wherry.postgres.failures import translated
from wherry.postgres.link import Server
from wherry.postgres.pool import Pool
from wherry.record import Page
from wherry.stores.base import Hit
from wherry.stores.exact import Query, checked, search_pages, similarity
from wherry.stores.hits import as_records
from wherry.stores.lexical import FusedHit, Fusion
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.filters import Filter, NotNative, leading, require_native, served
from wherry.stores.pgvector.fusing import FusedStatements, Placed, parameters_of, placed
from wherry.stores.pgvector.ground import Ground
from wherry.stores.pgvector.jsonb import RESERVED, from_column
from wherry.where import Where, matches

# What somebody else changes in the table (its index, its metric) is noticed after this long.
_TRUSTED_S = 30.0
_SAMPLES_KEPT_S, _MOST_SAMPLES = 60.0, 512
# So few rows that fit are compared one by one, which is no slower than asking the vector index and misses none:
# where an index of the metadata finds them, and where all rows have to be looked at.
_FEW_FOUND = 4_000
_FEW_SCANNED, _RARE = 500, 0.02
# Touching the type loads its library: before that, a misspelt setting would pass and mean nothing.
_VECTOR = """
SELECT t.oid, n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN pg_extension e ON e.extnamespace = n.oid WHERE e.extname = 'vector' AND t.typname = 'vector'
"""
_CHANGED = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)
_NO_JSONB = (psycopg.errors.UntranslatableCharacter, psycopg.errors.NumericValueOutOfRange)
T = TypeVar("T")
Row = tuple[str, str | None, str | None, float]


@dataclass(frozen=True)
class Asked:
    """A vector on its way to the server, in pgvector's binary form."""

    data: bytes

    @classmethod
    def of(cls, vector: np.ndarray) -> Asked:
        """Encode a float32 vector."""
        return cls(len(vector).to_bytes(2, "big") + b"\x00\x00" + vector.astype(">f4").tobytes())


@dataclass(frozen=True)
class _Known:
    """What was found out about the table, and when."""

    ground: Ground
    statements: FusedStatements
    table: Table
    at: float


@dataclass(frozen=True)
class _Question:
    """A search as the server is asked. parameters: the vector, then what the condition compares with."""

    query: Query
    where: Where | None
    condition: str | None
    parameters: list[Any]


class Searching:
    """Searches of one table, by any number of threads.

    look: finds out what the table is now; current: the table as its owner knows it, whose change is noticed at
    once; scan: all records, for conditions that PostgreSQL cannot decide.
    """

    def __init__(
        self,
        server: Server,
        look: Callable[[], Ground],
        current: Callable[[], Table],
        scan: Callable[[], Iterator[Page]],
    ) -> None:
        self._look, self._current, self._scan = look, current, scan
        self._server = server
        self._pool = Pool(server, _prepared if server.embedded else made_ready)
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._fractions: dict[str, tuple[float, float]] = {}

    def search(self, vector: np.ndarray, k: int, where: Where | None, exact: bool) -> list[Hit]:
        """Return the k nearest records; see `Searchable.search`."""
        query = checked(vector, k, self._now().ground.space, self._server.shown)

        def ask(known: _Known) -> list[Hit]:
            question = _question(known.ground, query, where)
            if question is None:
                return []
            with self._pool.connection() as connection:
                return _hits(self._rows(connection, known, question, exact), known.ground, query)

        return self._answered(ask, lambda: search_pages(self._scan(), query, where))

    def fused(self, vector: np.ndarray, fusion: Fusion, where: Where | None, exact: bool) -> list[FusedHit] | None:
        """Return the k best records of both legs, in one round trip; see `Fuses.fused`."""
        query = checked(vector, fusion.depth, self._now().ground.space, self._server.shown)

        def ask(known: _Known) -> list[FusedHit] | None:
            question = _question(known.ground, query, where)
            if question is None:
                return []
            # The rows of a framework's table are read by its own rules.
            if known.ground.table.shape.codec is not None:
                return None
            with self._pool.connection() as connection:
                found = self._fused_rows(connection, known, question, fusion, exact)
            return [_fused(one, query) for one in found[: fusion.k]]

        return self._answered(ask, lambda: None)

    def forget(self) -> None:
        """Look at the table again before the next search."""
        self._known = None
        self._fractions.clear()

    def close(self) -> None:
        """Close the connections; they are made again if they are needed."""
        self._pool.close()

    def _now(self) -> _Known:
        known = self._known
        if known is None or known.table != self._current() or time.monotonic() - known.at > _TRUSTED_S:
            with self._lock:
                ground = self._look()
                known = self._known = _Known(ground, FusedStatements(ground), ground.table, time.monotonic())
        return known

    def _answered(self, ask: Callable[[_Known], T], otherwise: Callable[[], T]) -> T:
        """Return what a question gives; asked once more where the table or the server changed meanwhile.

        otherwise: for a condition that PostgreSQL cannot decide.
        """
        with translated(self._server.shown, self._server.secrets):
            try:
                return ask(self._now())
            except (NotNative, *_NO_JSONB):
                return otherwise()
            except _CHANGED:
                # Somebody changed the table since it was looked at.
                self.forget()
            except psycopg.OperationalError:
                # The server was restarted, or ended what was idle: the other connections are as dead as this one.
                self._pool.close()
            return ask(self._now())

    def _fused_rows(
        self, connection: psycopg.Connection, known: _Known, asked: _Question, fusion: Fusion, exact: bool
    ) -> list[Placed]:
        """Return the rows of both legs; by index where its leg gives at least k."""
        condition, parameters = asked.condition, [*asked.parameters, *parameters_of(fusion)]
        factor = 0 if exact or known.ground.index is None else self._factor(connection, known, asked)
        first = len(asked.parameters) + 1
        if factor:
            near = known.statements.nearest(fusion.depth, condition, factor)
            statement = known.statements.fused(near, fusion, first)
            rows = _fetched(connection, statement, parameters, prepare=condition is None)
            if rows and rows[0][6] >= fusion.k:
                return placed(rows)
        near = known.statements.exact(fusion.depth, condition)
        return placed(_fetched(connection, known.statements.fused(near, fusion, first), parameters, prepare=False))

    def _rows(self, connection: psycopg.Connection, known: _Known, asked: _Question, exact: bool) -> Sequence[Row]:
        """Return the rows that were found, by index where that gives k of them."""
        k, condition = asked.query.k, asked.condition
        factor = 0 if exact or known.ground.index is None else self._factor(connection, known, asked)
        if factor:
            statement = known.statements.nearest(k, condition, factor)
            rows = _fetched(connection, statement, asked.parameters, prepare=condition is None)
            if len(rows) >= k:
                return rows
        return _fetched(connection, known.statements.exact(k, condition), asked.parameters, prepare=False)

    def _factor(self, connection: psycopg.Connection, known: _Known, asked: _Question) -> int:
        """Return how many times k candidates to ask the index for; 0 = compare every row that fits."""
        ground = known.ground
        if asked.where is None or asked.condition is None:
            return 1
        fraction = self._fraction(connection, known, asked.condition, asked.parameters)
        if self._few(connection, known, asked):
            return 0
        found_at_once = served(asked.where, ground.contained, ground.ordered, ground.led)
        if fraction * ground.rows < (_FEW_FOUND if found_at_once else max(_FEW_SCANNED, _RARE * ground.rows)):
            return 0
        return 1 if fraction > 0.25 else 2 if fraction > 0.07 else 4

    def _few(self, connection: psycopg.Connection, known: _Known, asked: _Question) -> bool:
        """Tell whether the rows that an index of a column finds are few: counted, for one person's are in no sample."""
        part = leading(asked.where, known.ground.led) if asked.where is not None else None
        if part is None:
            return False
        filtered = _filter(known.ground)
        statement = known.statements.counted(filtered.condition(part), _FEW_FOUND)
        parameters = [asked.parameters[0], *filtered.values]
        return bool(_fetched(connection, statement, parameters, prepare=False)[0][0] < _FEW_FOUND)

    def _fraction(self, connection: psycopg.Connection, known: _Known, condition: str, values: list[Any]) -> float:
        """Return about which part of the rows satisfies a condition, from a sample that is kept for a minute."""
        name, now = repr((condition, values[1:])), time.monotonic()
        kept = self._fractions.get(name)
        if kept is not None and now - kept[1] < _SAMPLES_KEPT_S:
            return kept[0]
        statement = known.statements.sample(condition)
        total, fitting = _fetched(connection, statement, values, prepare=False)[0]
        fraction = fitting / total if total else 1.0
        if len(self._fractions) >= _MOST_SAMPLES:
            self._fractions.clear()
        self._fractions[name] = (fraction, now)
        return fraction


def _question(ground: Ground, query: Query, where: Where | None) -> _Question | None:
    """Return a search as the server is asked, None where no record can satisfy the condition. Raises NotNative."""
    condition, values = None, []
    if where is not None:
        require_native(where, ground.hidden, nul=ground.may_hold_nul)
        if ground.metadata is None:
            if not matches(where, None):
                return None
        else:
            filtered = _filter(ground)
            condition, values = filtered.condition(where), filtered.values
    return _Question(query, where, condition, [Asked.of(query.vector), *values])


def _filter(ground: Ground) -> Filter:
    """Return what makes conditions for a table that has metadata; $1 is the vector."""
    return Filter(ground.metadata or "", 2, direct=ground.direct, held=ground.held, fields=ground.fields)


def _fetched(connection: psycopg.Connection, statement: str, parameters: list[Any], prepare: bool) -> list[Any]:
    # Prepared only where the plan does not depend on a value.
    cursor = connection.execute(statement.encode(), parameters, prepare=None if prepare else False)
    return cursor.fetchall()


def made_ready(connection: psycopg.Connection) -> None:
    """Make a new connection ready: the vector's type is known and its library loaded."""
    row = connection.execute(_VECTOR).fetchone()
    if row is not None:
        kind = sql.Identifier(row[1], "vector")
        connection.execute(sql.SQL("SELECT '[1]'::{}").format(kind))
        connection.adapters.register_dumper(Asked, _dumper(row[0]))


def _prepared(connection: psycopg.Connection) -> None:
    """Make a connection to our own server ready: a pooler in between could lose prepared statements."""
    made_ready(connection)
    connection.prepare_threshold = 5


def _dumper(oid: int) -> type[Dumper]:
    def dump(_: Dumper, asked: Asked) -> bytes:
        return asked.data

    return type("_AskedDumper", (Dumper,), {"oid": oid, "format": Format.BINARY, "dump": dump})


def _hits(rows: Sequence[Row], ground: Ground, query: Query) -> list[Hit]:
    metric = query.metric
    found = sorted(rows, key=lambda row: (row[3], row[0]))[: query.k]
    hits = [Hit(i, similarity(d, metric), d, text, _plain(metadata), metric) for i, text, metadata, d in found]
    return as_records(hits, ground.table.shape.codec)


def _fused(row: Placed, query: Query) -> FusedHit:
    hit = Hit(
        row.id, similarity(row.distance, query.metric), row.distance, row.text, _plain(row.metadata), query.metric
    )
    return FusedHit(hit, row.by_vector, row.by_words)


def _plain(metadata: str | None) -> str | None:
    """Return metadata as a scan reads it."""
    if metadata is None or metadata == "null":
        return None
    if RESERVED not in metadata:
        return metadata
    return from_column(pa.array([metadata], type=pa.string()))[0].as_py()
