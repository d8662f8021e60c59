"""Documents that come, go and change while they are read; readings that stop and go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

import wherry
from tests.stores.llamacloud_kit import KEY, TEXTS, address, filled, opened, read, texts
from wherry.errors import DiskFull, RateLimited, SourceChanged, Unreachable
from wherry.moving.retry import retrying
from wherry.stores.llamacloud import pace, spool
from wherry.stores.registry import open_source
from wherry.testing.llamacloud_pipelines import Pipeline
from wherry.testing.llamacloud_server import Failure, LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    monkeypatch.setattr(pace, "_FIRST_WAIT_S", 0.001)
    with LlamaCloudServer(api_key=KEY, most=5) as running:
        yield running


def held(pipeline: Pipeline) -> list[str]:
    """Return the texts a pipeline holds now, sorted."""
    return sorted(c["text"] for d in pipeline.documents.values() for c in d.chunks or [])


_EVENTS: dict[str, Callable[[Pipeline], object]] = {
    "first-goes": lambda p: p.documents.pop("안내 0"),
    "seen-goes": lambda p: p.documents.pop("안내 3"),
    "unseen-goes": lambda p: p.documents.pop("안내 11"),
    "one-comes": lambda p: p.add("새 안내", TEXTS),
    "one-goes-one-comes": lambda p: (p.documents.pop("안내 1"), p.add("새 안내", TEXTS)),
    "seen-changes": lambda p: p.add("안내 2", ["바뀐 글"]),
    "unseen-changes": lambda p: p.add("안내 10", ["바뀐 글", "둘째", "셋째"]),
    "all-go": lambda p: p.documents.clear(),
}


@pytest.mark.parametrize("event", _EVENTS)
@pytest.mark.parametrize("page", [1, 2])
def test_a_change_between_two_pages_loses_nothing(server: LlamaCloudServer, event: str, page: int) -> None:
    pipeline = filled(server, documents=12)
    source = opened(server, concurrency=1)
    server.when("/documents/paginated", page + 1, lambda: _EVENTS[event](pipeline))
    source.describe()
    assert texts(source) == held(pipeline)


@pytest.mark.parametrize("event", _EVENTS)
@pytest.mark.parametrize("nth", [1, 6, 12])
def test_a_change_between_two_documents_loses_nothing(server: LlamaCloudServer, event: str, nth: int) -> None:
    pipeline = filled(server, documents=12)
    source = opened(server, concurrency=1)
    server.when("/chunks", nth, lambda: _EVENTS[event](pipeline))
    source.describe()
    assert texts(source) == held(pipeline)
    assert source.describe().count == len(held(pipeline))


@pytest.mark.parametrize("event", ["first-goes", "seen-changes", "all-go"])
def test_what_was_handed_out_and_changed_is_told(server: LlamaCloudServer, event: str) -> None:
    pipeline = filled(server, documents=12)
    source = opened(server)
    scan = source.scan(4)
    next(scan)
    for _ in range(8):
        next(scan)
    _EVENTS[event](pipeline)
    with pytest.raises(SourceChanged, match="changed while they were read") as caught:
        list(scan)
    assert caught.value.retryable
    assert texts(source) == held(pipeline)


def test_what_comes_during_a_scan_is_handed_out_too(server: LlamaCloudServer) -> None:
    pipeline = filled(server, documents=3)
    scan = opened(server).scan(2)
    found = next(scan).ids.to_pylist()
    pipeline.add("새 안내", TEXTS)
    for page in scan:
        found += page.ids.to_pylist()
    assert sorted(found) == sorted(c["id_"] for d in pipeline.documents.values() for c in d.chunks or [])


def test_documents_that_never_hold_still_are_told(server: LlamaCloudServer) -> None:
    pipeline = filled(server, documents=12)
    numbers = iter(range(10_000))

    def stir() -> None:
        pipeline.add(f"또 {next(numbers)}", TEXTS)
        server.when("/documents/paginated", 1, stir)

    source = opened(server)
    stir()
    with pytest.raises(SourceChanged, match="each time"):
        source.describe()


def test_a_document_that_is_listed_and_has_no_chunks_any_more(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    pipeline.documents["안내 1"].chunks = None
    source = opened(server)
    assert "documents without chunks: 1, of which 1 are being deleted" in source.describe().notes
    assert len(texts(source)) == 6


def test_sync_tries_again_by_itself_and_ends_equal(
    server: LlamaCloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry.moving.sync.retrying", partial(retrying, sleep=lambda seconds: None))
    pipeline = filled(server, documents=12)
    # Three requests per listing, two listings before the scan: the seventh belongs to the check at its end.
    server.when("/documents/paginated", 7, lambda: pipeline.add("안내 2", ["바뀐 글"]))
    heard: list[str] = []
    done = wherry.sync(address(server), tmp_path / "copy.parquet", progress=lambda words, done, of: heard.append(words))
    assert any("1 of 12 documents changed while they were read" in words for words in heard)
    assert server.asked("/chunks") == 13
    assert done.equal
    assert texts(open_source(str(tmp_path / "copy.parquet"))) == held(pipeline)


def test_a_document_deleted_at_the_service_is_deleted_at_the_target(server: LlamaCloudServer, tmp_path: Path) -> None:
    pipeline = filled(server, documents=12)
    target = tmp_path / "copy.json"
    assert wherry.sync(address(server), target).created == 36
    pipeline.documents.pop("안내 5")
    pipeline.add("안내 6", ["바뀐 글"])
    done = wherry.sync(address(server), target)
    assert (done.changed, done.deleted, done.unchanged, done.equal) == (1, 5, 30, True)
    assert wherry.verify(address(server), target).equal


def test_an_act_asks_for_each_document_once(server: LlamaCloudServer, tmp_path: Path, wherry_home: Path) -> None:
    filled(server, documents=12)
    wherry.sync(address(server), tmp_path / "copy.json")
    assert server.asked("/chunks") == 12
    # Nothing of it stays behind, and the next act reads all of it again.
    assert [path for path in (wherry_home / "llamacloud").iterdir() if path.suffix != ".lock"] == []
    assert wherry.verify(address(server), tmp_path / "copy.json").equal
    assert server.asked("/chunks") == 24


def test_an_interrupted_reading_goes_on(server: LlamaCloudServer, tmp_path: Path, wherry_home: Path) -> None:
    pipeline = filled(server, documents=12)
    server.when("/chunks", 9, lambda: server.fail(Failure(429, {"Retry-After": "9999"}, "/chunks", times=-1)))
    with pytest.raises(RateLimited):
        wherry.sync(address(server, concurrency=1, deadline=1), tmp_path / "copy.json")
    [kept] = [path for path in (wherry_home / "llamacloud").iterdir() if path.suffix == ".sqlite3"]
    assert kept.stat().st_mode & 0o077 == 0
    server._failures.clear()
    server.seen.clear()
    pipeline.add("안내 0", ["바뀐 글"])
    source = opened(server, concurrency=1)
    assert any("7 unchanged documents are not asked for again" in note for note in source.describe().notes)
    assert server.asked("/chunks") == 5
    assert texts(source) == held(pipeline)
    source.close()
    assert not kept.exists()


def _left_half_way(server: LlamaCloudServer) -> None:
    source = opened(server)
    source.describe()
    next(source.scan(2))
    source.close()


@pytest.mark.parametrize("spoil", ["old", "damaged", "other-settings", "other-version"])
def test_what_was_kept_is_not_trusted_blindly(server: LlamaCloudServer, wherry_home: Path, spoil: str) -> None:
    pipeline = filled(server)
    _left_half_way(server)
    [kept] = list((wherry_home / "llamacloud").glob("*.sqlite3"))
    if spoil == "damaged":
        kept.write_bytes(b"no database at all, and long enough to be looked at" * 100)
    elif spoil == "other-settings":
        pipeline.embedding_config = {"type": "COHERE_EMBEDDING", "component": {"model_name": "other"}}
    else:
        column, value = ("began", "5") if spoil == "old" else ("version", "0")
        with sqlite3.connect(kept) as db:
            db.execute("UPDATE meta SET value = ? WHERE name = ?", (value, column))
    server.seen.clear()
    source = opened(server)
    assert source.describe().count == 9
    assert server.asked("/chunks") == 3
    assert not any("not asked for again" in note for note in source.describe().notes)


def test_two_readers_of_one_pipeline_do_not_meet(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    one, other = opened(server), opened(server)
    assert texts(one) == texts(other) == held(pipeline)
    one.close()
    assert texts(other) == held(pipeline)
    other.close()


def test_a_state_folder_that_cannot_be_written_is_no_obstacle(
    server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WHERRY_HOME", str(tmp_path / "file"))
    pipeline = filled(server)
    source = opened(server)
    assert texts(source) == held(pipeline)
    source.close()


def test_a_full_disk_is_told(server: LlamaCloudServer) -> None:
    filled(server, documents=12)
    source = opened(server)
    # SQLite does not go below what the file has already.
    source._spool._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(DiskFull, match="cannot be kept") as caught:
        source.describe()
    assert "WHERRY_HOME" in caught.value.next
    source._spool._db.execute("PRAGMA max_page_count = 100000")
    assert source.describe().count == 36


def test_settings_that_change_mean_reading_anew(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    source = opened(server)
    assert source.describe().space.model == "text-embedding-3-small"
    source.close()
    pipeline.embedding_config["component"]["model_name"] = "text-embedding-3-large"
    assert opened(server).describe().space.model == "text-embedding-3-large"


def test_what_was_fetched_is_what_was_last_read(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    source = opened(server)
    chunk = (pipeline.documents["안내 1"].chunks or [])[0]
    page = source.fetch(pa.array([chunk["id_"], "none", chunk["id_"]]))
    assert page.ids.to_pylist() == [chunk["id_"]]
    pipeline.documents.pop("안내 1")
    source.describe()
    assert source.fetch(pa.array([chunk["id_"]])).read == 0


def test_the_same_id_in_two_documents_is_told(server: LlamaCloudServer, tmp_path: Path) -> None:
    pipeline = filled(server, documents=1)
    (pipeline.documents["안내 0"].chunks or [])[1]["id_"] = (pipeline.documents["안내 0"].chunks or [])[0]["id_"]
    done = wherry.sync(address(server), tmp_path / "copy.json")
    assert (done.read, done.quarantined, done.equal) == (3, 1, False)


def test_a_reading_that_fails_says_so_and_loses_nothing(server: LlamaCloudServer, tmp_path: Path) -> None:
    pipeline = filled(server, documents=12)
    server.fail(Failure(500, path="/chunks", times=-1))
    with pytest.raises(Unreachable):
        wherry.sync(address(server), tmp_path / "copy.json")
    assert not (tmp_path / "copy.json").exists()
    server._failures.clear()
    assert wherry.sync(address(server), tmp_path / "copy.json").created == len(held(pipeline))


def test_kept_for_hours_not_for_ever() -> None:
    assert spool.KEPT_S == 6 * 3600


def test_read_finds_all(server: LlamaCloudServer) -> None:
    filled(server, documents=12)
    for rows in (1, 5, 4096):
        assert len(read(opened(server), rows)[0]) == 36
