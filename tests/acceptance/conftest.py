"""What the acceptance tests share: the command, one embedded server, and an empty place per engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.cli.commands import Said, Wherry
from wherry.cli import main
from wherry.postgres import server


@pytest.fixture
def pg(shared_home: Path) -> Iterator[psycopg.Connection]:
    """A connection of the administrator, in autocommit mode, to the embedded server."""
    with psycopg.connect(server.start(), autocommit=True) as connection:
        # These tests end no machine: what the server would do for that is time they need not spend.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection


@pytest.fixture
def name() -> str:
    """The name of a collection that nobody made yet."""
    return f"t{uuid4().hex[:10]}"


@pytest.fixture(params=["pgvector", "chroma"])
def place(request: pytest.FixtureRequest, pg: psycopg.Connection, name: str, tmp_path: Path) -> str:
    """The address of a collection that is not there yet, in each of the two engines."""
    return f"pgvector:#{name}" if request.param == "pgvector" else f"chroma:{tmp_path}/chroma#{name}"


@pytest.fixture
def wherry(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Wherry:
    """Return the command, run inside this process (memory collections live that long)."""
    monkeypatch.delenv("WHERRY_DATABASE_URL", raising=False)

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Said(code, *capsys.readouterr())

    return run
