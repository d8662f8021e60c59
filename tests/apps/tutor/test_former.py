"""What earlier code and collections were like: the classes of the plan, UUID points, former types."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

import wherry
from wherry import Conflict, SpaceMismatch, Usage
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.qdrant_server import QdrantServer
from wherry_apps.tutor.local import LocalLLMService, QdrantVectorService
from wherry_apps.tutor.renumbering import number_of
from wherry_apps.tutor.service import Tutor

SPACE = wherry.Space(dimension=1024, metric=wherry.Metric.COSINE)


def former(tutor: Tutor, count: int, **known: str) -> str:
    """Make a collection as earlier versions left it, of the questions there are; return its address."""
    embedder = tutor.resources.embedder("hash:1024")
    rows = tutor.bank.list(limit=count)["questions"]
    texts = [row["content"] for row in rows]
    records = [
        wherry.Record(
            str(uuid4()), vector, text,
            {"question_id": row["id"], "type": "approved_question" if row["id"] % 2 else "question",
             "department": row["department"], "difficulty": row["difficulty"]},
        )
        for row, text, vector in zip(rows, texts, embedder.embed(texts), strict=True)
    ]  # fmt: skip
    records.append(wherry.Record(str(uuid4()), embedder.embed(["자료"])[0], "자료", {"type": "document"}))
    space = SPACE.filled_from(wherry.Space(**known)) if known else SPACE
    wherry.put(records, "memory:#former", space)
    return "memory:#former"


def test_the_local_model_answers_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer("llama3.1:8b") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        server.say("굽힘과 폄입니다.")
        service = LocalLLMService()
        assert service.model == "llama3.1:8b"
        assert service.generate_response("무릎관절의 움직임은?") == "굽힘과 폄입니다."
        [asked] = [one for one in server.asked if one.path == "/api/chat"]
        assert asked.body["messages"] == [{"role": "user", "content": "무릎관절의 움직임은?"}]
        service.close()


def test_the_collection_of_the_plan_is_made_once_and_takes_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qdrant_client import QdrantClient

    with QdrantServer(tmp_path) as server:
        monkeypatch.setenv("QDRANT_PORT", str(server.port))
        service = QdrantVectorService("127.0.0.1")
        service.create_collection()
        vector = np.random.default_rng(1).standard_normal(384).tolist()
        service.add_vector(12, vector, {"text": "문항", "department": "물리치료학과"})
        service.add_vector(12, vector, {"text": "문항", "department": "간호학과"})
        service.create_collection()
        with pytest.raises(SpaceMismatch):
            service.create_collection(768)
        with pytest.raises(SpaceMismatch):
            service.add_vector(13, [1.0] * 768, {})
        client = QdrantClient(url=server.url, check_compatibility=False)
        assert client.count("questions").count == 1
        [point] = client.retrieve("questions", [12], with_payload=True)
        assert point.payload is not None
        assert (point.payload["department"], point.payload["text"]) == ("간호학과", "문항")
        client.close()


def test_points_with_a_uuid_are_found_by_the_number_in_their_payload(
    approved: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_STORE", former(approved, 20, provider="hash", model="hash:1024"))
    found = approved.searching.search("무릎관절의 주된 움직임은", k=20, threshold=-1, department="물리치료학과")
    assert sorted(hit["payload"]["question_id"] for hit in found["hits"]) == list(range(1, 21))


@pytest.mark.parametrize("known", [{"provider": "hash", "model": "hash:1024"}, {}])
def test_a_move_gives_them_their_numbers(approved: Tutor, known: dict[str, str]) -> None:
    source = former(approved, 20, **known)
    embedder = None if known else "hash:384"
    found = approved.moving.move(source, "memory:#neu", embedder=embedder)
    assert (found.copied, found.renumbered, found.read, found.equal) == (bool(known), 20, 21, True)
    opened = wherry.open_source("memory:#neu")
    records = {r.id: r for page in opened.scan() for r in wherry.to_records(page.records)}
    assert {i for i in records if i.isdigit()} == {str(n) for n in range(1, 21)}
    assert {(r.metadata or {})["type"] for r in records.values()} == {"question", "document"}
    assert found.source == source


def test_two_points_of_one_question_are_refused(approved: Tutor) -> None:
    former(approved, 3)
    row = np.ones(1024, np.float32)
    wherry.put([wherry.Record("2", row, "zwei", {"type": "question", "question_id": 2})], "memory:#former", SPACE)
    with pytest.raises(Conflict, match="question 2"):
        approved.moving.move("memory:#former", "memory:#neu", embedder="hash:384")


@pytest.mark.parametrize(
    ("point", "payload", "number"),
    [
        ("12", {}, 12), ("a-b", {"question_id": 7, "type": "question"}, 7),
        ("a-b", {"question_id": "7", "type": "approved_question"}, 7), ("a-b", {"type": "document"}, None),
        ("a-b", {"question_id": 7, "type": "document"}, None), ("a-b", {"type": "question"}, None),
    ],
)  # fmt: skip
def test_numbers_of_points(point: str, payload: dict, number: int | None) -> None:
    assert number_of(point, payload) == number


def test_thresholds_are_set(approved: Tutor) -> None:
    found = approved.moving.switch(thresholds={"question": 0.9})
    assert found["thresholds"] == {"question": 0.9}
    assert approved.searching.search("무릎관절")["hits"] == []
    for wrong in ({"nosuch": 0.5}, {"question": 1.5}):
        with pytest.raises(Usage, match="no threshold"):
            approved.moving.switch(thresholds=wrong)
