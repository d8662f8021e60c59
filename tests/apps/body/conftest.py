"""One Body for most tests, empty before each; empty databases of the same server for those that need their own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

import wherry
from tests.apps.body.sheets_kit import FLAT
from wherry.postgres import server
from wherry.service.logs import logger
from wherry_apps.body import app
from wherry_apps.body.service import Body, open_service
from wherry_apps.body.tables import Base

SETTINGS = (
    "BODY_MODEL", "BODY_EMBEDDERS", "BODY_OLLAMA_EMBEDDER", "BODY_PATIENCE_S", "BODY_LIMITS", "BODY_TIMEZONE",
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "OLLAMA_HOST", "DATABASE_URL", "WHERRY_DATABASE_URL",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _opened(shared_home: Path) -> Iterator[Body]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        body = open_service()
    yield body
    body.close()


@pytest.fixture
def body(pg: psycopg.Connection, _opened: Body) -> Body:
    """A Body with nobody in it."""
    with _opened.db.begin() as connection:
        tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return _opened


@pytest.fixture
def me(body: Body) -> int:
    """A person of the command line."""
    return int(body.people.add("local", "kim", "kim@example.org")["id"])


@pytest.fixture
def analysed(body: Body, me: int) -> dict[str, Any]:
    """The report of a sheet of that person, embedded."""
    return body.reports.analyse_sheet(None, me, body.records.read(FLAT), embedders=["hash:1024"])


@dataclass(frozen=True)
class Tenant:
    """A tenant with its key, as a client of the service."""

    name: str
    client: TestClient
    key: str

    def ask(self, method: str, path: str, json: Any = None) -> Any:
        """Send a request under /api/body."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.client.request(method, f"/api/body{path}", json=json, headers=headers)


@pytest.fixture(scope="session")
def _served(_opened: Body, shared_home: Path) -> Iterator[TestClient]:
    settings = wherry.Settings(per_minute=100_000, burst=10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        with TestClient(wherry.create_app(settings, [app], logger(io.StringIO()))) as opened:
            yield opened


@pytest.fixture
def client(body: Body, _served: TestClient) -> TestClient:
    """The service over that Body's database."""
    return _served


@pytest.fixture
def tenants(client: TestClient) -> tuple[Tenant, Tenant, Tenant]:
    """Two tenants and an operator."""
    with wherry.Keys() as keys:
        keys.prepare()
        made = [
            Tenant(name, client, keys.add(name, operator=name == "ops")) for name in ("clinic-a", "clinic-b", "ops")
        ]
    return made[0], made[1], made[2]


@pytest.fixture
def database_url(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL, with a password, of an empty database of the shared embedded server."""
    monkeypatch.setenv("WHERRY_HOME", str(shared_home))
    conninfo = server.start()
    name = f"body_{uuid4().hex[:10]}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {name}".encode())
    found = psycopg.conninfo.conninfo_to_dict(conninfo)
    yield f"postgresql://{found['user']}:hunter2@/{name}?host={found['host']}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
