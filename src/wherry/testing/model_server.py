"""What the model servers for tests share: a socket, a script of faults, and vectors that are always the same.

    with OpenAIServer(key="k") as server:
        server.fail(Fault(429, headers={"retry-after": "2"}))
        openai.OpenAI(api_key="k", base_url=server.url + "/v1").embeddings.create(...)

A server listens on the loopback address only and ends with the `with` block. It speaks the documented API of
its provider as far as clients need it and refuses the rest. Vectors come from the hash embedder: equal texts
get equal vectors everywhere, and near texts near ones. `asked` holds every request in order of arrival.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import numpy as np

from wherry.models.hashing import HashEmbedder

_LONGEST_HOLD_S = 60.0
_PIECE_CHARACTERS = 6
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. headers: names in lower case. body: its JSON, None where there is none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """How coming requests fail: with this status, or by a closed connection (status None).

    code, words: as the provider puts them into its error. path: only requests whose path ends with it. skip: so
    many of them are answered first. times: how often it fails then. after_pieces: a stream that breaks off after
    so many pieces instead of failing at its start.
    """

    status: int | None
    code: str = ""
    words: str = "made to fail"
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""
    skip: int = 0
    times: int = 1
    after_pieces: int | None = None


class Lie(StrEnum):
    """What can be wrong about vectors that come with status 200."""

    FEWER = "fewer"
    MORE = "more"
    REVERSED = "reversed"
    NAN = "nan"
    ZERO = "zero"
    NARROWER = "narrower"
    RAGGED = "ragged"
    EMPTY = "empty"


class Refusal(Exception):
    """A request the provider refuses. code: as the provider names it."""

    def __init__(self, status: int, code: str, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status, self.code, self.words, self.headers = status, code, words, headers or {}


@dataclass(frozen=True)
class Pieces:
    """An answer that is streamed."""

    content_type: str
    pieces: Iterable[bytes]


class ModelServer(ABC):
    """A server on the loopback address.

    key: the one it demands, None for any. dimension: components of its vectors before they are cut to what is
    asked. text_tokens: the longest text; longer ones are refused, or cut in silence. poison: a text that holds
    these characters is refused.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        dimension: int = 64,
        text_tokens: int = 8192,
        cuts_in_silence: bool = False,
        poison: str | None = None,
    ) -> None:
        self.key, self.dimension, self.text_tokens = key, dimension, text_tokens
        self.cuts_in_silence, self.poison = cuts_in_silence, poison
        self.asked: list[Asked] = []
        # Texts whose vectors were answered, in order: what a provider would bill.
        self.embedded: list[str] = []
        # Called with each request before it is answered, in the thread that serves it.
        self.before: Callable[[Asked], None] | None = None
        self._faults: list[Fault] = []
        self._lies: deque[Lie] = deque()
        self._answers: deque[str] = deque()
        self._held = 0
        self._ended = Event()
        self._lock = Lock()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.model = self
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def fail(self, *faults: Fault) -> None:
        """Let coming requests fail, in this order."""
        with self._lock:
            self._faults += faults

    def lie(self, what: Lie, times: int = 1) -> None:
        """Let something be wrong with the vectors of the next answers."""
        self._lies.extend([what] * times)

    def say(self, *answers: str) -> None:
        """Set the next answers of the chat; without any it repeats the last message."""
        self._answers.extend(answers)

    def hold(self, times: int = 1) -> None:
        """Leave the next requests without an answer until the server ends."""
        with self._lock:
            self._held += times

    @property
    def ended(self) -> bool:
        """Whether it has stopped answering."""
        return self._ended.is_set()

    def paths(self) -> list[str]:
        """Return the path of every request so far."""
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    @abstractmethod
    def answer(self, asked: Asked) -> Any:
        """Return the JSON of the answer, or Pieces. Raises Refusal."""

    @abstractmethod
    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return headers and JSON by which the provider refuses."""

    def vectors(self, texts: Sequence[str], dimension: int | None, *, unit: bool = True) -> list[list[float]]:
        """Return the vectors of texts, cut to `dimension` components and of unit length again, or not."""
        rows = HashEmbedder(self.dimension).embed([self._read(text) for text in texts])[:, :dimension]
        if unit:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.embedded.extend(texts)
        return self._lied(rows.astype(np.float32).tolist())

    def tokens(self, text: str) -> int:
        """Return how many tokens a text has here: one for every four bytes of a word, begun ones included."""
        return max(1, sum(-(-len(word) // _BYTES_PER_TOKEN) for word in text.encode().split()))

    def spoken(self, messages: Sequence[str]) -> str:
        """Return what the chat says next."""
        return self._answers.popleft() if self._answers else f"들은 말: {messages[-1]}"

    def pieces(self, text: str) -> list[str]:
        """Cut an answer as a stream brings it."""
        return [text[n : n + _PIECE_CHARACTERS] for n in range(0, len(text), _PIECE_CHARACTERS)]

    def take_fault(self, asked: Asked) -> Fault | None:
        """Record a request and take the fault it is to meet, if there is one; wait if it is held."""
        with self._lock:
            self.asked.append(asked)
            held, self._held = self._held > 0, max(0, self._held - 1)
            found = next((fault for fault in self._faults if asked.path.endswith(fault.path)), None)
            if found is not None and found.skip > 0:
                found.skip, found = found.skip - 1, None
            elif found is not None and not held:
                found.times -= 1
                if found.times == 0:
                    self._faults.remove(found)
        if held:
            self._ended.wait(_LONGEST_HOLD_S)
            return Fault(None)
        return found

    def _read(self, text: str) -> str:
        """Return as much of a text as the model reads. Raises Refusal for what it does not take."""
        if not text:
            raise Refusal(400, "invalid_request_error", "input cannot be an empty string")
        if self.poison is not None and self.poison in text:
            raise Refusal(400, "invalid_request_error", f"cannot embed this input: {text[:80]}")
        if self.tokens(text) <= self.text_tokens:
            return text
        if not self.cuts_in_silence:
            raise Refusal(400, "context_length_exceeded", f"maximum context length is {self.text_tokens} tokens")
        return " ".join(text.split()[: self.text_tokens // 2])

    def _lied(self, rows: list[Any]) -> list[Any]:
        if not self._lies:
            return rows
        return _LIES[self._lies.popleft()](rows)


_LIES: dict[Lie, Callable[[list[Any]], list[Any]]] = {
    Lie.FEWER: lambda rows: rows[:-1],
    Lie.MORE: lambda rows: [*rows, rows[0]],
    Lie.REVERSED: lambda rows: rows[::-1],
    Lie.NAN: lambda rows: [[float("nan"), *rows[0][1:]], *rows[1:]],
    Lie.ZERO: lambda rows: [[0.0] * len(rows[0]), *rows[1:]],
    Lie.NARROWER: lambda rows: [row[:-1] for row in rows],
    Lie.RAGGED: lambda rows: [rows[0][:-1], *rows[1:]],
    Lie.EMPTY: lambda rows: [[] for _ in rows],
}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    # Bursts of connections come from embedders that send many requests at once.
    request_queue_size = 128
    model: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is part of some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        """Answer."""
        model = self.server.model
        if model.ended:
            # A client may keep its connection longer than the server is there.
            self.close_connection = True
            return
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(
            self.command, unquote(urlsplit(self.path).path), headers, json.loads(data) if data.strip() else None
        )
        fault = model.take_fault(asked)
        if model.before is not None:
            model.before(asked)
        if fault is not None and fault.after_pieces is None:
            self._fail(model, fault)
            return
        try:
            found = model.answer(asked)
        except Refusal as refused:
            self._refuse(model, refused)
            return
        if isinstance(found, Pieces):
            self._stream(found, fault)
        else:
            self._send(200, {}, found)

    do_GET = do_POST

    def _fail(self, model: ModelServer, fault: Fault) -> None:
        if fault.status is None:
            self.close_connection = True
            return
        self._refuse(model, Refusal(fault.status, fault.code, fault.words, fault.headers))

    def _refuse(self, model: ModelServer, refused: Refusal) -> None:
        headers, body = model.refusal(refused)
        self._send(refused.status, {**headers, **refused.headers}, body)

    def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, answer: Pieces, fault: Fault | None) -> None:
        self.send_response(200)
        self.send_header("content-type", answer.content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(answer.pieces):
            if fault is not None and number == fault.after_pieces:
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
