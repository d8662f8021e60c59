"""A Qdrant server for tests: the REST interface of its OpenAPI document, as far as clients need it.

    with QdrantServer(folder, api_key="k") as server:
        QdrantClient(url=server.url, api_key="k")

It listens on the loopback address only, on a port of its own, and ends with the `with` block. Behind
it is Qdrant's engine in this process; what it does not know it refuses with 501, never with a guess.
`fail` makes the next requests fail in a chosen way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import orjson

from wherry.testing.qdrant_collections import Collections
from wherry.testing.qdrant_forms import Refusal

VERSION = "1.18.0"
REQUEST_BYTES = 32 << 20


@dataclass
class Failure:
    """How a request fails: with this status and headers, or without an answer (status None).

    path: only requests whose path ends with this; method: only these. after: the request is carried
    out first, and only the answer is lost. times: how often.
    """

    status: int | None
    words: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""
    method: str = ""
    after: bool = False
    times: int = 1


class QdrantServer:
    """A server on the loopback address."""

    def __init__(self, folder: Path, api_key: str | None = None) -> None:
        self.collections = Collections(folder)
        self.api_key = api_key
        # (method, path) of every request, in order of arrival.
        self.seen: list[tuple[str, str]] = []
        self._failures: list[Failure] = []
        self._lock = Lock()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.server = self
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, failure: Failure) -> None:
        """Let coming requests fail."""
        with self._lock:
            self._failures.append(failure)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
        self.collections.close()

    def failure_for(self, method: str, path: str) -> Failure | None:
        """Take the failure that this request is to meet, if there is one."""
        with self._lock:
            self.seen.append((method, path))
            for failure in self._failures:
                if path.endswith(failure.path) and failure.method in ("", method):
                    failure.times -= 1
                    if failure.times == 0:
                        self._failures.remove(failure)
                    return failure
        return None


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    server: QdrantServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is part of some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this an answer waits for the client's acknowledgement of its headers.
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        began, path = time.perf_counter(), urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        failure = self.server.server.failure_for(self.command, path)
        if failure is not None and not failure.after:
            self._fail(failure)
            return
        try:
            answer: dict[str, Any] = {"result": self._result(path, body), "status": "ok"}
            status = 200
        except Refusal as refusal:
            status, answer = refusal.status, {"status": {"error": str(refusal)}}
        if failure is not None:
            self._fail(failure)
            return
        answer["time"] = time.perf_counter() - began
        self._answer(status, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), {})

    def _result(self, path: str, body: bytes) -> Any:
        self._authorise()
        if len(body) > REQUEST_BYTES:
            raise Refusal(
                400, f"Payload error: JSON payload ({len(body)} bytes) is larger than allowed (limit: {REQUEST_BYTES})"
            )
        for method, pattern, act in _ROUTES:
            match = pattern.fullmatch(path)
            if match and method == self.command:
                names = [unquote(name) for name in match.groups()]
                return act(self.server.server.collections, names, _json(body))
        raise Refusal(501, f"this test server does not know {self.command} {path}")

    def _authorise(self) -> None:
        wanted = self.server.server.api_key
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if wanted is not None and wanted not in (self.headers.get("api-key"), bearer):
            raise Refusal(401, "Invalid API key or JWT")

    def _fail(self, failure: Failure) -> None:
        if failure.status is None:
            self.close_connection = True
            self.connection.close()
            return
        self._answer(failure.status, orjson.dumps({"status": {"error": failure.words}, "time": 0}), failure.headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "Format error in JSON body: not JSON") from None
    if not isinstance(found, dict):
        raise Refusal(400, "Format error in JSON body: not an object")
    return found


_Act = Callable[[Collections, list[str], dict[str, Any]], Any]


def _route(method: str, path: str, act: _Act) -> tuple[str, re.Pattern[str], _Act]:
    return method, re.compile(path.replace("*", "([^/]+)")), act


_ROUTES = (
    _route("GET", "/collections", lambda c, n, b: {"collections": [{"name": name} for name in c.held]}),
    _route("GET", "/collections/*", lambda c, n, b: c.info(n[0])),
    _route("PUT", "/collections/*", lambda c, n, b: c.create(n[0], b)),
    _route("PATCH", "/collections/*", lambda c, n, b: c.update(n[0], b)),
    _route("DELETE", "/collections/*", lambda c, n, b: c.drop(n[0])),
    _route("GET", "/collections/*/exists", lambda c, n, b: {"exists": n[0] in c.held or n[0] in c.aliases}),
    _route("PUT", "/collections/*/index", lambda c, n, b: c.index(n[0], b)),
    _route("PUT", "/collections/*/points", lambda c, n, b: c.put(n[0], b)),
    _route("POST", "/collections/*/points", lambda c, n, b: c.retrieve(n[0], b)),
    _route("POST", "/collections/*/points/delete", lambda c, n, b: c.delete(n[0], b)),
    _route("POST", "/collections/*/points/scroll", lambda c, n, b: c.scroll(n[0], b)),
    _route("POST", "/collections/*/points/count", lambda c, n, b: c.count(n[0], b)),
    _route("POST", "/collections/*/points/query", lambda c, n, b: c.query(n[0], b)),
    _route("GET", "/aliases", lambda c, n, b: c.listed_aliases()),
    _route("GET", "/collections/*/aliases", lambda c, n, b: c.listed_aliases(n[0])),
    _route("POST", "/collections/aliases", lambda c, n, b: c.change_aliases(b)),
)
