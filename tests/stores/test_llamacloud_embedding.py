"""`?embedder=`: vectors the service does not send are made, once, and for no more than was agreed to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import wherry
from tests.stores.llamacloud_kit import KEY, NAME, address, filled, opened, read, texts
from wherry.errors import BadAddress, Refused, UnknownModel
from wherry.models.hashing import HashEmbedder
from wherry.space import Metric
from wherry.stores.llamacloud import pipeline as pipelines
from wherry.stores.registry import open_source
from wherry.testing.llamacloud_pipelines import Document, node
from wherry.testing.llamacloud_server import LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    with LlamaCloudServer(api_key=KEY) as running:
        yield running


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text of a document that was sent to the model."""
    seen: list[str] = []
    plain = HashEmbedder.embed

    def embed(self: HashEmbedder, asked: Sequence[str]) -> np.ndarray:
        seen.extend(text for text in asked if "안내" in text)
        return plain(self, asked)

    monkeypatch.setattr(HashEmbedder, "embed", embed)
    return seen


def priced(monkeypatch: pytest.MonkeyPatch, folder: Path, dollars: str) -> None:
    """State what a million tokens of the hash embedder cost."""
    (folder / "prices.toml").write_text(f"[hash]\ninput = {dollars}\n")
    monkeypatch.setenv("WHERRY_PRICES", str(folder / "prices.toml"))


def without_vectors(server: LlamaCloudServer, documents: int = 4) -> None:
    pipeline = server.pipeline(NAME)
    for number in range(documents):
        pipeline.add(f"문서 {number}", [f"안내 {number}-{n}" for n in range(5)], vectors=False)


def test_a_pipeline_without_vectors_goes_into_chroma(server: LlamaCloudServer, tmp_path: Path) -> None:
    without_vectors(server)
    target = f"chroma:{tmp_path}/welno#welno_medical_knowledge"
    done = wherry.sync(address(server, embedder="hash:32", metric=None), target)
    assert (done.created, done.quarantined, done.equal, done.verified) == (20, 0, True, "deep")
    assert any(note.startswith("embeds with hash:32: 20 records") for note in done.notes)
    space = open_source(target).describe().space
    assert (space.dimension, space.provider, space.metric) == (32, "hash", Metric.COSINE)
    assert texts(open_source(target)) == sorted(f"안내 {d}-{n}" for d in range(4) for n in range(5))


def test_vectors_of_another_model_are_not_mixed_in(server: LlamaCloudServer) -> None:
    filled(server).add("빈", ["안내 없음"], vectors=False)
    source = opened(server, embedder="hash:64")
    assert source.describe().space.provider == "hash"
    records, rejects = read(source)
    assert (len(records), rejects) == (10, [])
    for record in records.values():
        assert np.array_equal(record.vector, HashEmbedder(64).embed([record.text or ""])[0])


def test_vectors_of_the_same_model_are_kept(
    server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch, sent: list[str]
) -> None:
    monkeypatch.setitem(pipelines._PROVIDERS, "HASH_EMBEDDING", "hash")
    config = {"type": "HASH_EMBEDDING", "component": {"model_name": HashEmbedder(64).spec, "dimensions": 64}}
    pipeline = server.pipeline(NAME, embedding_config=config)
    theirs = node("안내 하나", 0, "있음", np.arange(64))
    pipeline.put(Document("있음", "", {}, [theirs, node("안내 둘", 1, "있음", None)]))
    records, rejects = read(opened(server, embedder="hash:64"))
    assert rejects == []
    assert np.array_equal(records[theirs["id_"]].vector, np.arange(64))
    assert sent == ["안내 둘"]


def test_no_text_is_paid_for_twice(server: LlamaCloudServer, tmp_path: Path, sent: list[str]) -> None:
    without_vectors(server)
    server.pipelines[next(iter(server.pipelines))].add("다시", ["안내 0-0", "안내 0-0"], vectors=False)
    source = address(server, embedder="hash:32")
    wherry.plan(source, tmp_path / "a.parquet")
    wherry.sync(source, tmp_path / "a.parquet")
    assert wherry.verify(source, tmp_path / "a.parquet").equal
    assert sorted(sent) == sorted(f"안내 {d}-{n}" for d in range(4) for n in range(5))
    [note] = [note for note in open_source(source).describe().notes if note.startswith("embeds")]
    assert note == "embeds with hash:32: 22 records, 22 of them known already; about 0 tokens, about $0.0000"


def test_money_is_spent_only_when_agreed(
    server: LlamaCloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[str]
) -> None:
    priced(monkeypatch, tmp_path, "5000.0")
    without_vectors(server)
    for act in (wherry.plan, wherry.sync):
        with pytest.raises(Refused, match="takes money nobody agreed to: 20 records") as caught:
            act(address(server, embedder="hash:32"), tmp_path / "a.json")
        assert (caught.value.exit_code, sent) == (3, [])
    budget = caught.value.next.partition("?budget=")[2].partition(" ")[0]
    with pytest.raises(Refused):
        wherry.sync(address(server, embedder="hash:32", budget=float(budget) / 2), tmp_path / "a.json")
    assert wherry.sync(address(server, embedder="hash:32", budget=budget), tmp_path / "a.json").created == 20
    # What is paid for costs nothing any more.
    assert wherry.verify(address(server, embedder="hash:32"), tmp_path / "a.json").equal
    source = opened(server, embedder="hash:16")
    with pytest.raises(Refused):
        source.fetch(next(source.ids()))


def test_a_model_without_a_known_price_is_not_used(server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.stores.llamacloud.embedding.price_of", lambda spec: None)
    without_vectors(server)
    with pytest.raises(Refused, match="no price is known") as caught:
        read(opened(server, embedder="hash:32", budget=1000))
    assert "WHERRY_PRICES" in caught.value.next


def test_what_cannot_be_embedded_is_named(server: LlamaCloudServer) -> None:
    pipeline = server.pipeline(NAME)
    bad = {
        "a": node(None, 0, "d", [0.5] * 64), "b": node("", 1, "d", None), "c": node(" \n", 2, "d", None),
        "d": node("글\ud800", 3, "d", None), "e": node("좋음", 4, "d", None),
    }  # fmt: skip
    bad["e"]["embedding"] = ["x"]
    pipeline.put(Document("d", "", {}, [chunk | {"id_": name} for name, chunk in bad.items()]))
    records, rejects = read(opened(server, embedder="hash:64"))
    assert list(records) == ["e"]
    reasons = {reject.id: reject.reason for reject in rejects}
    assert reasons == {"a": "MissingVector", "b": "MissingVector", "c": "NotEmbedded", "d": "BadText"}
    assert not any("글" in reject.detail for reject in rejects)


def test_what_is_fetched_has_the_vectors_of_the_scan(server: LlamaCloudServer) -> None:
    without_vectors(server)
    source = opened(server, embedder="hash:32")
    scanned = read(source)[0]
    page = source.fetch(pa.array(list(scanned)[:3]))
    assert page.records.num_rows == 3
    assert all(np.array_equal(row.vector, scanned[row.id].vector) for row in wherry.record.to_records(page.records))


def test_specs_that_cannot_be_used(server: LlamaCloudServer) -> None:
    filled(server)
    with pytest.raises(UnknownModel):
        opened(server, embedder="nobody:1")
    with pytest.raises(BadAddress):
        opened(server, embedder="hash:0")
    with pytest.raises(BadAddress, match="budget is a number of 0 or more"):
        opened(server, budget="-1")


def test_other_vectors_are_another_collection(server: LlamaCloudServer) -> None:
    filled(server)
    assert opened(server).identity != opened(server, embedder="hash:32").identity


def test_without_a_state_folder_it_works_too(
    server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WHERRY_HOME", str(tmp_path / "file"))
    without_vectors(server)
    assert len(read(opened(server, embedder="hash:32"))[0]) == 20
