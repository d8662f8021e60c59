"""What these tests share: a connection to the shared embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from wherry.postgres import server


@pytest.fixture
def pg(shared_home: Path) -> Iterator[psycopg.Connection]:
    """A connection of the administrator, in autocommit mode, to a database with pgvector."""
    with psycopg.connect(server.start(), autocommit=True) as connection:
        # These tests end no machine: what the server would do for that is time they need not spend.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection


@pytest.fixture
def name() -> str:
    """The name of a table that nobody made yet."""
    return f"t{uuid4().hex[:10]}"
