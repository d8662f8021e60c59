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
from typing import Any, LiteralString

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
_WRITTEN = """
WITH found AS (
  SELECT count(*) AS held, array_agg({id}) FILTER (
    WHERE age(xmin) <= (SELECT age($1::text::xid)) AND xmin <> ALL ($2::text[]::xid[])) AS ids FROM {table})
SELECT held, CASE WHEN coalesce(cardinality(ids), 0) <= {most} THEN coalesce(ids, ARRAY[]::text[]) END FROM found
"""
_MOST_TOUCHED = "greatest(1000, held / 4)"
_MOST_OTHERS = "100000"


@dataclass(frozen=True)
class State:
    """What decides whether rows can be told apart by their transactions: of the server, and of a table's files.

    cluster, files: as the two queries found it. embedded: whether the server's own files are within reach.
    """

    table: Table
    embedded: bool
    cluster: dict[str, Any]
    files: dict[str, Any]

    @property
    def detectable(self) -> bool:
        """Whether marks of the table prove what did not change."""
        used_up = int(self.cluster["next"]) >= _XIDS_BEFORE_REUSE
        comparable = self.files["heap"] is not False and not self.cluster["standby"] and not used_up
        # A plain table with children shows their rows too, and their files are not looked at.
        mixed = self.table.kind == "r" and self.files["parts"] > 1
        return comparable and not mixed and not any(column.generated == "v" for column in self.table.columns)

    @property
    def epoch(self) -> str:
        """A text that changes whenever a mark from before means nothing any more."""
        cluster, table = self.cluster, self.table
        columns = [f"{c.number}:{c.type}:{c.modifier}" if c else "-" for c in _mapping(table)]
        parts = [
            cluster["cluster"], cluster["timeline"], cluster["database"], cluster["forgotten"],
            _folder_mark() if self.embedded else cluster["started"], self.files["files"], *columns,
            *([table.scope.value] if table.scope else []),
        ]  # fmt: skip
        return "pg2-" + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]

    @property
    def next(self) -> int:
        """The transaction that nobody has seen anything of."""
        return int(self.cluster["next"])

    def mark(self) -> str | None:
        """Return a mark of this moment, None where later writes could not be told."""
        return f"{self.epoch} {self.cluster['oldest']}" if self.detectable else None

    def transaction(self, mark: str) -> int | None:
        """Return the transaction of a mark; None where it means nothing here and now."""
        before, _, transaction = mark.partition(" ")
        if not self.detectable or before != self.epoch or not transaction.isdigit():
            return None
        # A mark of the future: the server went back to an earlier state unnoticed.
        # One further back than half of all ids: `age` would take what came later for older.
        return int(transaction) if 0 <= self.next - int(transaction) < _XIDS_BEFORE_REUSE // 2 else None


def state(connection: psycopg.Connection, table: Table, embedded: bool) -> State:
    """Return the state of this moment. The table must exist."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cluster = cursor.execute(_CLUSTER).fetchone()
        files = cursor.execute(_FILES, [table.oid]).fetchone()
    return State(table, embedded, cluster or {}, files or {})


def touched(connection: psycopg.Connection, found: State, mark: str) -> Touched | None:
    """Return what was written since a mark; None where that cannot be told, or is much."""
    transaction = found.transaction(mark)
    if transaction is None:
        return None
    held, ids = _written(connection, found.table, transaction, [], _MOST_TOUCHED)
    return None if ids is None else Touched(held, pa.array(ids, type=pa.string()))


def others(connection: psycopg.Connection, found: State, mark: str, held: int, own: OwnWrites) -> Others | None:
    """Return what was written since a mark, when there were `held` rows, by no transaction of ours; None = in doubt.

    A trigger or a rule may write more in our transactions than we did. Nothing is looked at where all were ours.
    """
    transaction = found.transaction(mark)
    if transaction is None or not own.complete or found.files["reacts"]:
        return None
    grown = own.since(transaction, found.next)
    if grown is not None:
        return Others(held + grown, [])
    return Others(*_written(connection, found.table, transaction, list(own.grown), _MOST_OTHERS))


def _written(
    connection: psycopg.Connection, table: Table, since: int, but: list[int], most: LiteralString
) -> tuple[int, list[str] | None]:
    """Return how many rows there are, and the ids of those written since a transaction, some transactions left out.

    most: how many ids are listed at most, in SQL; None in their place when there are more.
    """
    query = sql.SQL(_WRITTEN).format(id=selected(table.id, table.id.quoted), table=table.rows, most=sql.SQL(most))
    held, ids = connection.execute(query, [str(since), list(map(str, but))]).fetchone() or (0, None)
    return int(held), None if ids is None else [i for i in ids if i is not None]


def _mapping(table: Table) -> tuple[Column | None, ...]:
    return table.id, table.vector, table.text, table.metadata, *table.fields


def _folder_mark() -> str:
    """Return the identity of a file of the embedded server that is written once, and by a restore again."""
    found = (server.data_folder() / "PG_VERSION").stat()
    return f"{found.st_ino}:{found.st_ctime_ns}"
