"""The interview over a real socket: a connection that is torn off, and one that goes on."""

from __future__ import annotations

import json
import socket as sockets
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import wherry
from tests.apps.interview.conftest import ANSWER, Shop, bearing
from wherry_apps.interview.service import sessions


@pytest.fixture(scope="module")
def address(serving: Any, home: Any) -> Iterator[str]:
    """Where the service listens."""
    server = uvicorn.Server(uvicorn.Config(serving, port=0, log_config=None, timeout_graceful_shutdown=2))
    bound = sockets.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    bound.close()


def said(connection: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    return json.loads(connection.recv(timeout=30))


def test_a_connection_that_is_torn_off_loses_nothing(
    pg: psycopg.Connection, shop: Shop, keys: wherry.Keys, address: str
) -> None:
    here = shop.started({"question_text": "하나"}, {"question_text": "둘"}, {"question_text": "셋"})
    url, key = f"ws://{address}/api/interview/sessions/{here['id']}/live", keys.add(shop.owner)
    torn = connect(url, additional_headers=bearing(key))
    assert said(torn)["question_text"] == "하나"
    torn.send(json.dumps({"type": "answer", "turn": 0, "text": ANSWER}))
    assert said(torn) == {"type": "saved", "turn": 0, "again": False}
    # Torn off without a word, as a network does it.
    torn.socket.shutdown(sockets.SHUT_RDWR)
    with connect(url, subprotocols=["wherry", f"bearer.{key}"]) as again:
        assert again.subprotocol == "wherry"
        asked = said(again)
        assert (asked["question_text"], asked["turn"], asked["index"]) == ("둘", 1, 1)
        for turn in (1, 2):
            again.send(json.dumps({"type": "answer", "turn": turn, "text": ANSWER}))
            assert said(again)["type"] == "saved"
            last = said(again)
        assert last["type"] == "completed"
    told = sessions.transcript(shop.on, shop.owner, here["id"])
    assert [one["text"] for one in told if one["speaker"] == "applicant"] == [ANSWER] * 3


def test_two_connections_at_once_store_one_answer(
    pg: psycopg.Connection, shop: Shop, keys: wherry.Keys, address: str
) -> None:
    here = shop.started({}, {})
    url, headers = f"ws://{address}/api/interview/sessions/{here['id']}/live", bearing(keys.add(shop.owner))
    with connect(url, additional_headers=headers) as one, connect(url, additional_headers=headers) as two:
        for connection in (one, two):
            said(connection)
        for connection in (one, two):
            connection.send(json.dumps({"type": "answer", "turn": 0, "text": ANSWER}))
        assert sorted(said(connection)["again"] for connection in (one, two)) == [False, True]
    assert sessions.state(shop.on, shop.owner, here["id"])["turn"] == 1


def test_a_key_that_opens_nothing_is_answered_over_http(address: str, shop: Shop, keys: wherry.Keys) -> None:
    url = f"ws://{address}/api/interview/sessions/1/live"
    with pytest.raises(InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=bearing(keys.add(shop.owner)))
    assert refused.value.response.status_code == 404


def test_what_is_no_json_ends_the_connection(address: str, shop: Shop, keys: wherry.Keys) -> None:
    here = shop.started({})
    url = f"ws://{address}/api/interview/sessions/{here['id']}/live"
    with connect(url, additional_headers=bearing(keys.add(shop.owner))) as connection:
        said(connection)
        connection.send("{")
        assert said(connection)["type"] == "error"
        with pytest.raises(ConnectionClosed) as ended:
            connection.recv(timeout=30)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1003
