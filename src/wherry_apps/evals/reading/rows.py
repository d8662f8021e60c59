"""Runs in the tables of the product, SQLite of both generations or PostgreSQL: one set of statements for both.

A column that an older database lacks is read as missing. Pages go by key, so that runs which are added meanwhile
neither skip nor repeat others.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import exc

from wherry import BadAddress, BadRecord, StoreError, Unreachable
from wherry_apps.evals.reading.assembling import COLUMNS, NEEDED, assembled
from wherry_apps.evals.reading.base import PAGE, Raw
from wherry_apps.evals.reading.marks import mark_of

Rows = dict[str, list[dict[str, Any]]]
_WAL = 2
_CONNECT_S = 10


class TableRuns:
    """Runs in the tables of a database. place: fit to print."""

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self._engine, self.place = engine, place

    def mark(self) -> str | None:
        """Return a mark of all rows, None where there is none."""
        raise NotImplementedError

    def pages(self, limit: int | None = None) -> Iterator[list[Raw]]:
        """Yield runs by (started_at descending, run_id). Raises BadRecord where the tables are missing."""
        self._require()
        after: tuple[Any, Any] | None = None
        left = limit
        while left is None or left > 0:
            with self._reading() as connection:
                runs = self._page(connection, after, PAGE if left is None else min(PAGE, left))
                if not runs:
                    return
                beside = {name: self._beside(connection, name, runs) for name in COLUMNS if name != "evaluation_runs"}
            yield [_raw(run, {name: rows[run["run_id"]] for name, rows in beside.items()}) for run in runs]
            after = (runs[-1]["started_at"], runs[-1]["run_id"])
            left = None if left is None else left - len(runs)

    def ids(self) -> set[str]:
        """Return the ids of all runs."""
        self._require()
        with self._reading() as connection:
            return {str(row[0]) for row in connection.execute(sa.select(sa.column("run_id")).select_from(_RUNS))}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @cached_property
    def _columns(self) -> dict[str, set[str]]:
        """Which columns each of the known tables has; a table that is not there has none."""
        with self._reading() as connection:
            inspector = sa.inspect(connection)
            there = set(inspector.get_table_names())
            return {
                name: {str(column["name"]) for column in inspector.get_columns(name)} if name in there else set()
                for name in COLUMNS
            }

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except exc.OperationalError as error:
            raise self._unreachable(error) from None
        except exc.DatabaseError as error:
            raise self._unreadable(error) from None

    def _unreachable(self, error: exc.DBAPIError) -> Exception:
        return Unreachable(f"the database of runs does not answer: {_words(error)}", where=self.place)

    def _unreadable(self, error: exc.DBAPIError) -> Exception:
        return StoreError(f"the database of runs failed: {_words(error)}", where=self.place)

    def _require(self) -> None:
        missing = sorted(name for name in NEEDED if not self._columns[name])
        if missing:
            raise BadRecord(
                f"the database has no table {', '.join(missing)}",
                where=self.place,
                left="nothing was indexed from it",
                next="name the database in which the evaluation runs are stored",
            )

    def _page(self, connection: sa.Connection, after: tuple[Any, Any] | None, rows: int) -> list[dict[str, Any]]:
        started, run_id = sa.column("started_at"), sa.column("run_id")
        statement = sa.select(*self._chosen("evaluation_runs")).select_from(_RUNS)
        if after is not None:
            statement = statement.where(sa.or_(started < after[0], sa.and_(started == after[0], run_id > after[1])))
        found = connection.execute(statement.order_by(started.desc(), run_id).limit(rows))
        return [dict(row) for row in found.mappings()]

    def _beside(
        self, connection: sa.Connection, name: str, runs: Sequence[dict[str, Any]]
    ) -> defaultdict[Any, list[dict[str, Any]]]:
        """Return the rows of another table that belong to some runs, by the id of the run."""
        found: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
        columns = self._columns[name]
        if not columns:
            return found
        table, ids = sa.table(name), [run["run_id"] for run in runs]
        if name == "metric_scores":
            chosen = [sa.literal_column(f"s.{c.name}").label(c.name) for c in self._chosen(name)]
            statement = sa.select(sa.literal_column("r.run_id").label("run_id"), *chosen).select_from(
                sa.text("metric_scores s JOIN test_case_results r ON r.id = s.result_id")
            )
            statement = statement.where(sa.literal_column("r.run_id").in_(ids)).order_by(sa.literal_column("s.id"))
        elif "run_id" not in columns:
            return found
        else:
            statement = sa.select(*self._chosen(name)).select_from(table).where(sa.column("run_id").in_(ids))
            order = next((key for key in ("id", "report_id", "created_at") if key in columns), "run_id")
            statement = statement.order_by(sa.column(order))
        for row in connection.execute(statement).mappings():
            found[row["run_id"]].append(dict(row))
        return found

    def _chosen(self, name: str) -> list[sa.ColumnClause[Any]]:
        return [sa.column(column) for column in COLUMNS[name] if column in self._columns[name]]


class SqliteRuns(TableRuns):
    """Runs in a SQLite file, which is opened so that nothing can write to it."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        super().__init__(sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.NullPool), str(self._path))

    def mark(self) -> str | None:
        """Return the mark of the file and of its write-ahead log."""
        return mark_of(self._path, ("-wal",))

    def _connect(self) -> sqlite3.Connection:
        # A database in WAL mode that nobody has open would get files of its own beside it, were it opened plainly.
        with self._path.open("rb") as file:
            waiting = file.read(20)[18:19] == bytes([_WAL])
        alone = waiting and not self._path.with_name(self._path.name + "-wal").exists()
        options = "mode=ro&immutable=1" if alone else "mode=ro"
        place = f"file:{quote(str(self._path))}?{options}"
        connection = sqlite3.connect(place, uri=True, check_same_thread=False, isolation_level=None)
        # A page is several statements, which have to see one state of the file.
        connection.execute("BEGIN")
        return connection

    def _unreachable(self, error: exc.DBAPIError) -> Exception:
        return StoreError(f"the file cannot be read now: {_words(error)}", where=self.place)

    def _unreadable(self, error: exc.DBAPIError) -> Exception:
        return BadRecord(f"the file is no sound SQLite database: {_words(error)}", where=self.place)


class PostgresRuns(TableRuns):
    """Runs in a PostgreSQL database, read in transactions that cannot write."""

    def __init__(self, url: str) -> None:
        self._conninfo = url.replace("postgresql+psycopg://", "postgresql://")
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._connect, poolclass=sa.NullPool, hide_parameters=True
        )
        super().__init__(engine, _shown(self._conninfo))

    def mark(self) -> str | None:
        """Return a mark of every version of every row; one scan inside the server."""
        self._require()
        tables = [name for name in COLUMNS if self._columns[name]]
        version = "coalesce(sum(hashtextextended(xmin::text || ctid::text, 0)::numeric), 0)"
        parts = " UNION ALL ".join(f"SELECT {n}, count(*), {version} FROM {name}" for n, name in enumerate(tables))
        with self._reading() as connection:
            rows = connection.execute(sa.text(f"SELECT current_database(), p.* FROM ({parts}) p(n, rows, sum)"))
            return blake2b(repr(sorted(map(tuple, rows))).encode(), digest_size=16).hexdigest()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._conninfo,
            connect_timeout=_CONNECT_S,
            options="-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read",
        )


def _shown(conninfo: str) -> str:
    """Return a database as a URL without its password. Raises BadAddress for what names none."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        raise BadAddress("the address of the database of runs cannot be read", next="write postgresql://...") from None
    user = f"{parts['user']}@" if parts.get("user") else ""
    host = quote(str(parts.get("host", "localhost")), safe="")
    return f"postgresql://{user}{host}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


_RUNS = sa.table("evaluation_runs")


def _raw(run: dict[str, Any], rows: Rows) -> Raw:
    digest = blake2b(repr((run, rows)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Raw(str(run["run_id"]), digest, partial(assembled, run, rows))


def _words(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
