"""The pgvector store passes the suite on the embedded server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from wherry.postgres import server
from wherry.testing.conformance import Fixtures, StoreConformance


@pytest.fixture(scope="module", autouse=True)
def _unsynced_server(shared_home: Path) -> None:
    """Spare the shared server the wait for the disk: what a crash leaves is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        with psycopg.connect(server.start(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")


class Pgvector(Fixtures):
    """Tables of the embedded server."""

    examples = 9

    def address(self, name: str) -> str:
        return f"pgvector:#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        rows = _run("SELECT oid::regclass::text FROM pg_class WHERE relnamespace >= 16384 OR relnamespace = 2200")
        return frozenset(row[0] for row in rows)

    def drop(self, name: str) -> None:
        _run("DROP TABLE {}", sql.Identifier(name))

    def spoil(self, name: str) -> frozenset[str]:
        table = sql.Identifier(name)
        _run("ALTER TABLE {} ALTER COLUMN embedding DROP NOT NULL", table)
        missing = _run("UPDATE {} SET embedding = NULL WHERE id LIKE '%7' RETURNING id", table)
        no_object = _run("UPDATE {} SET metadata = '[1]' WHERE id LIKE '%3' RETURNING id", table)
        return frozenset(row[0] for row in missing + no_object)


def _run(statement: str, *names: sql.Identifier) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.start()) as connection:
        cursor = connection.execute(sql.SQL(statement).format(*names))
        return cursor.fetchall() if cursor.description else []


@pytest.mark.usefixtures("shared_home")
class TestPgvector(StoreConformance):
    fixtures = Pgvector
