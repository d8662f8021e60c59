"""A LlamaCloud for tests: its documented v1 REST interface, as far as a reader needs it.

    with LlamaCloudServer(api_key="llx-test") as server:
        pipeline = server.pipeline("Dr.Welno", dimension=64)
        pipeline.add("혈압", ["혈압은 아침에 잽니다."])
        LlamaCloud(base_url=server.url, api_key="llx-test")

It listens on the loopback address only, on a port of its own, and ends with the `with` block. What it does
not know it refuses with 501, never with a guess. `fail` makes coming requests fail in a chosen way, `when`
lets something happen between two requests: a document changes, goes, or comes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from wherry.testing.llamacloud_pipelines import Json, Pipeline, openai_config

_DEFAULT_LIMIT = 10
_VERSION = "/api/v1"


@dataclass
class Failure:
    """How a request fails: with this status and headers, or without an answer (status None).

    path: only requests whose path ends with this. body: what is answered instead of the service's words.
    delay_s: the answer waits so long; with status 200 it is then the right one. times: how often.
    """

    status: int | None
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""
    body: bytes | None = None
    delay_s: float = 0.0
    times: int = 1


@dataclass
class Event:
    """Something that happens right before the n-th request (from 1) whose path ends with `path`."""

    path: str
    nth: int
    act: Callable[[], Any]


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status)
        self.status, self.detail = status, detail


class LlamaCloudServer:
    """A service on the loopback address. most: documents it puts on one page, whatever is asked for."""

    def __init__(self, api_key: str = "llx-test", most: int = 100, port: int = 0) -> None:
        self.api_key, self.most = api_key, most
        self.pipelines: dict[str, Pipeline] = {}
        # (method, path, query) of every request, in order of arrival.
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.lock = RLock()
        self._failures: list[Failure] = []
        self._events: list[Event] = []
        self._http = _Listener(("127.0.0.1", port), _Handler)
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

    def pipeline(self, name: str, dimension: int = 64, **settings: Any) -> Pipeline:
        """Make a pipeline. settings: fields of `Pipeline`."""
        settings.setdefault("embedding_config", openai_config(dimension))
        settings.setdefault("id", str(uuid5(NAMESPACE_URL, f"{name}/{len(self.pipelines)}")))
        made = Pipeline(name=name, dimension=dimension, **settings)
        self.pipelines[made.id] = made
        return made

    def fail(self, failure: Failure) -> None:
        """Let coming requests fail."""
        with self.lock:
            self._failures.append(failure)

    def when(self, path: str, nth: int, act: Callable[[], Any]) -> None:
        """Let something happen right before the n-th request from now whose path ends with `path`."""
        with self.lock:
            self._events.append(Event(path, nth, act))

    def asked(self, path: str) -> int:
        """Return how many requests there were whose path ends with `path`."""
        return sum(seen.endswith(path) for _, seen, _ in list(self.seen))

    def met(self, method: str, path: str, query: dict[str, str]) -> Failure | None:
        """Note a request, let happen what is due, and take the failure that it is to meet."""
        with self.lock:
            self.seen.append((method, path, query))
            for event in [event for event in self._events if path.endswith(event.path)]:
                event.nth -= 1
                if event.nth == 0:
                    self._events.remove(event)
                    event.act()
            failure = next((f for f in self._failures if path.endswith(f.path)), None)
            if failure is not None:
                failure.times -= 1
                if failure.times == 0:
                    self._failures.remove(failure)
            return failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    server: LlamaCloudServer

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
        service, parts = self.server.server, urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        failure = service.met(self.command, parts.path, query)
        if failure is not None:
            time.sleep(failure.delay_s)
            if failure.status != 200 or failure.body is not None:
                self._fail(failure)
                return
        try:
            with service.lock:
                status, answer = 200, self._result(service, parts.path, query, body)
        except Refusal as refusal:
            status, answer = refusal.status, {"detail": refusal.detail}
        # Numbers no JSON has (NaN) and lone surrogates go out as Python writes them: a client must cope.
        self._answer(status, json.dumps(answer).encode(), {})

    do_POST = do_PUT = do_DELETE = do_GET

    def _result(self, service: LlamaCloudServer, path: str, query: dict[str, str], body: bytes) -> Any:
        if self.headers.get("Authorization") != f"Bearer {service.api_key}":
            raise Refusal(401, "Invalid authentication token")
        for method, pattern, act in _ROUTES:
            match = pattern.fullmatch(path)
            if match and method == self.command:
                return act(service, [unquote(name) for name in match.groups()], query, body)
        raise Refusal(501, f"this test server does not know {self.command} {path}")

    def _fail(self, failure: Failure) -> None:
        if failure.status is None:
            self.close_connection = True
            self.connection.close()
            return
        said = failure.body if failure.body is not None else json.dumps({"detail": "on purpose"}).encode()
        self._answer(failure.status, said, failure.headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _listed(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> list[Json]:
    found = service.pipelines.values()
    wanted = {"name": query.get("pipeline_name"), "project": query.get("project_id")}
    wanted["project_name"] = query.get("project_name")
    return [p.to_dict() for p in found if all(v in (None, getattr(p, k)) for k, v in wanted.items())]


def _pipeline(service: LlamaCloudServer, pipeline_id: str) -> Pipeline:
    if pipeline_id not in service.pipelines:
        raise Refusal(404, "Pipeline not found")
    return service.pipelines[pipeline_id]


def _documents(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> Json:
    documents = list(_pipeline(service, names[0]).documents.values())
    skip, limit = _whole(query, "skip", 0), min(_whole(query, "limit", _DEFAULT_LIMIT), service.most)
    page = [document.to_dict() for document in documents[skip : skip + limit]]
    return {"documents": page, "limit": limit, "offset": skip, "total_count": len(documents)}


def _chunks(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> list[Json]:
    document = _pipeline(service, names[0]).documents.get(names[1])
    if document is None or document.chunks is None:
        raise Refusal(404, "Document not found")
    return document.chunks


def _statuses(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> Json:
    pipeline = _pipeline(service, names[0])
    counts = dict.fromkeys(("NOT_STARTED", "IN_PROGRESS", "SUCCESS", "ERROR", "PARTIAL_SUCCESS", "CANCELLED"), 0)
    for document in pipeline.documents.values():
        counts[document.status] += 1
    return {"pipeline_id": pipeline.id, "counts": counts, "total_count": len(pipeline.documents)}


def _retrieved(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> Json:
    pipeline, asked = _pipeline(service, names[0]), json.loads(body)
    if not isinstance(asked.get("query"), str) or not asked["query"]:
        complaint = {"loc": ["body", "query"], "msg": "String should have at least 1 character", "type": "string"}
        raise Refusal(422, [complaint])
    if asked.get("enable_reranking", True) or asked.get("alpha") != 1.0:
        raise Refusal(501, "this test server retrieves by vector alone and ranks nothing anew")
    k = asked.get("dense_similarity_top_k") or _DEFAULT_LIMIT
    return {"pipeline_id": pipeline.id, "retrieval_nodes": pipeline.retrieve(asked["query"], k), "metadata": {}}


def _sinks(service: LlamaCloudServer, names: list[str], query: dict[str, str], body: bytes) -> list[Json]:
    return [p.data_sink for p in service.pipelines.values() if p.data_sink is not None]


def _whole(query: dict[str, str], name: str, default: int) -> int:
    said = query.get(name, str(default))
    if not said.isdigit():
        raise Refusal(422, [{"loc": ["query", name], "msg": "Input should be a valid integer", "type": "int_parsing"}])
    return int(said)


_Act = Callable[[LlamaCloudServer, list[str], dict[str, str], bytes], Any]


def _route(method: str, path: str, act: _Act) -> tuple[str, re.Pattern[str], _Act]:
    return method, re.compile(_VERSION + path.replace("*", "([^/]+)")), act


_ROUTES = (
    _route("GET", "/pipelines", _listed),
    _route("GET", "/pipelines/*", lambda s, n, q, b: _pipeline(s, n[0]).to_dict()),
    _route("GET", "/pipelines/*/documents/paginated", _documents),
    _route("GET", "/pipelines/*/documents/status-counts", _statuses),
    _route("GET", "/pipelines/*/documents/*/chunks", _chunks),
    _route("POST", "/pipelines/*/retrieve", _retrieved),
    _route("GET", "/data-sinks", _sinks),
)


__all__ = ["Failure", "LlamaCloudServer"]
