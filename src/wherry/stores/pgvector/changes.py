"""Marks: telling which rows were not touched, from what PostgreSQL keeps with every row anyway.

Every version of a row carries the transaction that wrote it (xmin). A mark is the oldest transaction that
was still running when it was taken: what was committed by then has an older one, so a row whose xmin is
older than the mark was there when the mark was taken, exactly as it is now. Transactions that were
running then, and their subtransactions, are not older, so what they commit later counts as touched.
Within one epoch that is a proof, because of what the epoch contains:

* A transaction id comes back after 2^32 transactions: a server that has used up its first 2^32 gives no
  marks at all.
* A rewrite of the table (VACUUM FULL, CLUSTER, TRUNCATE, most ALTER TABLE) gives it another file: the
  file nodes of the table and of its partitions are in the epoch.
* A database that was made anew, restored or promoted counts on from an older state and may hand the same
  ids out again: the identifier of the cluster, the timeline and the oids are in the epoch.
* After a crash, transactions that had not reached the disk are forgotten and their ids used again: a
  crash resets the server's statistics, and the time of that reset is in the epoch.
* Columns can be exchanged: the mapping of columns, by their numbers and types, is in the epoch.

What no server can see is its files being put back to an earlier state after a clean shutdown. For the
embedded server the identity of such a file is in the epoch; for others, the time the server was started.
Standbys, foreign tables, other storage engines and computed columns give no marks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import dict_row

from wherry.postgres import server
from wherry.stores.base import Others, Touched
from wherry.stores.pgvector.catalog import Column, Table
from wherry.stores.pgvector.keys import selected
from wherry.stores.pgvector.own import OwnWrites

_XIDS_BEFORE_REUSE = 2**32
_CLUSTER = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS cluster,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database,
       (SELECT stats_reset FROM pg_stat_bgwriter)::text AS forgotten,
       CASE WHEN pg_is_in_recovery() THEN ''
            ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END AS timeline,
       pg_postmaster_start_time()::text AS started, pg_is_in_recovery() AS standby,
       pg_snapshot_xmin(pg_current_snapshot())::text AS oldest,
       pg_snapshot_xmax(pg_current_snapshot())::text AS next
"""
_FILES = """
WITH RECURSIVE parts AS (
  SELECT $1::bigint::oid AS oid UNION
  SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON i.inhparent = p.oid)
SELECT string_agg(c.oid || ':' || c.relfilenode, ',' ORDER BY c.oid) AS files,
       bool_and(c.relkind = 'p' OR c.relkind = 'r' AND a.amname = 'heap') AS heap, count(*) AS parts,
       bool_or(c.relhastriggers OR c.relhasrules) AS reacts
FROM parts JOIN pg_class c ON c.oid = parts.oid LEFT JOIN pg_am a ON a.oid = c.relam
"""
# Ids are sent only when they are few: reading many rows is faster in one scan than by id. `age` counts
# back from the same transaction throughout, so that what begins meanwhile shifts nothing.
_TOUCHED = """
WITH found AS (
  SELECT count(*) AS held, count(*) FILTER (WHERE age(xmin) <= (SELECT age($1::text::xid))) AS written,
         array_agg({id}) FILTER (WHERE age(xmin) <= (SELECT age($1::text::xid))) AS ids FROM {table})
SELECT held, CASE WHEN written <= greatest(1000, held / 4) THEN coalesce(ids, ARRAY[]::text[]) END FROM found
"""
# The same of what was written by nobody of some transactions.
_OTHERS = """
WITH found AS (
  SELECT count(*) AS held, array_agg({id}) FILTER (
    WHERE age(xmin) <= (SELECT age($1::text::xid)) AND xmin <> ALL ($2::text[]::xid[])) AS ids FROM {table})
SELECT held, CASE WHEN coalesce(cardinality(ids), 0) <= {most} THEN coalesce(ids, ARRAY[]::text[]) END FROM found
"""
_MOST_OTHERS = 100_000


@dataclass(frozen=True)
class State:
    """The state of the server and of a table's files, as the two queries found it."""

    cluster: dict[str, Any]
    files: dict[str, Any]

    @property
    def comparable(self) -> bool:
        """Whether the transactions of the rows mean anything."""
        used_up = int(self.cluster["next"]) >= _XIDS_BEFORE_REUSE
        return self.files["heap"] is not False and not self.cluster["standby"] and not used_up


def state(connection: psycopg.Connection, table: Table) -> State:
    """Return what decides whether rows can be told apart by their transactions. The table must exist."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cluster = cursor.execute(_CLUSTER).fetchone()
        files = cursor.execute(_FILES, [table.oid]).fetchone()
    return State(cluster or {}, files or {})


def detectable(found: State, table: Table) -> bool:
    """Tell whether marks of a table prove what did not change."""
    # A plain table with children shows their rows too, and their files are not looked at.
    mixed = table.kind == "r" and found.files["parts"] > 1
    return found.comparable and not mixed and not any(column.generated == "v" for column in table.columns)


def epoch(found: State, table: Table, embedded: bool) -> str:
    """Return a text that changes whenever a mark from before means nothing any more."""
    cluster = found.cluster
    columns = [f"{c.number}:{c.type}:{c.modifier}" if c else "-" for c in _mapping(table)]
    parts = [
        cluster["cluster"], cluster["timeline"], cluster["database"], cluster["forgotten"],
        _folder_mark() if embedded else cluster["started"], found.files["files"], *columns,
        *([table.scope.value] if table.scope else []),
    ]  # fmt: skip
    return "pg2-" + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def mark(found: State, table: Table, embedded: bool) -> str | None:
    """Return a mark of this moment, None where later writes could not be told."""
    return f"{epoch(found, table, embedded)} {found.cluster['oldest']}" if detectable(found, table) else None


def touched(connection: psycopg.Connection, found: State, table: Table, embedded: bool, mark: str) -> Touched | None:
    """Return what was written since a mark; None where that cannot be told, or is much."""
    transaction = _transaction(found, table, embedded, mark)
    if transaction is None:
        return None
    query = sql.SQL(_TOUCHED).format(id=selected(table.id, table.id.quoted), table=table.rows)
    held, ids = connection.execute(query, [str(transaction)]).fetchone() or (0, None)
    if ids is None:
        return None
    return Touched(int(held), pa.array([i for i in ids if i is not None], type=pa.string()))


def others(
    connection: psycopg.Connection, found: State, table: Table, embedded: bool, mark: str, held: int, own: OwnWrites
) -> Others | None:
    """Return what was written since a mark, when there were `held` rows, by no transaction of ours; None = in doubt.

    A trigger or a rule may write more in our transactions than we did. Nothing is looked at where all were ours.
    """
    transaction = _transaction(found, table, embedded, mark)
    if transaction is None or not own.complete or found.files["reacts"]:
        return None
    grown = own.since(transaction, int(found.cluster["next"]))
    if grown is not None:
        return Others(held + grown, [])
    query = sql.SQL(_OTHERS).format(
        id=selected(table.id, table.id.quoted), table=table.rows, most=sql.Literal(_MOST_OTHERS)
    )
    count, ids = connection.execute(query, [str(transaction), list(map(str, own.grown))]).fetchone() or (0, None)
    return Others(int(count), None if ids is None else [i for i in ids if i is not None])


def _transaction(found: State, table: Table, embedded: bool, mark: str) -> int | None:
    """Return the transaction of a mark; None where it means nothing here and now."""
    before, _, transaction = mark.partition(" ")
    if not detectable(found, table) or before != epoch(found, table, embedded) or not transaction.isdigit():
        return None
    # A mark of the future: the server went back to an earlier state unnoticed.
    # One further back than half of all ids: `age` would take what came later for older.
    since = int(found.cluster["next"]) - int(transaction)
    return int(transaction) if 0 <= since < _XIDS_BEFORE_REUSE // 2 else None


def _mapping(table: Table) -> tuple[Column | None, ...]:
    return table.id, table.vector, table.text, table.metadata, *table.fields


def _folder_mark() -> str:
    """Return the identity of a file of the embedded server that is written once, and by a restore again."""
    found = (server.data_folder() / "PG_VERSION").stat()
    return f"{found.st_ino}:{found.st_ctime_ns}"
