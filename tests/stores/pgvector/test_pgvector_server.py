"""The embedded server: shared by processes, stopped by the last one, wherever its folder is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from wherry.postgres import server
from wherry.postgres.link import VARIABLE, Server
from wherry.stores.pgvector import probe

_USER = """
import psycopg, sys
from wherry.postgres import server
connection = psycopg.connect(server.start())
print("up", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder. pytest's own are closed to the user that the server runs as under root."""
    with tempfile.TemporaryDirectory(prefix="wherry-server-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def user(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server of a state folder, until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", _USER],
        env=os.environ | {"WHERRY_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_the_last_process_stops_the_server_and_the_dead_do_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a socket's path may be, with what a shell would trip over.
    home = folder / ("long " * 22)
    monkeypatch.setenv("WHERRY_HOME", str(home))
    assert "not started yet" in probe().detail
    with user(home) as first, user(home) as second:
        assert "running" in probe().detail
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
        assert not server.stop()
        first.kill()
        first.wait()
        assert server.is_running()
        second.communicate("\n", timeout=60)
        assert not server.is_running()
    assert "stopped" in probe().detail


def test_a_killed_server_is_started_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_HOME", str(folder / "home"))
    server.start()
    os.kill(int((server.data_folder() / "postmaster.pid").read_text().split()[0]), 9)
    deadline = time.monotonic() + 20
    while server.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    assert server.stop()


def test_probe_tells_of_the_server_that_is_named(pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"postgresql://postgres@/wherry?host={pg.info.host}&port={pg.info.port}")
    assert probe().detail.startswith("PostgreSQL 18")
    assert probe().detail.endswith(f"({VARIABLE})")
    monkeypatch.setenv(VARIABLE, "postgresql://127.0.0.1:1/nothing")
    assert not probe().usable


@pytest.mark.parametrize("given", [[], [b""], [b'\x00\\"{},', None, bytes(range(256))], ["글", None, '{",\\']])
def test_lists_arrive_as_they_were_given(given: list[bytes | str | None]) -> None:
    kind = "text" if any(isinstance(item, str) for item in given) else "bytea"
    with Server(None, "pgvector:#lists").connect() as connection:
        rows = connection.execute(f"SELECT * FROM unnest($1::{kind}[])", [given]).fetchall()
        assert [row[0] for row in rows] == given
        (arrived,) = connection.execute(f"SELECT $1::{kind}[]", [given]).fetchone() or ()
        assert arrived == given
