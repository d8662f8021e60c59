"""What is read for a comparison: by ADBC the same records and rejects as by a scan, and the same errors."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

import wherry
from tests.stores.pgvector.pgtables import run, source
from wherry.errors import NoSuchCollection, Unreachable, WherryError
from wherry.record import Page
from wherry.stores.pgvector import adbc

_ROWS = """INSERT INTO @ SELECT i, ('[' || i || ',1,0.5]')::vector, CASE WHEN i % 7 > 0 THEN '본문 ' || i END
           FROM generate_series(1, 5000) i"""
TABLES = {
    "text and jsonb": (
        "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), text text, metadata jsonb)",
        """INSERT INTO @ VALUES ('a', '[1,2,3]', 'x', '{"a": [1, null, "글"]}'), ('b', '[0,0,0]', NULL, NULL),
           ('c', '[-0,1e-38,3e38]', '', '{}')""",
    ),
    "what no batch can hold": (
        "CREATE TABLE @ (id text PRIMARY KEY, embedding vector, text text, metadata jsonb)",
        """INSERT INTO @ VALUES ('a', '[1,2,3]', 'x', '{}'), ('none', NULL, 'x', '{}'), ('short', '[1,2]', 'x', '{}'),
           ('', '[1,2,3]', 'x', '{}'), ('list', '[1,2,3]', 'x', '[1]'), ('b', '[4,5,6]', 'y', 'null')""",
    ),
    "numbers as keys": (
        "CREATE TABLE @ (id bigint PRIMARY KEY, embedding vector(3), text varchar(20))",
        _ROWS,
    ),
    "16-bit vectors": (
        "CREATE TABLE @ (id uuid PRIMARY KEY, embedding halfvec(3) NOT NULL)",
        "INSERT INTO @ SELECT gen_random_uuid(), '[1,2,3.5]' FROM generate_series(1, 300)",
    ),
    "json as it was written": (
        "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), metadata json)",
        """INSERT INTO @ VALUES ('a', '[1,2,3]', ' {"b":  1, "a": 1e22}'), ('b', '[1,2,3]', NULL)""",
    ),
    "nothing": ("CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), text text, metadata jsonb)", "SELECT 1"),
}


@pytest.fixture
def table(pg: psycopg.Connection, name: str) -> Iterator[str]:
    pg.execute("CREATE EXTENSION IF NOT EXISTS vector")
    yield name
    run(pg, "DROP TABLE IF EXISTS @", name)


def made(pg: psycopg.Connection, name: str, kind: str) -> str:
    create, fill = TABLES[kind]
    run(pg, create, name)
    run(pg, fill, name)
    return f"pgvector:#{name}"


def told(pages: list[Page]) -> tuple[list, list]:
    """Return records, bit by bit, and rejects, each by id."""
    records = [
        (record_id, vector.as_py(), str(vector), text, metadata)
        for page in pages
        for record_id, vector, text, metadata in zip(
            page.records.column("id").to_pylist(),
            page.records.column("vector"),
            page.records.column("text").to_pylist(),
            page.records.column("metadata").to_pylist(),
            strict=True,
        )
    ]
    return sorted(records), sorted((r.id, r.reason, r.detail) for page in pages for r in page.rejects)


@pytest.mark.parametrize("kind", TABLES)
def test_a_comparison_reads_what_a_scan_reads(pg: psycopg.Connection, table: str, kind: str) -> None:
    with source(made(pg, table, kind)) as store:
        compared = list(store.scan_to_compare(1000))
        assert told(compared) == told(list(store.scan()))
    assert all(page.sealed is not None and isinstance(page.sealed.rows, pa.Table) for page in compared)
    assert max((page.read for page in compared), default=0) <= 1000


@pytest.mark.parametrize("kind", TABLES)
def test_rows_that_are_sound_are_equal_unseen(pg: psycopg.Connection, table: str, kind: str) -> None:
    """Rows may be called sound without decoding them only where none of them is a reject."""
    with source(made(pg, table, kind)) as store:
        one, other = list(store.scan_to_compare()), list(store.scan_to_compare())
    for mine, theirs in zip(one, other, strict=True):
        assert mine.sealed is not None
        assert theirs.sealed is not None
        assert mine.sealed.equals(theirs.sealed)
        assert not (mine.sealed.sound(mine.sealed.rows) and mine.rejects)


def test_rows_of_another_table_take_the_form_of_a_copy(pg: psycopg.Connection, table: str) -> None:
    """What differs in place alone is compared as rows, whichever client brought them."""
    with source(made(pg, table, "text and jsonb")) as store:
        (compared,), (scanned,) = store.scan_to_compare(), store.scan()
    assert compared.native is not None
    assert Page(compared.native).is_exactly(scanned.native)


def test_fields_are_told_apart_by_what_they_are(pg: psycopg.Connection, table: str) -> None:
    """A text and a JSON document of the same bytes are not the same record."""
    other = f"{table}_other"
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), text text)", table)
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), metadata json)", other)
    for name in (table, other):
        run(pg, "INSERT INTO @ VALUES ('a', '[1,2,3]', '{}')", name)
    try:
        found = wherry.verify(f"pgvector:#{table}", f"pgvector:#{other}")
    finally:
        run(pg, "DROP TABLE @", other)
    assert {d.field for d in found.differences} == {"text", "metadata"}


def test_it_is_read_as_of_one_moment(pg: psycopg.Connection, table: str) -> None:
    address = made(pg, table, "numbers as keys")
    with source(address) as store:
        pages = store.scan_to_compare(1000)
        read = next(pages).read
        run(pg, "DELETE FROM @ WHERE id > 100", table)
        assert read + sum(page.read for page in pages) == 5000


def test_a_scan_that_is_left_half_way_ends_its_session(pg: psycopg.Connection, table: str) -> None:
    with source(made(pg, table, "numbers as keys")) as store:
        pages = store.scan_to_compare(1000)
        next(pages)
        assert sessions(pg, table) == 1
        pages.close()  # type: ignore[attr-defined]
        until = time.monotonic() + 10
        while sessions(pg, table) and time.monotonic() < until:
            time.sleep(0.02)
        assert sessions(pg, table) == 0


def sessions(pg: psycopg.Connection, table: str, act: str = "pid") -> int:
    """Do something to each session that reads the table by a COPY; return how many there are."""
    asked = f"SELECT {act} FROM pg_stat_activity WHERE query LIKE 'COPY (%%' || %s || '%%' AND pid <> pg_backend_pid()"
    return len(pg.execute(asked, [table]).fetchall())


@pytest.mark.parametrize("act", ["pg_terminate_backend(pid)", "pg_cancel_backend(pid)"])
def test_a_reading_that_is_cut_off_says_so(pg: psycopg.Connection, table: str, act: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3), text text)", table)
    run(pg, "INSERT INTO @ SELECT i, '[1,2,3]', repeat('x', 2000) FROM generate_series(1, 20000) i", table)
    with source(f"pgvector:#{table}") as store:
        pages = store.scan_to_compare()
        next(pages)
        assert sessions(pg, table, act) == 1
        with pytest.raises(Unreachable) as told:
            list(pages)
    assert "PostgreSQL" in told.value.what
    assert "\n" not in told.value.what
    assert "again" in told.value.next


def test_a_table_that_vanished_is_told_as_ever(pg: psycopg.Connection, table: str) -> None:
    with source(made(pg, table, "numbers as keys")) as store:
        run(pg, "DROP TABLE @", table)
        with pytest.raises(NoSuchCollection):
            list(store.scan_to_compare())


def test_an_error_keeps_to_what_the_server_said(pg: psycopg.Connection, table: str) -> None:
    """The client repeats the whole statement; a person is told what went wrong."""
    with source(made(pg, table, "numbers as keys")) as store:
        run(pg, "ALTER TABLE @ RENAME COLUMN text TO words", table)
        with pytest.raises(WherryError) as told:
            list(store.scan_to_compare())
    assert told.value.what == 'PostgreSQL: column "text" does not exist'


def test_where_adbc_is_not_installed_all_is_scanned(
    pg: psycopg.Connection, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adbc, "client", lambda: None)
    with source(made(pg, table, "text and jsonb")) as store:
        (page,) = store.scan_to_compare()
    assert page.sealed is not None
    assert isinstance(page.sealed.rows, pa.ChunkedArray)
