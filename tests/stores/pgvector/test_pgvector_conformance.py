"""The suite on tables with integer and UUID keys, and with 16-bit vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
import pytest

from wherry.address import Address
from wherry.postgres import server
from wherry.postgres.link import server_of
from wherry.stores.pgvector import OPTIONS, PgTarget
from wherry.stores.pgvector.catalog import Table
from wherry.testing.conformance import Fixtures, StoreConformance, verdicts


@pytest.fixture(scope="module", autouse=True)
def _one_server(shared_home: Path) -> Iterator[None]:
    """Let the fixtures of a class, which are made before its tests, find the shared server."""
    before = os.environ.get("WHERRY_HOME")
    os.environ["WHERRY_HOME"] = str(shared_home)
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield
    if before is None:
        del os.environ["WHERRY_HOME"]
    else:
        os.environ["WHERRY_HOME"] = before


class Typed(Fixtures):
    """Tables with another type of key or vector, made as Wherry makes its own."""

    examples: ClassVar[int] = 6
    key, vector = "text", "vector"

    def address(self, name: str) -> str:
        return f"pgvector:#{quote(name, safe='')}"

    def open_target(self, name: str) -> PgTarget:
        key, vector = self.key, self.vector

        class Made(PgTarget):
            def _absent(self, connection: psycopg.Connection) -> Table:
                table = super()._absent(connection)
                return replace(table, id=replace(table.id, type=key), vector=replace(table.vector, type=vector))

        address = Address.parse(self.address(name))
        return Made(address, server_of(address, OPTIONS))


class Integers(Typed):
    key = "int8"


class Uuids(Typed):
    key = "uuid"


class Halves(Typed):
    vector = "halfvec"


@pytest.mark.parametrize("fixtures", [Integers, Uuids, Halves])
@pytest.mark.parametrize("tests", ["test_own_ids", "test_text_ids", "test_upsert", "test_delete", "test_precision",
                                   "test_fetch", "test_any_record", "test_most", "test_index"])  # fmt: skip
def test_other_types(tmp_path: Path, fixtures: type[Typed], tests: str) -> None:
    found = verdicts(StoreConformance, fixtures(tmp_path), only=tests)
    assert found
    assert {test: verdict for test, verdict in found.items() if verdict not in ("passed", "skipped")} == {}
    assert "passed" in found.values()
