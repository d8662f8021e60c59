"""Bringing older tables over, and trying it out first.

    move_aside   the older tables go to a schema of their own, with their indexes, sequences and enumerations
    (tables)     the new ones are made by the revision
    carry        rows are read, changed and written; counts are compared; the older tables are dropped

All of it is one transaction of the revision: whatever fails leaves everything as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

import wherry
from wherry_apps.interview.carrying.rows import TABLES, Carried, Homeless, Row
from wherry_apps.interview.carrying.values import Unfit, converted
from wherry_apps.interview.service import embedding
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.tables import JobChunk, MigrationReport

_BATCH = 500
_DDL = Path(__file__).parents[1] / "migrations" / "v0001_tables.sql"


@dataclass
class Aside:
    """The older tables, moved aside. counts: rows of each. types: enumerations that came along."""

    schema: str
    counts: dict[str, int] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)


class _TriedOut(Exception):
    """Ends a transaction that was only tried."""


def migrate(on: Interview, dry_run: bool = False, embedder: str | None = None) -> dict[str, Any]:
    """Bring the older tables over, or say what that would do. Returns the report.

    embedder: the spec of the model that made the older vectors, which the tables do not say. Raises what the database
    says where something stands against it; then nothing was changed.
    """
    stated = _card_of(embedder)
    if not on.older_tables():
        if not dry_run:
            on.prepare()
            _state(on, stated)
        return {"dry_run": dry_run, "tables": [], "made": [], "set_aside": []}
    if dry_run:
        return {**_tried(on), "dry_run": True}
    on.upgrade()
    _state(on, stated)
    with on.session() as session:
        last = sa.select(MigrationReport.report).order_by(MigrationReport.id.desc()).limit(1)
        return {**session.scalars(last).one(), "dry_run": False}


def move_aside(connection: Connection) -> Aside | None:
    """Move the older tables into a schema beside; None where there are none."""
    here = connection.scalar(sa.text("SELECT current_schema()"))
    found = sa.inspect(connection).get_table_names(schema=here)
    names = [name for name in TABLES if name in found]
    if not names:
        return None
    aside = Aside(f"{here}_before")
    types = _types(connection, here, names)
    connection.execute(sa.text(f"CREATE SCHEMA {_q(aside.schema)}"))
    for name in names:
        connection.execute(sa.text(f"ALTER TABLE {_q(here)}.{_q(name)} SET SCHEMA {_q(aside.schema)}"))
        aside.counts[name] = _count(connection, f"{_q(aside.schema)}.{_q(name)}")
    for name in types:
        connection.execute(sa.text(f"ALTER TYPE {_q(here)}.{_q(name)} SET SCHEMA {_q(aside.schema)}"))
    aside.types = types
    return aside


def carry(connection: Connection, aside: Aside | None) -> dict[str, Any] | None:
    """Fill the new tables from those aside, drop the older ones and return the report; it is stored too.

    Raises Integrity where a count differs, and what the database says where other tables or views need the older ones.
    """
    if aside is None:
        return None
    work = _Work(connection, aside)
    for name in TABLES:
        work.table(name)
    work.finish()
    report = work.report()
    connection.execute(
        sa.text("INSERT INTO migration_reports (report) VALUES (CAST(:r AS jsonb))"), {"r": _as_json(report)}
    )
    return report


class _Work:
    """Carrying over, table by table."""

    def __init__(self, connection: Connection, aside: Aside) -> None:
        self.connection, self.aside = connection, aside
        self.so_far = Carried()
        self.set_aside: list[dict[str, Any]] = []
        self.made: list[str] = []
        self.whole: dict[str, int] = dict.fromkeys(TABLES, 0)

    def table(self, name: str) -> None:
        """Carry one table over."""
        # As it was just made, whatever the models have become since.
        table = sa.Table(name, sa.MetaData(), autoload_with=self.connection)
        self.so_far.ids[name] = set()
        if name in self.aside.counts:
            for rows in self._batches(name):
                self._insert(table, [row for row in (self._carried(table, row) for row in rows) if row])
        if name == "interview_sessions":
            self._stubs("companies", "applicants")
        if name == "jobs":
            self._stubs("companies")
        if name == "job_chunks" and name in self.aside.counts:
            self._vectors()

    def finish(self) -> None:
        """Write what rows of other tables told, set the sequences, compare counts and drop the older tables."""
        mine = {(row["session_id"], row["job_id"]) for row in self._of("interview_session_jobs")}
        fresh = [one for one in self.so_far.session_jobs if (one["session_id"], one["job_id"]) not in mine]
        self._insert(sa.Table("interview_session_jobs", sa.MetaData(), autoload_with=self.connection), fresh)
        for statement in _AFTER:
            self.connection.execute(sa.text(statement))
        for name in TABLES:
            if name != "interview_session_jobs":
                self.connection.execute(sa.text(_SEQUENCE.format(table=name)), {"name": name})
        self._write_set_aside()
        self._compare(len(fresh))
        self._drop()

    def report(self) -> dict[str, Any]:
        """Return what was done."""
        tables = [
            {
                "table": name,
                "before": before,
                "after": _count(self.connection, _q(name)),
                "set_aside": self.whole[name],
            }
            for name, before in self.aside.counts.items()
        ]
        shown = [{key: one[key] for key in ("table", "row_id", "reason")} for one in self.set_aside]
        return {"tables": tables, "made": self.made, "set_aside": shown}

    def _batches(self, name: str) -> Iterator[list[Row]]:
        place = f"{_q(self.aside.schema)}.{_q(name)}"
        read = f"SELECT to_jsonb(t) FROM {place} t ORDER BY 1"
        columns = sa.inspect(self.connection).get_columns(name, schema=self.aside.schema)
        if any(one["name"] == "embedding" for one in columns):
            # Vectors stay in the database.
            read = f"SELECT to_jsonb(t) - 'embedding' FROM {place} t ORDER BY 1"
        rows = list(self.connection.scalars(sa.text(read)))
        for start in range(0, len(rows), _BATCH):
            yield rows[start : start + _BATCH]

    def _of(self, name: str) -> list[Row]:
        return [row for rows in self._batches(name) for row in rows] if name in self.aside.counts else []

    def _carried(self, table: sa.Table, before: Row) -> Row | None:
        """Return a row for the new table; None where it was set aside."""
        row = dict(before)

        def note(column: str, value: Any, reason: str) -> None:
            self._note(table.name, before, f"{column}: {reason}", {column: value}, False)

        try:
            TABLES[table.name](row, self.so_far, note)
        except Homeless as homeless:
            self._note(table.name, before, str(homeless), before, True)
            self.whole[table.name] += 1
            return None
        values = {name: self._fit(table, name, row[name], note) for name in row if name in table.c}
        unknown = {name: value for name, value in row.items() if name not in table.c and value is not None}
        if unknown:
            self._note(table.name, before, f"no such column: {', '.join(sorted(unknown))}", unknown, False)
        if "id" in values:
            self.so_far.ids[table.name].add(values["id"])
        # What is not there takes the default of the new column.
        return {name: value for name, value in values.items() if value is not None}

    def _fit(self, table: sa.Table, name: str, value: Any, note: Any) -> Any:
        try:
            return converted(value, table.c[name].type)
        except Unfit as unfit:
            note(name, value, unfit.reason)
            return unfit.kept

    def _note(self, table: str, row: Row, reason: str, content: Row, whole: bool) -> None:
        given = row.get("id")
        id = None if given is None else str(given)[:100]
        self.set_aside.append({"table": table, "row_id": id, "reason": reason, "content": content, "whole": whole})

    def _insert(self, table: sa.Table, rows: list[Row]) -> None:
        by_columns: dict[frozenset[str], list[Row]] = {}
        for row in rows:
            by_columns.setdefault(frozenset(row), []).append(row)
        if table.name in ("jobs", "personas"):
            self._stubs("companies")
        if table.name == "interview_sessions":
            self._stubs("companies", "applicants")
        for some in by_columns.values():
            self.connection.execute(table.insert(), some)

    def _stubs(self, *names: str) -> None:
        """Make the companies and applicants that rows refer to and nobody has."""
        for name in names:
            table = sa.Table(name, sa.MetaData(), autoload_with=self.connection)
            for id, row in self.so_far.stubs.pop(name, {}).items():
                self.connection.execute(table.insert(), row)
                self.so_far.ids[name].add(id)
                self.made.append(f"{name} {id}: {row['name']}")

    def _vectors(self) -> None:
        """Copy vectors of the right length; set others aside."""
        schema = _q(self.aside.schema)
        columns = {
            one["name"] for one in sa.inspect(self.connection).get_columns("job_chunks", schema=self.aside.schema)
        }
        if "embedding" not in columns:
            return
        # Without an id there is nothing to tell a vector's row by.
        others = f"SELECT id, embedding::text FROM {schema}.job_chunks WHERE vector_dims(embedding::vector) <> 1024"
        for id, vector in self.connection.execute(sa.text(others)):
            reason = "embedding: the column holds 1,024 components; embed it anew"
            self._note("job_chunks", {"id": id}, reason, {"embedding": vector}, False)
        self.connection.execute(
            sa.text(
                f"UPDATE job_chunks n SET embedding = o.embedding::vector FROM {schema}.job_chunks o"
                " WHERE o.id = n.id AND vector_dims(o.embedding::vector) = 1024"
            )
        )

    def _write_set_aside(self) -> None:
        table = sa.Table("set_aside", sa.MetaData(), autoload_with=self.connection)
        rows = [
            {
                "table_name": one["table"],
                "row_id": one["row_id"],
                "whole_row": one["whole"],
                "reason": one["reason"],
                "content": one["content"],
            }
            for one in self.set_aside
        ]
        if rows:
            self.connection.execute(table.insert(), rows)

    def _compare(self, session_jobs: int) -> None:
        """Raise Integrity where a table has not the rows that it should."""
        added = {"interview_session_jobs": session_jobs}
        for one in self.made:
            name = one.split(" ", 1)[0]
            added[name] = added.get(name, 0) + 1
        for name, before in self.aside.counts.items():
            after = _count(self.connection, _q(name))
            if after + self.whole[name] != before + added.get(name, 0):
                raise wherry.Integrity(
                    f"{name} had {before} rows and would have {after}, {self.whole[name]} set aside",
                    where=name,
                    left="nothing was changed",
                )

    def _drop(self) -> None:
        schema = _q(self.aside.schema)
        names = ", ".join(f"{schema}.{_q(name)}" for name in self.aside.counts)
        # Without CASCADE: what others built on the older tables is theirs, and stops this.
        self.connection.execute(sa.text(f"DROP TABLE {names}"))
        for name in self.aside.types:
            self.connection.execute(sa.text(f"DROP TYPE {schema}.{_q(name)}"))
        self.connection.execute(sa.text(f"DROP SCHEMA {schema}"))


_AFTER = (
    # How much of each job can be found.
    "UPDATE jobs j SET index_status = CASE WHEN c.total = c.there THEN 'complete' WHEN c.there = 0 THEN 'failed'"
    " ELSE 'partial' END FROM (SELECT job_id, count(*) AS total, count(embedding) AS there FROM job_chunks"
    " GROUP BY job_id) c WHERE c.job_id = j.id",
    # What was scored before is not scored again.
    "UPDATE interview_sessions s SET evaluation_completed = true WHERE s.status = 'completed' AND EXISTS"
    " (SELECT 1 FROM interview_results r WHERE r.interview_id = s.id AND r.overall_score IS NOT NULL)",
)
_SEQUENCE = "SELECT setval(pg_get_serial_sequence(:name, 'id'), greatest(max(id), 1)) FROM {table} HAVING count(*) > 0"


def _tried(on: Interview) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        with on.database.begin() as connection:
            aside = move_aside(connection)
            connection.exec_driver_sql(_DDL.read_text(encoding="utf-8"))
            found = carry(connection, aside) or {}
            raise _TriedOut
    except _TriedOut:
        return found


def _card_of(spec: str | None) -> dict[str, Any] | None:
    if spec is None:
        return None
    with_it = Interview(embedder=spec)
    try:
        return embedding.card(with_it)
    finally:
        with_it.close()


def _state(on: Interview, card: dict[str, Any] | None) -> None:
    """Record the embedder of vectors that have none recorded."""
    if card is None:
        return
    with on.session() as session:
        unknown = (JobChunk.embedder.is_(None), JobChunk.embedding.is_not(None))
        session.execute(sa.update(JobChunk).where(*unknown).values(embedder=card))


def _types(connection: Connection, schema: str, tables: list[str]) -> list[str]:
    """Return the enumerations of a schema that columns of some tables are of."""
    statement = sa.text(
        "SELECT DISTINCT t.typname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace"
        " JOIN pg_namespace m ON m.oid = c.relnamespace"
        " WHERE t.typtype = 'e' AND n.nspname = :schema AND m.nspname = :schema AND c.relname = ANY(:tables)"
    )
    return list(connection.scalars(statement, {"schema": schema, "tables": tables}))


def _count(connection: Connection, place: str) -> int:
    return connection.scalar(sa.text(f"SELECT count(*) FROM {place}")) or 0


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, default=str)
