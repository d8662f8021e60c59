"""What a pipeline of LlamaCloud looks like as a collection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.stores.llamacloud_kit import KEY, NAME, TEXTS, address, filled, opened, read
from wherry.errors import (
    AuthFailed,
    BadAddress,
    NoSuchCollection,
    Refused,
    SpaceMismatch,
    Unsupported,
    Usage,
)
from wherry.models.hashing import HashEmbedder
from wherry.space import Metric, Space
from wherry.stores.llamacloud.sink import sink_of
from wherry.stores.registry import open_source, open_target
from wherry.testing.llamacloud_pipelines import PROJECT, Document, node, openai_config, postgres_sink
from wherry.testing.llamacloud_server import LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    with LlamaCloudServer(api_key=KEY) as running:
        yield running


def test_chunks_are_the_records(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    records, rejects = read(opened(server))
    assert rejects == []
    assert sorted(r.text or "" for r in records.values()) == sorted(f"{n}. {t}" for n in range(3) for t in TEXTS)
    chunk = (pipeline.documents["안내 1"].chunks or [])[2]
    record = records[chunk["id_"]]
    assert record.metadata == {
        "document_id": "안내 1", "start_char_idx": 200, "end_char_idx": 200 + len(chunk["text"]),
        "file_name": "안내 1.pdf", "page_label": "3",
    }  # fmt: skip
    assert np.array_equal(record.vector, HashEmbedder(64).embed([chunk["text"]])[0])


def test_many_documents_on_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_PARSE_API_KEY", KEY)
    with LlamaCloudServer(api_key=KEY, most=7) as server:
        filled(server, documents=40)
        source = opened(server, concurrency=3)
        assert source.describe().count == 120
        assert len(read(source)[0]) == 120
        assert sum(len(page) for page in source.ids(50)) == 120
        assert server.asked("/chunks") == 40


def test_what_the_card_says(server: LlamaCloudServer) -> None:
    filled(server)
    found = opened(server).describe()
    assert (found.name, found.exists, found.count, found.notes) == (NAME, True, 9, found.notes)
    assert found.space == Space(64, Metric.COSINE, "openai", "text-embedding-3-small")
    assert opened(server, metric=None).describe().space.metric is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (openai_config(), ("openai", "text-embedding-3-small", 1536)),
        (
            {"type": "MANAGED_OPENAI_EMBEDDING", "component": {"model_name": "openai-text-embedding-3-small"}},
            ("openai", "text-embedding-3-small", 1536),
        ),
        ({"type": "MANAGED_OPENAI_EMBEDDING", "component": None}, ("openai", "text-embedding-3-small", 1536)),
        (
            {"type": "AZURE_EMBEDDING", "component": {"azure_deployment": "ours", "dimensions": 256}},
            ("azure", "ours", 256),
        ),
        (
            {"type": "GEMINI_EMBEDDING", "component": {"model_name": "models/gemini-embedding-001"}},
            ("gemini", "gemini-embedding-001", 3072),
        ),
        ({"type": "COHERE_EMBEDDING", "component": {"model_name": "embed-x"}}, ("cohere", "embed-x", None)),
        ({"type": "SOMETHING_NEW"}, (None, None, None)),
    ],
)
def test_the_model_comes_from_the_configuration(server: LlamaCloudServer, config: Any, expected: Any) -> None:
    server.pipeline(NAME, embedding_config=config)
    space = opened(server).describe().space
    assert (space.provider, space.model, space.dimension) == expected


def test_without_vectors_it_says_what_embedding_anew_takes(server: LlamaCloudServer) -> None:
    pipeline = filled(server, documents=1)
    pipeline.add("벡터 없음", ["혈압" * 500_000, "혈당 hello"], vectors=False)
    source = opened(server)
    found = source.describe()
    [note] = [note for note in found.notes if note.startswith("re-embed")]
    assert "2 of 5 records have no vector (1,000,008 characters, about 1,200,005 tokens" in note
    assert "about $0.02 with openai:text-embedding-3-small" in note
    assert found.extra["missing_vectors"] == 2
    records, rejects = read(source)
    assert len(records) == 3
    assert {reject.reason for reject in rejects} == {"MissingVector"}


def test_texts_come_with_or_without_vectors(server: LlamaCloudServer) -> None:
    filled(server, documents=1).add("빈", ["벡터 없음"], vectors=False)
    found = {text: json.loads(metadata or "") for _, text, metadata in opened(server).texts()}
    assert len(found) == 4
    assert found["벡터 없음"]["document_id"] == "빈"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "COHERE_EMBEDDING", "component": {"model_name": "embed-x"}}, "no price is known for cohere:embed-x"),
        ({"type": "SOMETHING_NEW"}, "does not say which model"),
    ],
)
def test_an_unknown_price_is_said(server: LlamaCloudServer, config: Any, words: str) -> None:
    server.pipeline(NAME, embedding_config=config).add("가", ["나"], vectors=False)
    source = opened(server)
    assert any(words in note for note in source.describe().notes)
    assert len(read(source)[1]) == 1


_HOSTILE = {
    "BadId": {"id_": None},
    "BadText": {"text": 5},
    "BadMetadata": {"extra_info": [1]},
    "BadVector": {"embedding": ["x"] * 64},
    "WrongDimension": {"embedding": [1.0, 2.0]},
    "MissingVector": {"embedding": []},
    "NonFinite": {"embedding": [10**400] + [0.0] * 63},
}


@pytest.mark.parametrize("reason", _HOSTILE)
def test_a_chunk_no_batch_can_hold_is_named(server: LlamaCloudServer, reason: str) -> None:
    pipeline = filled(server, documents=1)
    bad = node("가", 0, "나쁨", [0.5] * 64) | _HOSTILE[reason]
    good = node("나", 1, "나쁨", [0.5] * 64)
    pipeline.put(Document("나쁨", "", {}, [bad, good]))
    records, [reject] = read(opened(server))
    assert len(records) == 4
    assert (reject.id, reject.reason) == (bad["id_"] or "나쁨#0", reason)


@pytest.mark.parametrize("field", ["id_", "text", "extra_info"])
def test_what_is_not_unicode_is_named(server: LlamaCloudServer, field: str) -> None:
    value: Any = {"page": "\ud800"} if field == "extra_info" else "가\ud800"
    chunk = node("가", 0, "나쁨", [0.5] * 64) | {field: value}
    filled(server, documents=1).put(Document("나쁨", "", {}, [chunk]))
    records, [reject] = read(opened(server))
    assert len(records) == 3
    assert reject.reason.startswith("Bad")
    assert reject.id.encode()


def test_metadata_that_json_cannot_say_is_named(server: LlamaCloudServer) -> None:
    chunk = node("가", 0, "나쁨", [0.5] * 64, extra_info={"score": float("nan")})
    filled(server, documents=1).put(Document("나쁨", "", {}, [chunk]))
    assert [reject.reason for reject in read(opened(server))[1]] == ["BadMetadata"]


def test_values_cross_as_they_are(server: LlamaCloudServer) -> None:
    held = {
        "long": 2**70,
        "zero": -0.0,
        "nested": {"a": [None, True]},
        "empty": {},
        "글": "한\x00글",
        "document_id": "mine",
    }
    chunk = node(None, 0, "모두", np.float32([0.1, -0.0, 1e-45, 3e38] * 16), extra_info=held)
    filled(server, documents=0).put(Document("모두", "", {}, [chunk]))
    [record] = read(opened(server))[0].values()
    assert record.text is None
    assert json.dumps(record.metadata | {}) == json.dumps(
        {"document_id": "mine", "start_char_idx": 0, "end_char_idx": 0} | held
    )
    assert record.vector.tobytes() == np.float32([0.1, -0.0, 1e-45, 3e38] * 16).tobytes()


def test_a_chunk_may_call_its_metadata_otherwise(server: LlamaCloudServer) -> None:
    chunk = node("가", 0, "다른", [0.5] * 64, metadata={"page": 7})
    del chunk["extra_info"]
    filled(server, documents=0).put(Document("다른", "", {}, [chunk]))
    [record] = read(opened(server, carry=""))[0].values()
    assert record.metadata == {"page": 7}


def test_what_is_carried_is_the_users_choice(server: LlamaCloudServer) -> None:
    filled(server, documents=1)
    source = opened(server)
    assert any("relationships (3)" in note for note in source.describe().notes)
    kept = opened(server, carry="document_id,relationships")
    assert not any("relationships" in note for note in kept.describe().notes)
    record = next(iter(read(kept)[0].values()))
    assert record.metadata is not None
    assert record.metadata["relationships"]["1"]["node_id"] == record.metadata["document_id"] == "안내 0"
    with pytest.raises(BadAddress, match="no field page"):
        opened(server, carry="page")


def test_documents_that_are_not_indexed_are_told(server: LlamaCloudServer) -> None:
    pipeline = filled(server)
    pipeline.add("빈", [])
    pipeline.documents["안내 0"].status = "ERROR"
    notes = opened(server).describe().notes
    assert any("1 ERROR" in note for note in notes)
    assert "documents without chunks: 1" in notes


def test_a_pipeline_is_found_by_name_id_and_project(server: LlamaCloudServer) -> None:
    one = filled(server)
    other = server.pipeline("other", project="22222222-2222-4222-8222-222222222222", project_name="checkup")
    assert opened(server).identity == opened(server, one.id).identity
    assert opened(server, "other", project="checkup").identity != opened(server).identity
    assert opened(server, "other", project=other.project).describe().count == 0
    with pytest.raises(NoSuchCollection):
        opened(server, "other", project=PROJECT)
    with pytest.raises(NoSuchCollection, match="Pipeline not found"):
        opened(server, one.id.replace(one.id[0], "0" if one.id[0] != "0" else "1"))


def test_a_name_that_is_not_there_names_those_that_are(server: LlamaCloudServer) -> None:
    with pytest.raises(NoSuchCollection) as none:
        opened(server)
    assert "no pipeline at all" in none.value.next
    filled(server)
    with pytest.raises(NoSuchCollection) as caught:
        opened(server, "Dr.Wello")
    assert NAME in caught.value.next


def test_a_name_of_two_pipelines_is_refused(server: LlamaCloudServer) -> None:
    ids = [filled(server).id, filled(server, project="22222222-2222-4222-8222-222222222222").id]
    with pytest.raises(Refused) as caught:
        opened(server)
    assert all(pipeline_id in caught.value.next for pipeline_id in ids)
    assert opened(server, project=PROJECT).describe().count == 9


def test_it_is_never_a_target(server: LlamaCloudServer) -> None:
    with pytest.raises(Unsupported, match="can only be read"):
        open_target(address(server))


def test_it_answers_a_question_itself(server: LlamaCloudServer) -> None:
    filled(server)
    hits = opened(server).retrieve("1. 공복혈당은 아침에 잽니다.", 3)
    assert hits[0].text == "1. 공복혈당은 아침에 잽니다."
    assert hits[0].similarity == pytest.approx(1.0)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    assert json.loads(hits[0].metadata or "")["file_name"] == "안내 1.pdf"
    assert len(opened(server).retrieve("혈당", 100)) == 9
    for question, k in (("혈당", 0), (" ", 3)):
        with pytest.raises(Usage):
            opened(server).retrieve(question, k)


def test_its_own_postgres_is_said_with_the_address_that_reads_it(server: LlamaCloudServer) -> None:
    filled(server, data_sink=postgres_sink("Welno", schema_name="app"))
    found = opened(server).describe()
    [note] = [note for note in found.notes if "PostgreSQL" in note]
    assert "postgresql://reader@db.example:5432/wello#data_welno?schema=app" in note
    assert "PGPASSWORD" in note
    assert "never-shown" not in repr(found)
    # The store's index says by which metric vectors are compared; the address may repeat it, not deny it.
    assert opened(server, metric=None).describe().space.metric is Metric.COSINE
    with pytest.raises(SpaceMismatch):
        opened(server, metric="l2").describe()


@pytest.mark.parametrize(
    ("sink", "words"),
    [
        ({"sink_type": "PINECONE", "name": "p", "component": {"index_name": "x"}}, "Pinecone 'p', which Wherry"),
        ({"sink_type": "QDRANT", "name": "q", "component": {"url": "nonsense"}}, "Qdrant 'q', which Wherry"),
        ({"sink_type": "NEW", "name": "n", "component": {}}, "NEW 'n', which Wherry"),
    ],
)
def test_a_store_nobody_reads_is_said(server: LlamaCloudServer, sink: Any, words: str) -> None:
    filled(server, data_sink=sink)
    assert any(words in note for note in opened(server).describe().notes)
    with pytest.raises(Unsupported):
        opened(server, via="sink")


def test_a_key_in_a_sinks_url_is_left_out() -> None:
    found = sink_of(
        {
            "sink_type": "QDRANT",
            "name": "",
            "component": {"url": "https://k:s3@q.example:6333", "collection_name": "가 나"},
        }
    )
    assert found is not None
    assert found.address == "qdrant+https://q.example:6333#%EA%B0%80%20%EB%82%98"
    assert sink_of(None) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("llamacloud:", "which pipeline"),
        ("llamacloud+http:#x", "names no host"),
        ("llamacloud://user:pw@host#x", "the service is named as"),
        ("llamacloud://host:0x5#x", "the service is named as"),
        ("llamacloud:#x?via=door", "via is"),
        ("llamacloud:#x?rate=0", "rate is a number above 0"),
        ("llamacloud:#x?timeout=soon", "timeout is a number above 0"),
        ("llamacloud:#x?metric=warp", "unknown metric"),
        ("llamacloud:#x?api_key=k", "unknown option"),
    ],
)
def test_an_address_that_cannot_be_read(text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    with pytest.raises(BadAddress, match=words) as caught:
        open_source(text)
    assert "pw" not in str(caught.value)


def test_without_a_key_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLAMA_CLOUD_API_KEY", "LLAMA_PARSE_API_KEY", "LLAMAINDEX_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthFailed) as caught:
        open_source("llamacloud://127.0.0.1:9#x")
    assert "LLAMA_CLOUD_API_KEY" in caught.value.next
    monkeypatch.setenv("LLAMAINDEX_API_KEY", "llx-가나다")
    with pytest.raises(AuthFailed, match="LLAMAINDEX_API_KEY holds a character") as caught:
        open_source("llamacloud://127.0.0.1:9#x")
    assert "가나다" not in str(caught.value)


def test_the_service_may_come_from_the_environment(server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(server)
    monkeypatch.setenv("LLAMA_CLOUD_BASE_URL", server.url + "/")
    monkeypatch.delenv("LLAMA_CLOUD_API_KEY")
    monkeypatch.setenv("LLAMAINDEX_API_KEY", f"{KEY}\n")
    source = open_source(f"llamacloud:#{NAME}")
    assert source.describe().count == 9
    assert source.identity == opened(server).identity
    assert sorted(source.fetch(pa.array(["x"])).ids.to_pylist()) == []


def test_a_key_on_an_open_wire_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from wherry.address import Address
    from wherry.stores.llamacloud.place import Place

    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    assert Place.of(Address.parse("llamacloud+http://example.org#x")).exposes_key
    assert not Place.of(Address.parse("llamacloud+http://127.0.0.1:1#x")).exposes_key
    assert not Place.of(Address.parse("llamacloud:#x")).exposes_key
