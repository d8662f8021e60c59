"""What goes wrong is named, leaves nothing half done, and shows no secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.stores.pgvector.pgtables import SPACE, batch, read, records, run, source, target
from wherry.address import Address
from wherry.errors import AuthFailed, BadAddress, Busy, DiskFull, NoSuchCollection, Rejected, Unreachable
from wherry.postgres import server
from wherry.postgres.copy import messages
from wherry.postgres.failures import translated
from wherry.postgres.link import VARIABLE, server_of
from wherry.stores.base import Index
from wherry.stores.pgvector import OPTIONS
from wherry.stores.registry import open_source, open_target

SECRET = "p%40ss/w:rd"


@pytest.fixture
def where(pg: psycopg.Connection, name: str) -> str:
    """A table of Wherry's making."""
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 3)
    return f"pgvector:#{name}"


def terminate(pg: psycopg.Connection) -> None:
    """End every connection of Wherry."""
    pg.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'wherry'")


def test_a_batch_cut_off_leaves_nothing_and_can_be_sent_again(pg: psycopg.Connection, name: str, where: str) -> None:
    wide = batch(*[(str(n), [1, 2, n], {"x": "x" * 100_000}) for n in range(400)])
    with target(where) as store:
        # A lock makes the batch wait in the middle of the server's work.
        with psycopg.connect(pg.info.dsn) as blocker:
            run(blocker, "LOCK TABLE @ IN ACCESS EXCLUSIVE MODE", name)
            killer = threading.Timer(0.3, terminate, [pg])
            killer.start()
            with pytest.raises(Unreachable) as caught:
                store.upsert(wide, absent=True)
            killer.join()
        assert caught.value.retryable
        assert list(store.ids()) == []
        store.upsert(wide, absent=True)
        assert sum(len(ids) for ids in store.ids()) == 400


def test_a_scan_cut_off_is_an_error(pg: psycopg.Connection, where: str) -> None:
    with target(where) as store:
        store.upsert(batch(*[(str(n), [1, 2, n], {"x": "x" * 200_000}) for n in range(100)]), absent=True)
        scan = store.scan(1)
        next(scan)
        terminate(pg)
        with pytest.raises(Unreachable):
            list(scan)
        assert len(records(store)) == 100


def test_a_full_disk_is_named(pg: psycopg.Connection) -> None:
    with pytest.raises(DiskFull), translated("here"):
        pg.execute("COPY (SELECT repeat('x', 100000)) TO '/dev/full'")


def test_a_refused_row_is_named_without_its_content(pg: psycopg.Connection, name: str, where: str) -> None:
    run(pg, "ALTER TABLE @ ADD CHECK (text <> 'text of b')", name)
    with target(where) as store:
        for absent in (True, False):
            with pytest.raises(Rejected) as caught:
                store.upsert(batch(("a", [1, 2, 3]), ("b", [1, 2, 3])), absent=absent)
            assert "text of b" not in str(caught.value)
        assert "record 'b'" in str(caught.value) or not absent
        assert read(where) == {}


def test_a_wrong_promise_replaces(pg: psycopg.Connection, where: str) -> None:
    with target(where) as store:
        store.upsert(batch(("a", [1, 2, 3])), absent=True)
        store.upsert(batch(("a", [4, 5, 6]), ("b", [1, 2, 3])), absent=True)
        with pytest.raises(Rejected, match="second time"):
            store.upsert(batch(("c", [1, 2, 3]), ("c", [4, 5, 6])), absent=True)
    assert {i: v for i, (v, _, _) in read(where).items()} == {"a": [4, 5, 6], "b": [1, 2, 3]}


def test_a_table_dropped_meanwhile(pg: psycopg.Connection, name: str, where: str) -> None:
    with source(where) as store:
        run(pg, "DROP TABLE @", name)
        with pytest.raises(NoSuchCollection):
            list(store.scan())


def test_a_source_cannot_write(pg: psycopg.Connection, name: str, where: str) -> None:
    with (
        source(where) as store,
        store._reader.begin() as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        run(connection, "DELETE FROM @", name)


def test_the_holder_is_named_and_the_hold_outlives_the_server(pg: psycopg.Connection, where: str) -> None:
    with target(where) as first, target(where) as second:
        with first.exclusive():
            with pytest.raises(Busy, match=r"process \d+ of the server, wherry"), second.exclusive():
                pass
            terminate(pg)
            first.upsert(batch(("a", [1, 2, 3])))
            with pytest.raises(Busy), second.exclusive():
                pass
        with second.exclusive():
            pass


def test_a_hold_is_free_before_its_connection_has_ended(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[psycopg.Connection] = []
    with target(where) as first, target(where) as second, monkeypatch.context() as slow:
        # The server notices the end of a connection when it comes to it.
        slow.setattr(psycopg.Connection, "close", lambda connection: left.append(connection))
        with first.exclusive():
            pass
        with second.exclusive():
            pass
    assert len(left) == 2
    for connection in left:
        connection.close()


def test_a_hold_lost_to_another_run_stops_the_writer(pg: psycopg.Connection, where: str) -> None:
    with target(where) as first, target(where) as second, first.exclusive():
        terminate(pg)
        with second.exclusive(), pytest.raises(Busy):
            first.upsert(batch(("a", [1, 2, 3])))
    assert read(where) == {}


@pytest.fixture
def login(pg: psycopg.Connection, name: str) -> Iterator[str]:
    """A user with a password and no rights."""
    pg.execute(f'CREATE ROLE "{name}" LOGIN')
    yield name
    pg.execute(f'DROP OWNED BY "{name}"')
    pg.execute(f'DROP ROLE "{name}"')


def test_missing_rights_are_told(
    pg: psycopg.Connection, where: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = pg.info.host, pg.info.port
    monkeypatch.setenv(VARIABLE, f"postgresql+psycopg://{login}@/wherry?host={host}&port={port}")
    with source(where) as store, pytest.raises(AuthFailed, match="permission denied"):
        list(store.scan())
    with pytest.raises(AuthFailed, match="permission denied"), target(f"{where}x") as store:
        store.prepare(SPACE, Index(), 1)
    monkeypatch.setenv(VARIABLE, f"postgresql://nobody@/wherry?host={host}&port={port}")
    with pytest.raises((AuthFailed, Unreachable), match="nobody"):
        open_source(where)


def test_rights_on_one_table_are_enough(
    pg: psycopg.Connection, name: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.execute(f'CREATE SCHEMA "{name}s"')
    pg.execute(f'CREATE TABLE "{name}s".docs (id text PRIMARY KEY, v vector(3), text text)')
    pg.execute(f'GRANT USAGE ON SCHEMA "{name}s" TO "{login}"')
    pg.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{name}s".docs TO "{login}"')
    pg.execute(f'GRANT TEMP ON DATABASE wherry TO "{login}"')
    host, port = pg.info.host, pg.info.port
    monkeypatch.setenv(VARIABLE, f"postgresql://{login}@/wherry?host={host}&port={port}")
    with target(f"pgvector:#{name}s.docs") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("a", [1, 2, 3])))
        store.finish(SPACE, Index())
        assert [r.id for r in records(store)] == ["a"]


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/db#docs",
        f"pgvector://u:{SECRET}@127.0.0.1:1/db#docs?sslmode=disable&vector=v",
        "pgvector://u@127.0.0.1:1/db#docs?password=p%40ss/w:rd",
    ],
    ids=["postgresql", "pgvector", "option"],
)
def test_an_unreachable_server_shows_no_password(address: str) -> None:
    with pytest.raises(Unreachable) as caught:
        open_source(address)
    for text in (str(caught.value), repr(caught.value), str(caught.value.to_dict())):
        assert "p@ss" not in text
        assert SECRET not in text
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://h/db#docs?vektor=v", "vektor"),
        ("pgvector:#docs?sslmode=require", "sslmode"),
        ("pgvector:here#docs", "no PostgreSQL address"),
        ("postgresql://h/db%zz#docs", "no PostgreSQL address"),
        ("pgvector:", "names no table"),
        ("pgvector:#" + "n" * 64, "longer than 63 bytes"),
        ("pgvector:#docs?schema=" + "n" * 64, "longer than 63 bytes"),
        ("pgvector:#docs?metric=near", "unknown metric"),
    ],
)
def test_bad_addresses(pg: psycopg.Connection, address: str, words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        open_target(address)


def test_the_drivers_options_reach_the_driver() -> None:
    address = Address.parse("postgresql://u@h:5/db?sslmode=require#docs?vector=v&connect_timeout=3")
    found = server_of(address, OPTIONS)
    assert set((found.conninfo or "").split()) == {
        "user=u", "host=h", "port=5", "dbname=db", "sslmode=require", "connect_timeout=3",
    }  # fmt: skip


def test_source_of_a_server_that_was_never_made(wherry_home: object) -> None:
    with pytest.raises(NoSuchCollection, match="not made yet"):
        open_source("pgvector:#docs")
    assert not server.was_made()


def test_an_error_in_the_middle_of_a_copy_is_raised(pg: psycopg.Connection) -> None:
    statement = "COPY (SELECT 1 / (5000 - n) FROM generate_series(1, 9000) n) TO STDOUT (FORMAT binary)"
    with pytest.raises(psycopg.errors.DivisionByZero), pg.cursor().copy(statement) as copy:
        list(messages(copy))
    assert pg.execute("SELECT 1").fetchone() == (1,)


def test_messages_are_those_of_the_driver(pg: psycopg.Connection) -> None:
    for rows in (0, 1, 5000):
        statement = f"COPY (SELECT n, repeat('x', n) FROM generate_series(1, {rows}) n) TO STDOUT (FORMAT binary)"
        with pg.cursor().copy(statement) as copy:
            expected = list(map(bytes, copy))
        with pg.cursor().copy(statement) as copy:
            assert list(map(bytes, messages(copy))) == expected
        assert pg.execute("SELECT 1").fetchone() == (1,)
