"""Web sockets: the same rules as for requests, keys of browsers, limits, and what is said about them."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from tests.service.conftest import Log, Serving, Tenant, bearing
from wherry.apps.app import App
from wherry.errors import NotFound, Usage
from wherry.service.access import READS, WRITES, rules
from wherry.service.app import create_app
from wherry.service.keys import Caller, Keys
from wherry.service.settings import Settings
from wherry.service.sockets import open_socket, send_error, socket_messages

router = APIRouter()


@router.websocket("/echo")
async def echo(socket: WebSocket, caller: Annotated[Caller, Depends(WRITES)]) -> None:
    """Say who asks, then repeat every message."""
    await open_socket(socket)
    await socket.send_json({"tenant": caller.tenant})
    async for message in socket_messages(socket):
        if "fail" in message:
            raise ValueError("secret words")
        if "refuse" in message:
            await send_error(socket, Usage("not this", where="refuse"))
        else:
            await socket.send_json(message)


@router.websocket("/missing")
async def missing(socket: WebSocket, caller: Annotated[Caller, Depends(READS)]) -> None:
    """Find nothing before the socket is open."""
    raise NotFound("no such talk")


APP = App("talk", "Repeats.", router=router, body_limit_bytes=1_000)
PATH = "/api/talk/echo"


@pytest.fixture
def talking(serving: Serving) -> TestClient:
    return serving([APP], body_limit_bytes=1_000)


def refused(client: TestClient, **how: Any) -> int:
    """Return the HTTP status by which a socket is refused."""
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect(how.pop("path", PATH), **how):
        pass
    assert set(caught.value.json()) >= {"error", "what", "next"}
    return caught.value.status_code


def test_a_socket_says_who_may_open_it() -> None:
    found = {path: declared for _, path, declared in rules(create_app(Settings(), [APP]))}
    assert (found[PATH], found["/api/talk/missing"]) == ({"writes"}, {"reads"})
    careless = APIRouter()
    careless.add_api_websocket_route("/talk", lambda socket: None)
    with pytest.raises(Usage, match="/api/careless/talk"):
        create_app(Settings(), [App("careless", "", router=careless)])


def test_a_key_opens_it_by_header_and_as_browsers_send_it(talking: TestClient, a: Tenant) -> None:
    with talking.websocket_connect(PATH, headers=a.headers) as socket:
        assert socket.receive_json() == {"tenant": a.name}
        assert socket.accepted_subprotocol is None
        socket.send_json({"말": "안녕"})
        assert socket.receive_json() == {"말": "안녕"}
    with talking.websocket_connect(PATH, subprotocols=["wherry", f"bearer.{a.key}"]) as socket:
        assert socket.receive_json() == {"tenant": a.name}
        # The key is never repeated.
        assert socket.accepted_subprotocol == "wherry"


def test_no_key_a_wrong_one_and_one_that_may_only_read(talking: TestClient, keys: Keys, a: Tenant) -> None:
    assert refused(talking) == 401
    assert refused(talking, headers=bearing(a.key + "0")) == 401
    assert refused(talking, subprotocols=["wherry", "bearer."]) == 401
    assert refused(talking, subprotocols=[f"bearer.{a.key.upper()}"]) == 401
    assert refused(talking, headers=bearing(keys.add(a.name, read_only=True))) == 403
    assert refused(talking, headers=a.headers, path="/api/talk/missing") == 404
    # A subprotocol is for sockets alone.
    assert talking.get("/api/v1/routes", headers={"sec-websocket-protocol": f"bearer.{a.key}"}).status_code == 401


def test_sockets_are_counted_apart_from_requests(serving: Serving, a: Tenant) -> None:
    client = serving([APP], sockets=1, at_a_time=1)
    with client.websocket_connect(PATH, headers=a.headers):
        assert refused(client, headers=a.headers) == 429
        assert client.get("/api/v1/routes", headers=a.headers).status_code == 200
    with client.websocket_connect(PATH, headers=a.headers) as socket:
        assert socket.receive_json() == {"tenant": a.name}


def test_messages_are_counted_as_requests_are(serving: Serving, a: Tenant) -> None:
    client = serving([APP], burst=2, per_minute=1)
    with client.websocket_connect(PATH, headers=a.headers) as socket:
        socket.receive_json()
        socket.send_json({})
        assert socket.receive_json() == {}
        socket.send_json({})
        assert socket.receive_json()["error"] == "RateLimited"
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == 1013


def test_a_key_that_is_removed_ends_its_sockets(talking: TestClient, keys: Keys, a: Tenant) -> None:
    with talking.websocket_connect(PATH, headers=a.headers) as socket:
        socket.receive_json()
        socket.send_json({"n": 1})
        assert socket.receive_json() == {"n": 1}
        keys.remove(a.key.split("_")[1])
        socket.send_json({"n": 2})
        assert socket.receive_json()["error"] == "Unauthorized"
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == 1008


@pytest.mark.parametrize(("data", "code"), [("[1]", 1003), ("{", 1003), ("x" * 1_001, 1009)])
def test_what_is_no_message_ends_it(talking: TestClient, a: Tenant, data: str, code: int) -> None:
    with talking.websocket_connect(PATH, headers=a.headers) as socket:
        socket.receive_json()
        socket.send_text(data)
        if code == 1003:
            assert socket.receive_json()["type"] == "error"
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == code


def test_an_error_of_ours_is_told_and_a_bug_ends_it_without_its_words(talking: TestClient, a: Tenant, log: Log) -> None:
    with talking.websocket_connect(PATH, headers=a.headers) as socket:
        socket.receive_json()
        socket.send_json({"refuse": True})
        assert socket.receive_json()["what"] == "not this"
        socket.send_json({"fail": True})
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == 1011
    assert "secret words" not in log.text
    assert a.key.rsplit("_", 1)[1] not in log.text
    assert [event["error"] for event in log.events if event["event"] == "unexpected"] == ["ValueError"]
    told = [event for event in log.events if event["event"] == "socket"]
    assert [(one["path"], one["tenant"], one["status"]) for one in told] == [(PATH, a.name, 1011)]
