"""A Qdrant server through the official client: keys, limits, failures, aliases, bulk loads."""

from __future__ import annotations

import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest
from qdrant_client import QdrantClient, models

import wherry
from wherry.canonical import digests
from wherry.errors import (
    AuthFailed,
    BadAddress,
    DiskFull,
    NoSuchCollection,
    RateLimited,
    Rejected,
    TimedOut,
    Unreachable,
    Unsupported,
    WherryError,
)
from wherry.record import Record, from_records, make_batch, to_records
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.qdrant.ids import point_of
from wherry.stores.registry import open_source, open_target
from wherry.testing.qdrant_server import Failure, QdrantServer
from wherry.testing.samples import sample

SPACE = Space(dimension=8, metric=Metric.L2)
HNSW = Index("hnsw", 12, 80)
KEY = "key-0123456789"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    with QdrantServer(tmp_path / "server") as running:
        yield running


@pytest.fixture
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    made = QdrantClient(url=server.url, check_compatibility=False)
    yield made
    made.close()


def address(server: QdrantServer, name: str = "docs", options: str = "") -> str:
    return f"qdrant+http://127.0.0.1:{server.port}#{name}{options}"


def target_at(server: QdrantServer, name: str = "docs", options: str = "", space: Space = SPACE):
    store = open_target(address(server, name, options))
    store.prepare(space, HNSW, 10)
    return store


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(401, "Invalid API key"), AuthFailed),
        (Failure(403, "Forbidden"), AuthFailed),
        (Failure(429, "slow down", {"Retry-After": "7"}), RateLimited),
        (Failure(429, "slow down"), RateLimited),
        (Failure(500, "Service internal error: No space left on device"), DiskFull),
        (Failure(500, "Service internal error: panic"), Rejected),
        (Failure(503, "restarting"), Unreachable),
        (Failure(504, "timeout"), TimedOut),
        (Failure(400, "Bad request: no"), Rejected),
        (Failure(None), Unreachable),
    ],
    ids=["401", "403", "429-after", "429", "disk", "500", "503", "504", "400", "dropped"],
)
def test_failures_are_translated(server: QdrantServer, failure: Failure, error: type[WherryError]) -> None:
    store = target_at(server)
    failure.path = "/points"
    server.fail(failure)
    with pytest.raises(error) as caught:
        store.upsert(from_records([Record("5", (0.0,) * 8, "secret body")]))
    assert caught.value.retryable == (error in (RateLimited, Unreachable, TimedOut))
    assert "secret body" not in str(caught.value)
    if "Retry-After" in failure.headers:
        assert caught.value.retry_after_s == 7.0
    store.upsert(from_records([Record("5", (0.0,) * 8)]))
    assert store.describe().count == 1


def test_a_write_whose_answer_was_lost_can_be_repeated(server: QdrantServer) -> None:
    store = target_at(server)
    server.fail(Failure(None, path="/points", method="PUT", after=True))
    with pytest.raises(Unreachable):
        store.upsert(sample(20))
    store.upsert(sample(20))
    assert store.describe().count == 20


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable):
        open_source(f"qdrant+http://127.0.0.1:{port}#docs")


def test_no_answer_in_time(server: QdrantServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TimedOut):
            open_source(f"qdrant+http://127.0.0.1:{silent.getsockname()[1]}#docs?timeout=1")


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"500 Oops"], ids=["200", "404", "500"])
@pytest.mark.parametrize("body", [b"{}", b"<html>"], ids=["object", "html"])
def test_an_answer_that_is_not_qdrants(status: bytes, body: bytes) -> None:
    """Another web server at that port is told as such, not as a missing collection."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
            connection.close()

        thread = Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(Rejected):
            open_source(f"qdrant+http://127.0.0.1:{other.getsockname()[1]}#docs")
        thread.join(5)


def test_the_key_opens_and_never_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QdrantServer(tmp_path, api_key=KEY) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AuthFailed) as caught:
            open_source(address(server, options="?api_key=wrong-key"))
        assert "wrong-key" not in str(caught.value) + repr(caught.value) + caught.value.where
        target_at(server, options=f"?api_key={KEY}").close()
        monkeypatch.setenv("QDRANT_API_KEY", KEY)
        source = open_source(address(server))
        described = source.describe()
        assert any("unencrypted" in note for note in described.notes)
        assert KEY not in repr(described) + source.address + source.identity
        source.close()
        monkeypatch.setenv("QDRANT_API_KEY", "schlüssel")
        with pytest.raises(BadAddress) as refused:
            open_source(address(server))
        assert "schlüssel" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["qdrant+http://user:pw@host:6333#docs", "qdrant+http:docs", "qdrant+http://h:x#docs", "qdrant+http://h:1",
     "qdrant+http://h#docs?timeout=soon", "qdrant+http://h#docs?colour=red"],
)  # fmt: skip
def test_addresses_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        open_target(text)
    assert "pw" not in str(caught.value)


def test_strict_mode_is_asked_and_obeyed(server: QdrantServer, client: QdrantClient) -> None:
    client.create_collection(
        "docs",
        models.VectorParams(size=8, distance=models.Distance.EUCLID),
        strict_mode_config=models.StrictModeConfig(enabled=True, upsert_max_batchsize=30),
    )
    store = target_at(server)
    assert store.capabilities.max_batch == 30
    store.upsert(sample(100))
    assert store.describe().count == 100
    server.collections.held["docs"].strict["upsert_max_batchsize"] = 10
    with pytest.raises(Rejected, match="Limit exceeded 30 > 10"):
        store.upsert(sample(100))


def test_large_batches_are_split_by_bytes(server: QdrantServer) -> None:
    """Forty records of a megabyte are more than one request may hold."""
    store = target_at(server)
    texts = [f"{n}" + "x" * (1 << 20) for n in range(40)]
    vectors = np.ones((40, 8), dtype=np.float32)
    store.upsert(make_batch([str(n) for n in range(40)], vectors, texts, [None] * 40))
    puts = [path for method, path in server.seen if method == "PUT" and path.endswith("/points")]
    assert len(puts) == 2
    assert {r.text for page in store.scan() for r in to_records(page.records)} == set(texts)


def test_a_record_larger_than_a_request_is_refused_clearly(server: QdrantServer) -> None:
    store = target_at(server)
    with pytest.raises(Rejected, match="larger than allowed"):
        store.upsert(from_records([Record("1", (0.0,) * 8, "x" * (33 << 20))]))


def test_bulk_load_puts_the_graph_off_until_finish(server: QdrantServer) -> None:
    """No graph while loading, the wanted one afterwards, and finish waits until the server is done."""
    store = target_at(server)
    held = server.collections.held["docs"]
    assert held.hnsw["m"] == 0
    assert store.describe().index == HNSW
    store.upsert(sample(50))
    server.collections.busy_looks = 3
    store.finish(SPACE, HNSW)
    assert (held.hnsw["m"], held.hnsw["ef_construct"]) == (12, 80)
    assert held.history[-5:] == ["updated", "yellow", "yellow", "yellow", "green"]
    looks = len(held.history)
    store.finish(SPACE, HNSW)
    assert "updated" not in held.history[looks:]


def test_a_flat_collection_stays_without_a_graph(server: QdrantServer) -> None:
    store = open_target(address(server))
    store.prepare(SPACE, Index("flat"), 10)
    store.upsert(sample(5))
    store.finish(SPACE, Index("flat"))
    assert server.collections.held["docs"].hnsw["m"] == 0
    assert store.describe().index == Index("flat")


def test_an_optimiser_that_failed_is_told(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store = target_at(server)
    info = server.collections.info
    monkeypatch.setattr(server.collections, "info", lambda name: info(name) | {"status": "red"})
    with pytest.raises(Rejected, match="optimiser failed"):
        store.finish(SPACE, HNSW)


def test_a_server_that_sleeps_after_a_restart_is_woken(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store = target_at(server)
    store.finish(SPACE, HNSW)
    held, info = server.collections.held["docs"], server.collections.info
    before = held.history.count("updated")

    def sleeping(name: str) -> dict:
        awake = held.history.count("updated") > before
        return info(name) | ({} if awake else {"status": "grey"})

    monkeypatch.setattr(server.collections, "info", sleeping)
    store.finish(SPACE, HNSW)
    assert held.history.count("updated") == before + 1


def test_an_alias_is_its_collection(server: QdrantServer, client: QdrantClient) -> None:
    target_at(server).upsert(sample(5))
    alias = models.CreateAlias(collection_name="docs", alias_name="live")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    source = open_source(address(server, "live"))
    assert source.describe().count == 5
    assert any("alias of 'docs'" in note for note in source.describe().notes)
    assert source.identity == open_source(address(server)).identity


def test_an_alias_that_moves_takes_no_run_with_it(server: QdrantServer, client: QdrantClient) -> None:
    target_at(server, "old").close()
    target_at(server, "new").close()
    server.collections.aliases["live"] = "old"
    store = open_target(address(server, "live"))
    store.upsert(sample(3))
    server.collections.aliases["live"] = "new"
    store.upsert(sample(3, start=3))
    assert client.count("old").count == 6
    assert client.count("new").count == 0


def test_a_key_that_may_not_list_aliases_still_reads(server: QdrantServer) -> None:
    target_at(server).upsert(sample(5))
    server.fail(Failure(403, "Forbidden", path="/aliases"))
    assert open_source(address(server)).describe().count == 5


def test_a_collection_that_vanishes(server: QdrantServer, client: QdrantClient) -> None:
    store = target_at(server)
    client.delete_collection("docs")
    for act in (lambda: store.upsert(sample(1)), lambda: store.finish(SPACE, HNSW)):
        with pytest.raises(NoSuchCollection):
            act()


def test_collections_of_other_tools(server: QdrantServer, client: QdrantClient) -> None:
    params = models.VectorParams(size=4, distance=models.Distance.DOT)
    client.create_collection("docs", {"a": params, "b": params})
    points = [
        models.PointStruct(id=3, vector={"a": [1.0, 2, 3, 4]}, payload={"page_content": "가", "metadata": {"p": 1}}),
        models.PointStruct(id=4, vector={"b": [1.0, 2, 3, 4]}, payload={"page_content": "나", "metadata": {}}),
    ]
    client.upsert("docs", points)
    with pytest.raises(BadAddress, match="which vector"):
        open_source(address(server))
    source = open_source(address(server, options="?vector=a"))
    [page] = source.scan()
    assert [(r.id, r.text, r.metadata) for r in to_records(page.records)] == [("3", "가", {"p": 1})]
    assert [(r.id, r.reason) for r in page.rejects] == [("4", "MissingVector")]
    with pytest.raises(Unsupported, match="further vectors"):
        open_target(address(server, options="?vector=a")).upsert(from_records([Record("3", (0.0,) * 4)]))


def test_two_ids_of_one_point_are_refused(server: QdrantServer) -> None:
    store, forged = target_at(server), str(point_of("abc"))
    store.upsert(from_records([Record("abc", (0.0,) * 8, "first")]))
    with pytest.raises(Rejected, match=f"abc.*{forged}"):
        store.upsert(from_records([Record(forged, (0.0,) * 8)]))
    assert [r.text for r in to_records(store.fetch(pa.array(["abc"])).records)] == ["first"]


def test_payload_indexes(server: QdrantServer) -> None:
    store = target_at(server, options="?index=category,page:integer")
    store.upsert(sample(20))
    store.finish(SPACE, HNSW)
    store.finish(SPACE, HNSW)
    assert store.describe().extra["payload_indexes"] == ["category", "page"]
    assert sum(path.endswith("/index") for _, path in server.seen) == 2


def test_sync_rides_out_a_slow_server(server: QdrantServer) -> None:
    memory = open_target("memory:#out")
    memory.prepare(SPACE, HNSW, 300)
    memory.upsert(sample(300))
    server.fail(Failure(429, "slow down", {"Retry-After": "0"}, path="/points", method="PUT"))
    done = wherry.sync("memory:#out", address(server), accept_losses=True)
    again = wherry.sync("memory:#out", address(server), accept_losses=True)
    assert done.equal
    assert (again.written, again.unchanged) == (0, 300)
    assert wherry.verify("memory:#out", address(server), level="deep").equal


def test_engine_and_server_hold_the_same_bytes(server: QdrantServer) -> None:
    """What the engine in process stores and what the server stores are the same points."""
    folder = Path(tempfile.mkdtemp(dir=server.collections.folder.parent))
    space = Space(dimension=8, metric=Metric.COSINE)
    stores = [target_at(server, space=space), open_target(f"qdrant:{folder}#docs")]
    stores[1].prepare(space, HNSW, 10)
    for store in stores:
        store.upsert(sample(200))
        store.finish(space, HNSW)
    pages = [pa.Table.from_batches([p.records for p in store.scan()]).combine_chunks() for store in stores]
    assert digests(pages[0].to_batches()[0]) == digests(pages[1].to_batches()[0])
    assert stores[0].describe().space == stores[1].describe().space
    for store in stores:
        store.close()
    shutil.rmtree(folder)
