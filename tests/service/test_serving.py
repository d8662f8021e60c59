"""The service as a process and over a real socket: starting, warming up, serving, stopping."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import APIRouter
from fastapi.testclient import TestClient

import wherry
from tests.routing.kit import TEXTS, made, put
from tests.service.conftest import Log, Serving, Tenant, bearing
from wherry.apps.app import App
from wherry.cli import main
from wherry.service.access import READS
from wherry.service.app import create_app
from wherry.service.keys import Keys
from wherry.service.logs import logger
from wherry.service.settings import Settings


@contextmanager
def listening(log: Log, **settings: int | float) -> Iterator[httpx.Client]:
    """Serve on a free loopback port in a thread; lend a client of it."""
    app = create_app(Settings(**settings), (), logger(log.stream))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        _until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


def _until(true: object, wait_s: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + wait_s
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(0.02)


def test_over_a_socket_many_at_once_get_their_own_answers(a: Tenant, b: Tenant, log: Log) -> None:
    found: list[tuple[str, set[str]]] = []

    def asks(client: httpx.Client, who: Tenant) -> None:
        for _ in range(5):
            asked = {"query": [1.0] * 64, "k": 10}
            hits = client.post(f"/api/v1/routes/{who.route}/search", json=asked, headers=who.headers).json()["hits"]
            found.append((who.name, {hit["text"] for hit in hits}))

    with listening(log) as client:
        threads = [threading.Thread(target=asks, args=(client, who)) for who in (a, b) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        page = client.get("/openapi.json")
    assert page.status_code == 200
    assert len(found) == 30
    theirs = dict(found)
    assert all(texts == theirs[name] for name, texts in found)
    assert theirs[a.name] == set(TEXTS)
    assert not theirs[a.name] & theirs[b.name]


def test_a_chunked_body_without_end_is_cut_off(a: Tenant, log: Log) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"query": "'
        for _ in range(1_000):
            yield b"q" * 1_000

    with listening(log, body_limit_bytes=10_000) as client:
        headers = {**a.headers, "Content-Type": "application/json"}
        try:
            answered = client.post(f"/api/v1/routes/{a.route}/search", content=endless(), headers=headers)
            assert answered.status_code == 413
        except httpx.TransportError:
            # Cut off while it was still sending: the answer may be lost with the connection.
            assert any(event.get("status") == 413 for event in log.events)
        assert client.get("/healthz").status_code == 200


def test_readiness_follows_the_warm_up_and_health_does_not(serving: Serving, a: Tenant, keys: Keys, name: str) -> None:
    made(f"broken-{name}", f"memory:#nothing{name}")
    client = serving()
    assert client.get("/healthz").json() == {"ok": True}
    _until(lambda: client.get("/readyz").status_code == 200)
    ready = client.get("/readyz").json()
    assert ready["routes"] >= 1
    # One broken route keeps nobody else from being served.
    assert ready["failed"] >= 1


def test_the_numbers_name_endpoints_not_what_was_asked(client: TestClient, a: Tenant, operator: dict[str, str]) -> None:
    asked = {"query": "혈당", "mode": "lexical"}
    client.post(f"/api/v1/routes/{a.route}/search", json=asked, headers=a.headers)
    client.get("/nowhere/at/all")
    page = client.get("/metrics", headers=operator).text
    path = "/api/v1/routes/{route}/search"
    assert f'wherry_http_requests_total{{method="POST",path="{path}",status="200"}} 1.0' in page
    assert 'path="(none)",status="404"' in page
    assert "wherry_open_routes" in page
    assert "process_cpu_seconds_total" in page
    assert a.route not in page
    assert "nowhere" not in page


def test_the_log_says_who_asked_what_endpoint_and_nothing_of_the_question(
    client: TestClient, a: Tenant, log: Log
) -> None:
    asked = {"query": "홍길동의 공복 혈당", "mode": "lexical"}
    answered = client.post(f"/api/v1/routes/{a.route}/search?q=홍길동", json=asked, headers=a.headers)
    event = next(event for event in log.events if event.get("request") == answered.headers["X-Request-Id"])
    assert event["event"] == "request"
    assert (event["method"], event["path"]) == ("POST", "/api/v1/routes/{route}/search")
    assert (event["status"], event["tenant"]) == (200, a.name)
    assert event["ms"] >= 0
    assert "홍길동" not in log.text


def test_an_app_is_mounted_under_its_name(serving: Serving, a: Tenant) -> None:
    from fastapi import Depends

    checkup = APIRouter(dependencies=[Depends(READS)])
    checkup.add_api_route("/hospitals", lambda: {"hospitals": []}, methods=["GET"])
    client = serving([App("checkup", "", router=checkup)])
    assert client.get("/api/checkup/hospitals").status_code == 401
    assert client.get("/api/checkup/hospitals", headers=a.headers).json() == {"hospitals": []}
    assert "/api/checkup/hospitals" in client.get("/openapi.json").json()["paths"]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what runs `wherry serve ...` in this process, demands that it ends well, and tells what it said."""

    def run(*args: str) -> str:
        capsys.readouterr()
        assert main(["serve", *args]) == 0
        return capsys.readouterr().out

    return run


def test_the_command_makes_keys_serves_and_stops_in_order(
    said: Callable[..., str], keys: Keys, name: str, tmp_path: Path
) -> None:
    archive, route = tmp_path / "guides.json", f"r-{name}"
    put("memory:#start", TEXTS)
    wherry.sync("memory:#start", str(archive), accept_losses=True)
    made(route, str(archive))
    added = json.loads(said("keys", "add", name, "--read-only", "--json"))
    said("grant", name, route)
    command = [sys.executable, "-m", "wherry", "serve", "--port", "0"]
    serving = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert serving.stderr is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", serving.stderr.readline())
        assert url
        with httpx.Client(base_url=url[0], timeout=60, headers=bearing(added["key"])) as client:
            assert client.get("/healthz").json() == {"ok": True}
            asked = client.post(f"/api/v1/routes/{route}/search", json={"query": "금식", "mode": "lexical"})
            assert asked.json()["hits"][0]["id"] == "g-1"
            said("keys", "remove", added["id"])
            assert client.get("/api/v1/routes").status_code == 401
        serving.send_signal(signal.SIGTERM)
        rest = serving.communicate(timeout=60)[1]
    finally:
        if serving.poll() is None:
            os.kill(serving.pid, signal.SIGKILL)
            serving.wait()
    assert serving.returncode == 0, rest
    assert '"stopped"' in rest
    assert "Traceback" not in rest
    assert added["key"].split("_")[2] not in rest


def test_keys_and_grants_are_listed_without_secrets(said: Callable[..., str], a: Tenant) -> None:
    listed = said("keys", "list")
    assert a.key.split("_")[1] in listed
    assert a.key.split("_")[2] not in listed
    grants = json.loads(said("grants", "--json"))
    assert {"tenant": a.name, "route": a.route} in grants["grants"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("grant", "welno", "no-such-route"), 2, "there is no route"),
        (("revoke", "welno", "no-such-route"), 2, "never granted"),
        (("keys", "remove", "nosuch"), 2, "there is no key"),
        (("keys", "add", "two words"), 2, "cannot be the name of a tenant"),
        (("--port", "70000"), 2, "is no port"),
        (("--host", "203.0.113.1"), 2, "cannot listen"),
    ],
)
def test_what_cannot_be_done_is_said(
    keys: Keys, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: int, words: str
) -> None:
    assert main(["serve", *args]) == code
    said = capsys.readouterr().err
    assert words in said
    assert "next:" in said
