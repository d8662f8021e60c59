"""Versions: proving that a row was not touched, from what PostgreSQL keeps with every row anyway.

The token of a row is (xmin, ctid): the transaction that wrote this version of the row, and its place in
the table's file. A changed row is a new version, at another place or by another transaction. Within one
epoch an equal token means the same version, because of what the epoch contains:

* A place is reused only after VACUUM removed what was there, and only transactions that end after that
  can write to it. They have other ids: a transaction id comes back after 2^32 transactions only, so a
  server that has used up its first 2^32 offers no versions at all.
* A rewrite of the table (VACUUM FULL, CLUSTER, TRUNCATE, most ALTER TABLE) moves rows and keeps xmin, but
  gives the table another file: the file nodes of the table and of its partitions are in the epoch.
* A database that was made anew, restored or promoted counts on from an older state and may hand the same
  ids out again: the identifier of the cluster, the timeline and the oids are in the epoch.
* After a crash, transactions that had not reached the disk are forgotten and their ids used again: a
  crash resets the server's statistics, and the time of that reset is in the epoch.
* Columns can be exchanged: the mapping of columns, by their numbers and types, is in the epoch.

What no server can see is its files being put back to an earlier state after a clean shutdown. For the
embedded server the identity of such a file is in the epoch; for others, the time the server was started.
Standbys, foreign tables, other storage engines and computed columns offer no versions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wherry.postgres import server
from wherry.stores.pgvector.catalog import Column, Table

_XIDS_BEFORE_REUSE = 2**32
_CLUSTER = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS cluster,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database,
       (SELECT stats_reset FROM pg_stat_bgwriter)::text AS forgotten,
       CASE WHEN pg_is_in_recovery() THEN ''
            ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END AS timeline,
       pg_postmaster_start_time()::text AS started, pg_is_in_recovery() AS standby,
       pg_snapshot_xmax(pg_current_snapshot())::text AS next
"""
_FILES = """
WITH RECURSIVE parts AS (
  SELECT $1::bigint::oid AS oid UNION
  SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON i.inhparent = p.oid)
SELECT string_agg(c.oid || ':' || c.relfilenode, ',' ORDER BY c.oid) AS files,
       bool_and(c.relkind = 'p' OR c.relkind = 'r' AND a.amname = 'heap') AS heap, count(*) AS parts
FROM parts JOIN pg_class c ON c.oid = parts.oid LEFT JOIN pg_am a ON a.oid = c.relam
"""


@dataclass(frozen=True)
class State:
    """The state of the server and of a table's files, as the two queries found it."""

    cluster: dict[str, Any]
    files: dict[str, Any]

    @property
    def comparable(self) -> bool:
        """Whether the rows of the table have tokens that mean anything."""
        used_up = int(self.cluster["next"]) >= _XIDS_BEFORE_REUSE
        return self.files["heap"] is not False and not self.cluster["standby"] and not used_up


def state(connection: psycopg.Connection, table: Table) -> State:
    """Return what decides whether versions can be compared. The table must exist."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cluster = cursor.execute(_CLUSTER).fetchone()
        files = cursor.execute(_FILES, [table.oid]).fetchone()
    return State(cluster or {}, files or {})


def detectable(found: State, table: Table) -> bool:
    """Tell whether the tokens of a table prove what did not change."""
    # A plain table with children has rows whose tokens do not tell them apart.
    mixed = table.kind == "r" and found.files["parts"] > 1
    return found.comparable and not mixed and not any(column.generated == "v" for column in table.columns)


def epoch(found: State, table: Table, embedded: bool) -> str:
    """Return a text that changes whenever tokens from before and after may not be compared."""
    cluster = found.cluster
    columns = [f"{c.number}:{c.type}:{c.modifier}" if c else "-" for c in _mapping(table)]
    parts = [
        cluster["cluster"], cluster["timeline"], cluster["database"], cluster["forgotten"],
        _folder_mark() if embedded else cluster["started"], found.files["files"], *columns,
    ]  # fmt: skip
    return "pg1-" + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def _mapping(table: Table) -> tuple[Column | None, ...]:
    return table.id, table.vector, table.text, table.metadata


def _folder_mark() -> str:
    """Return the identity of a file of the embedded server that is written once, and by a restore again."""
    found = (server.data_folder() / "PG_VERSION").stat()
    return f"{found.st_ino}:{found.st_ctime_ns}"
