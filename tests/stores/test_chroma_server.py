"""A Chroma server: credentials, going away and coming back, large requests."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.stores.chroma_kit import by_id, chroma_server, free_port, held, part
from wherry.address import Address
from wherry.canonical import digests
from wherry.errors import (
    AuthFailed,
    BadAddress,
    Busy,
    NoSuchCollection,
    RateLimited,
    Rejected,
    TimedOut,
    Unreachable,
    WherryError,
)
from wherry.record import make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.chroma import ChromaStore, open_source, open_target
from wherry.stores.chroma.place import place_of
from wherry.testing.samples import sample

SPACE = Space(dimension=8, metric=Metric.L2)
SECRET = "p@ss w0rd/&1"
QUOTED = "p%40ss%20w0rd%2F%261"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with a limit of 200 kB per request, which a configuration file sets."""
    folder = tmp_path_factory.mktemp("chroma")
    with chroma_server(folder, limit=200_000) as port:
        yield port


def at(port: int, name: str, more: str = "") -> Address:
    return Address.parse(f"chroma+http://127.0.0.1:{port}#{name}{more}")


class Door(http.server.BaseHTTPRequestHandler):
    """Stands before a server and lets in only who shows the header; it can answer for it as well."""

    server: Doorway

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        name, value = self.server.wanted
        if self.server.answer:
            return self._say(self.server.answer, b"the door says no", {"retry-after": "7"})
        if self.headers.get(name, "") != value:
            return self._say(401, b"who are you", {})
        inner = http.client.HTTPConnection("127.0.0.1", self.server.inner, timeout=20)
        inner.request(self.command, self.path, body, {"content-type": "application/json"})
        found = inner.getresponse()
        self._say(found.status, found.read(), {"content-type": "application/json"})
        inner.close()

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Doorway(http.server.ThreadingHTTPServer):
    """inner: the port behind the door. wanted: the header to show. answer: a status for everybody."""

    daemon_threads = True

    def __init__(self, inner: int, wanted: tuple[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.inner, self.wanted, self.answer = inner, wanted, 0


@contextmanager
def doorway(inner: int, *wanted: str) -> Iterator[Doorway]:
    with Doorway(inner, (wanted[0], wanted[1])) as door:
        thread = threading.Thread(target=door.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()


def test_round_trip(port: int) -> None:
    batch = part(0, 500)
    with closing(open_target(at(port, "round"))) as store:
        store.prepare(SPACE, Index("hnsw", 9, 77), 500)
        with store.exclusive():
            store.upsert(batch)
            store.upsert(part(100, 50, seed=1))
            store.delete(batch.column("id").slice(0, 10))
            store.finish(SPACE, Index())
    with closing(open_source(at(port, "round"))) as store:
        found = store.describe()
        assert (found.count, found.index, found.bytes, found.volume) == (490, Index("hnsw", 9, 77), None, None)
        there = dict(zip(*(held(store).column("id").to_pylist(), digests(held(store))), strict=True))
    assert [there[i] for i in part(100, 50).column("id").to_pylist()] == digests(part(100, 50, seed=1))


def test_vectors_are_bit_exact_through_json(port: int) -> None:
    bits = np.random.default_rng(5).integers(0, 2**32, (3000, 8), dtype=np.uint32)
    vectors = np.where(np.isfinite(bits.view(np.float32)), bits.view(np.float32), np.float32(-0.0))
    batch = make_batch([f"{n:04}" for n in range(3000)], vectors, [None] * 3000, [None] * 3000)
    with closing(open_target(at(port, "bits"))) as store:
        store.prepare(SPACE, Index(), 3000)
        store.upsert(batch)
        assert vectors_of(held(store)).tobytes() == vectors.tobytes()


def test_a_request_that_is_too_large_is_halved(port: int) -> None:
    """Larger batches than the server takes are sent in pieces; one record that is too large is refused."""
    big = sample(64, 8)
    texts = [f"{n} " + "x" * 9000 for n in range(64)]
    batch = make_batch(big.column("id"), vectors_of(big), texts, big.column("metadata"))
    with closing(open_target(at(port, "large"))) as store:
        store.prepare(SPACE, Index(), 64)
        store.upsert(batch)
        assert digests(held(store)) == digests(by_id(batch))
        giant = make_batch(["giant"], vectors_of(big)[:1].copy(), ["x" * 300_000], [None])
        with pytest.raises(Rejected, match="too large"):
            store.upsert(giant)
        assert store.describe().count == 64


def test_a_missing_collection_names_those_that_are_there(port: int) -> None:
    with closing(open_target(at(port, "present"))) as store:
        store.prepare(SPACE, Index(), 1)
    with pytest.raises(NoSuchCollection, match="collections here: present"):
        open_source(at(port, "presents"))


def test_the_token_opens_the_door(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_target(at(port, "token"))) as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(sample(3, 8))
    ways = {
        ("x-chroma-token", "t1"): ("", "?token=t1"),
        ("authorization", "Bearer t1"): ("", "?token=t1&header=Authorization"),
        ("authorization", "Basic bWU6cEBzcw=="): ("me:p%40ss@", ""),
    }
    for wanted, (user, options) in ways.items():
        with doorway(port, *wanted) as door:
            where = Address.parse(f"chroma+http://{user}127.0.0.1:{door.server_port}#token{options}")
            with closing(open_source(where)) as store:
                assert held(store).num_rows == 3
    with doorway(port, "x-chroma-token", "t2") as door:
        with pytest.raises(AuthFailed, match="CHROMA_TOKEN"):
            open_source(at(door.server_port, "token"))
        monkeypatch.setenv("CHROMA_TOKEN", "t2")
        with closing(open_source(at(door.server_port, "token"))) as store:
            assert store.describe().count == 3


def test_no_secret_shows(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_TOKEN", "f1om-the-environment")
    with doorway(port, "x-chroma-token", SECRET) as door:
        shown = []
        for more in (f"?token={QUOTED}x", "?header=authorization"):
            where = Address.parse(f"chroma+http://me:{QUOTED}@127.0.0.1:{door.server_port}#x{more}")
            with pytest.raises(AuthFailed) as caught:
                open_source(where)
            store, place = open_target(where), place_of(where)
            shown += [str(caught.value), repr(caught.value), repr(store), store.identity, store.address, repr(place)]
    with pytest.raises(BadAddress) as caught:
        open_target(at(port, "x", "?token=gehe%C3%AFm"))
    shown.append(str(caught.value))
    for secret in (SECRET, QUOTED, "f1om-the-environment", "geheïm", "gehe%C3%AFm"):
        assert not [text for text in shown if secret in text]


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthFailed), (403, AuthFailed), (429, RateLimited), (503, Unreachable), (500, Rejected)]
)
def test_a_status_is_told_in_our_words(port: int, status: int, error: type[WherryError]) -> None:
    with doorway(port, "any", "") as door, closing(open_target(at(door.server_port, "status"))) as store:
        store.prepare(SPACE, Index(), 1)
        door.answer = status
        for act in (store.describe, lambda: store.upsert(sample(2, 8)), lambda: list(store.scan())):
            with pytest.raises(error) as caught:
                act()
            if isinstance(caught.value, RateLimited):
                assert caught.value.retry_after_s == 7


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        open_source(at(free_port(), "x"))
    with closing(open_target(at(free_port(), "x"))) as store, pytest.raises(Unreachable):
        store.describe()


def test_a_server_that_says_nothing(port: int) -> None:
    with closing(open_target(at(port, "silent"))) as store:
        store.prepare(SPACE, Index(), 1)
        batch = make_batch(["a"], np.ones((1, 8), dtype=np.float32), ["가" * 60_000], [None])
        store._link()._session.timeout = 0.0001  # type: ignore[union-attr]
        with pytest.raises((TimedOut, Unreachable)):
            store.upsert(batch)


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    port, batch = free_port(), part(0, 400)
    with closing(open_target(at(port, "back"))) as store:
        with chroma_server(tmp_path, port):
            store.prepare(SPACE, Index(), 400)
            store.upsert(batch.slice(0, 200))
        for act in (lambda: store.upsert(batch.slice(200)), store.describe, lambda: store.fetch(batch.column("id"))):
            with pytest.raises(Unreachable):
                act()
        with chroma_server(tmp_path, port):
            store.upsert(batch)
            assert digests(held(store)) == digests(by_id(batch))


def test_two_writers_of_one_collection(port: int) -> None:
    with closing(open_target(at(port, "busy"))) as one, closing(open_target(at(port, "busy"))) as other:
        one.prepare(SPACE, Index(), 1)
        with one.exclusive(), pytest.raises(Busy), other.exclusive():
            pass
        with other.exclusive():
            pass


def test_addresses_of_one_collection_are_one(port: int) -> None:
    identities = {
        ChromaStore(place_of(Address.parse(text))).identity
        for text in ("chroma+http://HOST:8000#a", "chroma+http://host#a", "chroma+http://u:p@host:8000/#a?token=t")
    }
    assert len(identities) == 1
