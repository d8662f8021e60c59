"""The rows of a query as documents: read only, one by one, with values that JSON has."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest

from wherry.errors import AuthFailed, BadRecord, NotListed, Unreachable, Usage
from wherry.indexing.base import Document, DocumentSource
from wherry.indexing.sources import SqlSource
from wherry.postgres import server

GUIDES = [(1, "혈압 안내", "정상은 120 미만입니다.", 3), (2, "혈당 안내", "100 미만:정상", None), (3, "빈 글", None, 1)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A SQLite file with three guides."""
    path = tmp_path / "안내 #1.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE guides (id INTEGER, title TEXT, body TEXT, grade INTEGER)")
        made.executemany("INSERT INTO guides VALUES (?, ?, ?, ?)", GUIDES)
    made.close()
    return path


@pytest.fixture
def table(pg: psycopg.Connection, name: str) -> str:
    """The name of a PostgreSQL table with three guides."""
    pg.execute(f"CREATE TABLE {name} (id int, title text, body text, grade numeric)")
    with pg.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {name} VALUES (%s, %s, %s, %s)", GUIDES)
    return name


def url_of(pg: psycopg.Connection) -> str:
    """Return the embedded server's address as SQLAlchemy writes it."""
    info = psycopg.conninfo.conninfo_to_dict(server.start())
    return f"postgresql://{info['user']}@/{info['dbname']}?host={info['host']}&port={info.get('port', 5432)}"


def sqlite_source(path: Path, query: str = "SELECT * FROM guides ORDER BY id", **options: object) -> SqlSource:
    """Return a source of a SQLite file."""
    from sqlalchemy.engine import URL

    url = URL.create("sqlite", database=str(path)).render_as_string()
    return SqlSource(url, query, **{"text": "body", **options})  # type: ignore[arg-type]


def documents(source: SqlSource) -> list[Document]:
    """Return the documents of a source."""
    return [item.read(item.bytes()) for item in source.documents()]


def test_rows_are_documents(shop: Path) -> None:
    source = sqlite_source(shop, title="title", metadata=["grade"])
    assert isinstance(source, DocumentSource)
    first, second, third = documents(source)
    assert (first.id, first.title, first.parts[0].text) == ("1", "혈압 안내", "정상은 120 미만입니다.")
    assert first.metadata == {"grade": 3}
    assert second.metadata == {}
    assert third.parts == ()
    assert [item.stamp for item in source.documents()] == [None] * 3


def test_the_bytes_change_with_what_is_used_and_nothing_else(shop: Path) -> None:
    source = sqlite_source(shop)
    before = [item.bytes() for item in source.documents()]
    with sqlite3.connect(shop) as change:
        change.execute("UPDATE guides SET grade = 9, title = '다른'")
        assert [item.bytes() for item in source.documents()] == before
        change.execute("UPDATE guides SET body = '다른 글' WHERE id = 2")
    after = [item.bytes() for item in source.documents()]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]
    change.close()


def test_postgresql_is_read_in_one_snapshot(pg: psycopg.Connection, table: str) -> None:
    url = url_of(pg)
    source = SqlSource(url, f"SELECT * FROM {table} ORDER BY id", text="body", metadata=["grade"])
    rows = source.documents()
    first = next(rows)
    pg.execute(f"INSERT INTO {table} VALUES (4, 'x', 'x', 1)")
    assert [first.id, *(item.id for item in rows)] == ["1", "2", "3"]
    assert len(documents(source)) == 4


@pytest.mark.parametrize(
    "verb", ["INSERT INTO {0} VALUES (9)", "DELETE FROM {0}", "DROP TABLE {0}", "", "-- SELECT\nUPDATE {0}"]
)
def test_what_is_no_query_is_refused(verb: str) -> None:
    with pytest.raises(Usage, match="only reads"):
        SqlSource("sqlite:///x.db", verb.format("guides"))


def test_a_query_that_writes_cannot(pg: psycopg.Connection, table: str, shop: Path) -> None:
    query = f"WITH gone AS (DELETE FROM {table} RETURNING id, body) SELECT id, body FROM gone"
    with pytest.raises(NotListed, match="data-modifying"):
        list(SqlSource(url_of(pg), query, text="body").documents())
    pg.execute(f"CREATE SEQUENCE {table}_n")
    with pytest.raises(NotListed, match="read-only transaction"):
        list(SqlSource(url_of(pg), f"SELECT nextval('{table}_n') AS id, 'x' AS text").documents())
    assert pg.execute(f"SELECT count(*) FROM {table}").fetchone() == (3,)
    before = shop.read_bytes()
    with pytest.raises(NotListed):
        list(sqlite_source(shop, "WITH x AS (SELECT 1) DELETE FROM guides RETURNING id, body").documents())
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]


def test_values_become_what_json_has(pg: psycopg.Connection) -> None:
    query = (
        "SELECT 'a' AS id, '글' AS text, 1.50::numeric AS n, 12345678901234567890::numeric AS big, 7::numeric AS whole,"
        " 'NaN'::numeric AS nan, '2026-03-05'::date AS d, '2026-03-05 10:00+09'::timestamptz AS t, '{1,2}'::int[] AS l,"
        " '{\"가\": [1]}'::jsonb AS j, '00000000-0000-0000-0000-000000000001'::uuid AS u, true AS b, NULL AS none"
    )
    columns = ["n", "big", "whole", "nan", "d", "t", "l", "j", "u", "b", "none"]
    [found] = documents(SqlSource(url_of(pg), query, metadata=columns))
    assert found.metadata.pop("t").startswith("2026-03-05T")
    assert found.metadata == {
        "n": 1.5, "big": "12345678901234567890", "whole": 7, "nan": "NaN", "d": "2026-03-05", "l": [1, 2],
        "j": {"가": [1]}, "u": "00000000-0000-0000-0000-000000000001", "b": True,
    }  # fmt: skip
    with pytest.raises(BadRecord, match="column x of row 'a' is bytes"):
        list(SqlSource(url_of(pg), "SELECT 'a' AS id, 'b' AS text, '\\x00'::bytea AS x", metadata=["x"]).documents())


def test_colons_and_percent_signs_are_part_of_the_query(pg: psycopg.Connection) -> None:
    query = "SELECT 1::text AS id, ':이름 100% :x' || '%s' AS text WHERE 'a:b' LIKE 'a:%'"
    [found] = documents(SqlSource(url_of(pg), query))
    assert found.parts[0].text == ":이름 100% :x%s"


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT NULL AS id, 'x' AS body", "a row has no id"),
        ("SELECT ' ' AS id, 'x' AS body", "a row has no id"),
        ("SELECT 1 AS id, 'x' AS body UNION ALL SELECT '1', 'y'", "two rows have the id '1'"),
    ],
)
def test_ids_must_tell_rows_apart(shop: Path, query: str, what: str) -> None:
    with pytest.raises(BadRecord, match=what):
        list(sqlite_source(shop, query).documents())


def test_a_column_that_is_not_there_is_named(shop: Path) -> None:
    with pytest.raises(Usage, match="no column 본문, level; it returns id, title, body, grade"):
        list(sqlite_source(shop, text="본문", metadata=["level"]).documents())


def test_a_query_that_fails_is_told_without_a_password(shop: Path, pg: psycopg.Connection) -> None:
    with pytest.raises(NotListed, match="no such table: nosuch"):
        list(sqlite_source(shop, "SELECT * FROM nosuch").documents())
    with pytest.raises(NotListed, match="does not exist"):
        list(SqlSource(url_of(pg), "SELECT id, text FROM nosuch").documents())


def test_an_error_in_the_middle_ends_the_listing(pg: psycopg.Connection) -> None:
    query = "SELECT n AS id, (1 / (2500 - n))::text AS text FROM generate_series(1, 3000) n"
    found = []
    with pytest.raises(NotListed, match="division by zero"):
        found.extend(SqlSource(url_of(pg), query).documents())
    assert 1000 <= len(found) < 2500


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotListed, match="no such SQLite file"):
        list(sqlite_source(tmp_path / "없음.db").documents())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "글.db").write_text("이것은 데이터베이스가 아닙니다. " * 100)
    with pytest.raises(NotListed, match="not a database"):
        list(sqlite_source(tmp_path / "글.db", "SELECT * FROM guides").documents())


def test_a_server_that_is_not_there_is_unreachable_and_the_password_hidden() -> None:
    source = SqlSource("postgresql://me:s3cret%2Fpw@127.0.0.1:9/db", "SELECT 1 AS id, 'a' AS text")
    with pytest.raises((Unreachable, AuthFailed)) as caught:
        list(source.documents())
    said = f"{caught.value} {caught.value.to_dict()} {source!r} {source.name}"
    assert "s3cret" not in said
    assert "127.0.0.1" in said


@pytest.mark.parametrize("url", ["", "nothing", "postgresql//me:pw@h/d"])
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Usage) as caught:
        SqlSource(url, "SELECT 1 AS id")
    assert "pw" not in str(caught.value).replace("password", "")


def test_names_differ_by_query_unless_one_is_given() -> None:
    one, other = (SqlSource("sqlite:///a.db", f"SELECT {n} AS id, 'x' AS text") for n in (1, 2))
    assert one.name != other.name
    assert SqlSource("sqlite:///a.db", "SELECT 1", name="상품").name == "상품"
    assert one.parser != SqlSource("sqlite:///a.db", "SELECT 1 AS id", text="t").parser


def test_a_long_result_is_not_held(pg: psycopg.Connection) -> None:
    query = "SELECT generate_series(1, 1000000000) AS id, repeat('가', 1000) AS text"
    rows = SqlSource(url_of(pg), query).documents()
    assert [next(rows).id for _ in range(3)] == ["1", "2", "3"]
    rows.close()
