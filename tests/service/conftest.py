"""Two tenants with a route each, and the service that serves them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.routing.kit import TEXTS, made, put
from wherry.service.app import create_app
from wherry.service.keys import Keys
from wherry.service.logs import logger
from wherry.service.settings import Settings

OTHERS = ["고혈압 환자는 소금을 줄입니다", "아침과 저녁에 혈압을 잽니다"]


@dataclass(frozen=True)
class Tenant:
    """A tenant: its name, the route granted to it, and its key."""

    name: str
    route: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its requests."""
        return bearing(self.key)


@dataclass
class Log:
    """What the service wrote."""

    stream: io.StringIO

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        """One object per line."""
        return [json.loads(line) for line in self.text.splitlines()]


def bearing(key: str) -> dict[str, str]:
    """Return the headers that carry a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keys(pg: psycopg.Connection) -> Iterator[Keys]:
    with Keys() as opened:
        opened.prepare()
        yield opened


def _tenant(keys: Keys, name: str, texts: list[str]) -> Tenant:
    put(f"memory:#{name}", texts)
    made(f"r-{name}", f"memory:#{name}")
    keys.grant(name, f"r-{name}")
    return Tenant(name, f"r-{name}", keys.add(name))


@pytest.fixture
def a(keys: Keys, name: str) -> Tenant:
    return _tenant(keys, f"{name}a", TEXTS)


@pytest.fixture
def b(keys: Keys, name: str) -> Tenant:
    return _tenant(keys, f"{name}b", OTHERS)


@pytest.fixture
def operator(keys: Keys) -> dict[str, str]:
    return bearing(keys.add("ops", operator=True))


@pytest.fixture
def log() -> Log:
    return Log(io.StringIO())


Serving = Callable[..., TestClient]


@pytest.fixture
def serving(log: Log, pg: psycopg.Connection) -> Iterator[Serving]:
    """Return what starts the service with some settings; stopped at the end."""
    clients: list[TestClient] = []

    def start(apps: Any = (), **settings: Any) -> TestClient:
        client = TestClient(create_app(Settings(**settings), apps, logger(log.stream)), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serving: Serving) -> TestClient:
    return serving()
