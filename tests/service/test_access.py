"""Who may call what: generated from the OpenAPI document, for two tenants, an operator, and keys that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient

from tests.service.conftest import Log, Serving, Tenant, bearing
from wherry.apps.app import App
from wherry.errors import Usage
from wherry.service.access import READS, WRITES, require_rules, rules
from wherry.service.app import create_app
from wherry.service.keys import Keys
from wherry.service.settings import Settings

OPEN = {"/healthz", "/readyz"}
OPERATES = {"/metrics", "/api/v1/runs", "/api/v1/indexes"}
_ASKED = {"question": "혈당이 얼마인가요?"}
BODIES = {"search": {"query": "혈당", "mode": "lexical"}, "ask": _ASKED, "stream": _ASKED}


def operations(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield method and path of everything the OpenAPI document names."""
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


def of(name: str, router: APIRouter) -> App:
    """Return an app that has nothing but endpoints."""
    return App(name, "", router=router)


def body_of(path: str) -> Any:
    """Return a body that the endpoint takes."""
    return BODIES.get(path.rsplit("/", 1)[-1])


ALL = list(operations(create_app(Settings())))
GUARDED = [one for one in ALL if one[1] not in OPEN]
OF_ROUTES = [one for one in GUARDED if "{route}" in one[1]]


def test_the_document_names_every_endpoint() -> None:
    documentation = {"/docs", "/openapi.json"}
    assert {path for _, path in ALL} | documentation == {path for _, path, _ in rules(create_app(Settings()))}
    assert len(OF_ROUTES) >= 3


def test_every_endpoint_declares_exactly_one_rule() -> None:
    declared = {path: found for _, path, found in rules(create_app(Settings()))}
    assert {path for path, found in declared.items() if found == {"open"}} == OPEN
    assert {path for path, found in declared.items() if found == {"operates"}} == OPERATES
    assert {path for path, found in declared.items() if not found} == {"/docs", "/openapi.json"}
    assert {len(found) for path, found in declared.items()} == {0, 1}


def test_an_endpoint_without_a_rule_keeps_the_service_from_starting() -> None:
    careless = APIRouter()
    careless.add_api_route("/all", lambda: {}, methods=["GET"])
    with pytest.raises(Usage, match="GET /api/careless/all"):
        create_app(Settings(), [of("careless", careless)])
    outer = APIRouter()
    outer.include_router(careless, prefix="/inner")
    with pytest.raises(Usage, match="GET /api/nested/inner/all"):
        create_app(Settings(), [of("nested", outer)])


def test_a_mounted_application_and_a_socket_have_no_rule_either() -> None:
    mounted = create_app(Settings())
    mounted.mount("/files", FastAPI())
    with pytest.raises(Usage, match="/files"):
        require_rules(mounted)
    chatty = APIRouter()
    chatty.add_api_websocket_route("/talk", lambda socket: None)
    with pytest.raises(Usage, match="/api/chatty/talk"):
        create_app(Settings(), [of("chatty", chatty)])


def test_a_rule_of_a_whole_router_counts_for_each_of_its_endpoints() -> None:
    careful = APIRouter(dependencies=[Depends(READS)])
    careful.add_api_route("/all", lambda: {}, methods=["GET"])
    create_app(Settings(), [of("careful", careful)])


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_key_and_no_valid_key_are_401(client: TestClient, keys: Keys, a: Tenant, method: str, path: str) -> None:
    gone, late = keys.add(a.name), keys.add(a.name, days=1)
    keys.remove(gone.split("_")[1])
    keys.database.tell("UPDATE wherry.api_keys SET expires_at = now() WHERE id = $1", [late.split("_")[1]])
    forged = a.key[:-1] + ("0" if a.key[-1] != "0" else "1")
    wrong = [gone, late, forged, "", "x", f"wherry_{'0' * 16}_{'0' * 64}", a.key.upper(), f"{a.key}0"]
    for headers in [{}, {"Authorization": f"Basic {a.key}"}, {"X-API-Key": a.key}, *map(bearing, wrong)]:
        answered = client.request(method, path.format(route=a.route), json=body_of(path), headers=headers)
        assert answered.status_code == 401, (headers, answered.text)
        assert answered.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), OF_ROUTES)
def test_the_route_of_another_tenant_is_not_there(
    client: TestClient, a: Tenant, b: Tenant, method: str, path: str
) -> None:
    def asked(route: str) -> Any:
        return client.request(method, path.format(route=route), json=body_of(path), headers=b.headers)

    theirs, nobodys = asked(a.route), asked("no-such-route")
    assert theirs.status_code == nobodys.status_code == 404
    # Byte for byte: that a route exists must not be told either.
    assert theirs.content == nobodys.content
    assert asked(b.route).status_code == 200


@pytest.mark.parametrize(("method", "path"), [one for one in GUARDED if "{route}" not in one[1]])
def test_what_lists_shows_nothing_of_another_tenant(
    client: TestClient, a: Tenant, b: Tenant, method: str, path: str
) -> None:
    answered = client.request(method, path, headers=b.headers)
    assert answered.status_code == (403 if path in OPERATES else 200)
    assert a.name not in answered.text
    assert a.route not in answered.text


def test_lists_show_what_was_granted(client: TestClient, a: Tenant, b: Tenant, operator: dict[str, str]) -> None:
    def names(headers: dict[str, str]) -> set[str]:
        return {route["name"] for route in client.get("/api/v1/routes", headers=headers).json()["routes"]}

    assert names(a.headers) == {a.route}
    assert names(b.headers) == {b.route}
    assert {a.route, b.route} <= names(operator)


def test_a_key_that_is_removed_and_a_grant_that_is_taken_back_end_at_once(
    client: TestClient, keys: Keys, a: Tenant
) -> None:
    path = f"/api/v1/collections/{a.route}"
    assert client.get(path, headers=a.headers).status_code == 200
    keys.revoke(a.name, a.route)
    assert client.get(path, headers=a.headers).status_code == 404
    keys.grant(a.name, a.route)
    assert client.get(path, headers=a.headers).status_code == 200
    keys.remove(a.key.split("_")[1])
    assert client.get(path, headers=a.headers).status_code == 401


def test_a_route_that_is_made_anew_is_granted_to_nobody(client: TestClient, keys: Keys, a: Tenant) -> None:
    from wherry.routing.book import Book

    path = f"/api/v1/routes/{a.route}/search"
    asked = {"query": "혈당", "mode": "lexical"}
    assert client.post(path, json=asked, headers=a.headers).status_code == 200
    with Book() as book:
        book.remove(a.route)
        # Held open by the service, yet gone.
        assert client.post(path, json=asked, headers=a.headers).status_code == 404
        book.make(a.route, f"memory:#{a.name}", None, "")
    assert client.post(path, json=asked, headers=a.headers).status_code == 404


def test_a_read_only_key_does_not_write(serving: Serving, keys: Keys, a: Tenant) -> None:
    writing = APIRouter()
    writing.add_api_route("/notes", lambda: {"kept": True}, methods=["POST"], dependencies=[Depends(WRITES)])
    client = serving([App("notes", "", router=writing)])
    readers = bearing(keys.add(a.name, read_only=True))
    assert client.post("/api/notes/notes", headers=readers).status_code == 403
    assert client.post("/api/notes/notes", headers=a.headers).json() == {"kept": True}
    assert client.get("/api/v1/routes", headers=readers).status_code == 200


def test_the_secret_of_a_key_is_nowhere(pg: psycopg.Connection, client: TestClient, a: Tenant, log: Log) -> None:
    secret = a.key.rsplit("_", 1)[1]
    client.get("/api/v1/routes", headers=a.headers)
    client.get(f"/api/v1/routes?key={a.key}", headers=bearing(a.key + "x"))
    kept = pg.execute("SELECT * FROM wherry.api_keys").fetchall()
    assert secret not in repr(kept)
    assert bytes.fromhex(secret) not in [part for row in kept for part in row]
    assert secret not in log.text
    assert all(len(event.get("key", "")) in (0, 16) for event in log.events)
