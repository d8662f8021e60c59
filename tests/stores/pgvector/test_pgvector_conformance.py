"""PostgreSQL passes the suite, with text, integer and UUID keys, and with 16-bit vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from wherry.postgres import server
from wherry.testing.conformance import NEVER, Fixtures, Gap, StoreConformance

WITHOUT_VECTOR = ("안내-000001", "안내-000004")


@pytest.fixture(scope="module", autouse=True)
def _one_server(shared_home: Path) -> Iterator[None]:
    """Let the fixtures of a class, which are made before its tests, find the shared server."""
    before = os.environ.get("WHERRY_HOME")
    os.environ["WHERRY_HOME"] = str(shared_home)
    yield
    if before is None:
        del os.environ["WHERRY_HOME"]
    else:
        os.environ["WHERRY_HOME"] = before


class Tables(Fixtures):
    """Tables that Wherry makes."""

    def address(self, name: str) -> str:
        return f"pgvector:#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        with psycopg.connect(server.start()) as connection:
            rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'")
            return frozenset(name for (name,) in rows)

    def drop(self, name: str) -> None:
        self.run(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))

    def spoil(self, name: str) -> frozenset[str]:
        table = sql.Identifier(name)
        self.run(sql.SQL("ALTER TABLE {} ALTER embedding DROP NOT NULL").format(table))
        spoil = sql.SQL("UPDATE {} SET embedding = NULL WHERE id = ANY (%s)").format(table)
        self.run(spoil, [list(WITHOUT_VECTOR)])
        return frozenset(WITHOUT_VECTOR)

    def run(self, statement: sql.Composable, values: list | None = None) -> None:
        with psycopg.connect(server.start()) as connection:
            connection.execute(statement, values)


class TestTables(StoreConformance):
    fixtures = Tables
