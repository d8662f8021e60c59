"""The PostgreSQL tables of the measurements, and the raw paths they are measured against."""

from __future__ import annotations

import subprocess

import psycopg
from psycopg.conninfo import make_conninfo

from wherry.postgres import server

DIMENSION = 384
COLUMNS = "id, embedding, text, metadata"
_SHAPE = "(id text PRIMARY KEY, embedding vector({}), text text, metadata jsonb)"
# Random vectors, real-looking Korean text and metadata; 20,000 distinct rows repeated under new ids.
_DISTINCT = """
INSERT INTO {table}
SELECT 'rec-' || lpad(i::text, 9, '0'),
       (SELECT array_agg((random() - 0.5)::real) FROM generate_series(1, {dimension}) WHERE i = i)::vector,
       repeat('건강검진 결과를 읽는 법 ', 8) || i,
       jsonb_build_object('source', 'guide_' || (i % 97) || '.pdf', 'page', i % 40,
                          'category', '간 기능', 'score', 0.25)
FROM generate_series(1, {rows}) i
"""
_REPEATED = """
INSERT INTO {table}
SELECT 'rec-' || lpad(({done} + row_number() OVER ())::text, 9, '0'), embedding, text, metadata
FROM (SELECT * FROM {table} LIMIT {rows}) AS sample
"""


def connect() -> psycopg.Connection:
    """Open a connection to the database of the measurements, outside of any transaction."""
    connection = psycopg.connect(server.start(), autocommit=True)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    return connection


def make(table: str, rows: int, dimension: int = DIMENSION) -> None:
    """Make a source table of `rows` records."""
    with connect() as connection:
        empty(table, dimension)
        distinct = min(rows, 20_000)
        connection.execute(_DISTINCT.format(table=table, rows=distinct, dimension=dimension))
        for done in range(distinct, rows, distinct):
            connection.execute(_REPEATED.format(table=table, done=done, rows=min(distinct, rows - done)))
        connection.execute(f"VACUUM ANALYZE {table}")


def empty(table: str, dimension: int = DIMENSION) -> None:
    """Make an empty table in the shape of the source."""
    with connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"CREATE TABLE {table} {_SHAPE.format(dimension)}")


def drop(*tables: str) -> None:
    """Remove tables."""
    with connect() as connection:
        for table in tables:
            connection.execute(f"DROP TABLE IF EXISTS {table}")


def pipe(source: str, target: str) -> None:
    """Copy a table into another by a raw binary COPY pipe, as fast as a client can hand bytes on."""
    with connect() as reader, connect() as writer:
        out = reader.cursor().copy(f"COPY {source} ({COLUMNS}) TO STDOUT (FORMAT binary)")
        into = writer.cursor().copy(f"COPY {target} ({COLUMNS}) FROM STDIN (FORMAT binary)")
        with out as rows, into as sink:
            for row in rows:
                sink.write(row)


def read(source: str) -> None:
    """Read a table by binary COPY and throw the bytes away."""
    with (
        connect() as reader,
        reader.cursor().copy(f"COPY {source} ({COLUMNS}) TO STDOUT (FORMAT binary)") as rows,
    ):
        for _ in rows:
            pass


def dump_and_restore(source: str, database: str) -> None:
    """Copy a table into another database with pg_dump | pg_restore."""
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database}")
        connection.execute(f"CREATE DATABASE {database}")
    other = make_conninfo(url, dbname=database)
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    folder = server.programs()
    dump = subprocess.Popen([folder / "pg_dump", "-Fc", "-Z0", "-t", source, url], stdout=subprocess.PIPE)
    subprocess.run([folder / "pg_restore", "-d", other], stdin=dump.stdout, check=True)
    if dump.wait() != 0:
        raise RuntimeError("pg_dump failed")
