"""Databases for the tests of Body: one made once for most of them, and empty ones for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from wherry.postgres import server


@pytest.fixture
def database_url(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database of the shared embedded server."""
    monkeypatch.setenv("WHERRY_HOME", str(shared_home))
    conninfo = server.start()
    name = f"body_{uuid4().hex[:10]}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield _url(conninfo, name)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _url(conninfo: str, name: str) -> str:
    found = psycopg.conninfo.conninfo_to_dict(conninfo)
    return f"postgresql://{found.get('user')}:hunter2@/{name}?host={found['host']}"
