"""What the service may answer instead of what was asked for, over the wire."""

from __future__ import annotations

import email.utils
import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry
from tests.stores.llamacloud_kit import KEY, address, filled, opened, read
from wherry.errors import (
    AuthFailed,
    NoSuchCollection,
    QuotaExceeded,
    RateLimited,
    Rejected,
    TimedOut,
    Unreachable,
    WherryError,
)
from wherry.stores.llamacloud import pace
from wherry.testing.llamacloud_pipelines import Document
from wherry.testing.llamacloud_server import Failure, LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    # What is tried again is tried at once; how long is waited is tested with a clock of its own.
    monkeypatch.setattr(pace, "_FIRST_WAIT_S", 0.001)
    with LlamaCloudServer(api_key=KEY) as running:
        yield running


@pytest.mark.parametrize(
    "failure",
    [
        Failure(429),
        Failure(429, {"Retry-After": "0.01"}),
        Failure(429, {"Retry-After": email.utils.formatdate(0, usegmt=True)}),
        Failure(503, {"Retry-After": "0"}),
        Failure(500),
        Failure(502, body=b"<html>bad gateway</html>", headers={"Content-Type": "text/html"}),
        Failure(504),
        Failure(408),
        Failure(None),
    ],
    ids=["429", "429-after", "429-date", "503-after", "500", "502", "504", "408", "dropped"],
)
@pytest.mark.parametrize("path", ["/pipelines", "/documents/paginated", "/chunks", "/status-counts"])
def test_what_can_succeed_is_tried_again(server: LlamaCloudServer, failure: Failure, path: str) -> None:
    filled(server)
    server.fail(Failure(failure.status, failure.headers, path, failure.body, times=2))
    source = opened(server)
    assert source.describe().count == 9
    assert len(read(source)[0]) == 9
    assert server.asked(path) >= 3


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (Failure(401), AuthFailed, "401"),
        (Failure(403), AuthFailed, "403"),
        (Failure(402), QuotaExceeded, "402"),
        (Failure(400), Rejected, "on purpose"),
        (
            Failure(422, body=b'{"detail": [{"loc": ["query", "skip"], "msg": "bad", "input": "BODY"}]}'),
            Rejected,
            "query.skip: bad",
        ),
        (Failure(200, body=b"<html>a proxy</html>"), Rejected, "not JSON"),
        (Failure(200, body=b"[1, 2]"), Rejected, "not one of LlamaCloud's"),
        (Failure(200, body=b"7"), Rejected, "not one of LlamaCloud's"),
        (Failure(200, body=b"[" * 100_000), Rejected, "nested too deeply"),
    ],
    ids=["401", "403", "402", "400", "422", "html", "list", "number", "deep"],
)
def test_what_cannot_succeed_is_not(
    server: LlamaCloudServer, failure: Failure, kind: type[WherryError], words: str
) -> None:
    filled(server)
    failure.path = "/documents/paginated"
    server.fail(failure)
    source = opened(server)
    with pytest.raises(kind, match=words) as caught:
        source.describe()
    assert server.asked("/documents/paginated") == 1
    assert "BODY" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [404, 405, 422])
def test_a_service_without_a_count_of_states_is_read_too(server: LlamaCloudServer, status: int) -> None:
    filled(server)
    server.fail(Failure(status, path="/status-counts"))
    found = opened(server).describe()
    assert found.count == 9
    assert "the service does not say which documents are indexed" in found.notes


def test_a_wrong_key_ends_it_at_once(server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(server)
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-wrong-C4n4ry")
    with pytest.raises(AuthFailed) as caught:
        opened(server)
    assert len(server.seen) == 1
    assert caught.value.exit_code == 4
    assert "C4n4ry" not in str(caught.value) + repr(caught.value)
    assert "LLAMA_CLOUD_API_KEY" in caught.value.next


def test_a_key_that_is_withdrawn_while_reading(server: LlamaCloudServer) -> None:
    filled(server, documents=30)
    server.when("/chunks", 11, lambda: setattr(server, "api_key", "llx-other"))
    source = opened(server, concurrency=4)
    with pytest.raises(AuthFailed):
        source.describe()
    assert server.asked("/chunks") < 30


def test_a_service_that_never_recovers_is_given_up(server: LlamaCloudServer) -> None:
    filled(server)
    server.fail(Failure(500, path="/chunks", times=-1))
    with pytest.raises(Unreachable, match="500: on purpose"):
        opened(server, concurrency=1).describe()
    # Six tries for one document; the others were never asked for or given up as well.
    assert server.asked("/chunks") <= 6 * 3


def test_a_wait_beyond_the_deadline_is_not_begun(server: LlamaCloudServer) -> None:
    filled(server)
    server.fail(Failure(429, {"Retry-After": "3600"}, path="/chunks", times=-1))
    began = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        opened(server, concurrency=1, deadline=60).describe()
    assert time.monotonic() - began < 30
    assert caught.value.retry_after_s == 3600
    assert server.asked("/chunks") == 1


def test_a_service_that_does_not_answer_in_time(server: LlamaCloudServer) -> None:
    filled(server)
    source = opened(server, timeout=1.5, deadline=0.001)
    server.fail(Failure(200, path="/documents/paginated", delay_s=6))
    with pytest.raises(TimedOut, match="in time"):
        source.describe()
    assert server.asked("/documents/paginated") == 1


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable):
            wherry.plan(f"llamacloud+http://127.0.0.1:{port}#x", "memory:#y")


@pytest.mark.parametrize("name", ["", "..", "."])
def test_a_document_nobody_can_ask_for_is_told(server: LlamaCloudServer, name: str) -> None:
    pipeline = filled(server)
    pipeline.put(Document(name, "", {}, []))
    with pytest.raises(Rejected, match="an id that cannot be asked for"):
        opened(server).describe()


@pytest.mark.parametrize("name", ["안내/둘", "a b?c#d%2F", "../chunks"])
def test_ids_with_signs_of_their_own_are_asked_for_as_they_are(server: LlamaCloudServer, name: str) -> None:
    filled(server).add(name, ["하나"])
    assert opened(server).describe().count == 10


def test_a_pipeline_that_goes_while_it_is_read(server: LlamaCloudServer) -> None:
    filled(server)
    source = opened(server)
    server.pipelines.clear()
    with pytest.raises(NoSuchCollection):
        source.describe()


def test_sync_waits_and_comes_to_its_end(server: LlamaCloudServer, tmp_path: Path) -> None:
    filled(server, documents=20)
    for path in ("/chunks", "/documents/paginated"):
        server.fail(Failure(429, {"Retry-After": "0"}, path, times=3))
        server.fail(Failure(None, path=path, times=2))
    done = wherry.sync(address(server), tmp_path / "export.json")
    assert (done.written, done.equal, done.verified) == (60, True, "deep")


def test_the_key_shows_nowhere(
    server: LlamaCloudServer, wherry_home: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    pipeline = filled(server)
    pipeline.add("빈", ["벡터 없음"], vectors=False)
    source = opened(server)
    shown = [repr(source), source.address, source.identity, repr(source.describe()), repr(vars(source))]
    shown += [repr(vars(source._link)), repr(source._place)]
    source.close()
    shown.append(json.dumps(wherry.plan(address(server), tmp_path / "a.json").to_dict()))
    shown.append(json.dumps(wherry.sync(address(server), tmp_path / "a.json").to_dict()))
    server.fail(Failure(400, path="/chunks", times=-1, body=json.dumps({"detail": f"Bearer {KEY} is bad"}).encode()))
    with pytest.raises(Rejected) as caught:
        wherry.sync(address(server), tmp_path / "b.json")
    shown += [str(caught.value), repr(caught.value), json.dumps(caught.value.to_dict())]
    shown += [*capfd.readouterr(), caplog.text]
    assert not any(KEY in text or "C4n4ry" in text for text in shown)
    kept = [path for folder in (wherry_home, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"C4n4ry" in path.read_bytes() for path in kept)
