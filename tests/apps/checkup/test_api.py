"""The endpoints: streams, tenants that never meet, everything refused without a key."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import wherry
from tests.apps.checkup import kit
from wherry.service.logs import logger
from wherry_apps.checkup import app
from wherry_apps.checkup.words import LABEL

ASKED = {"uuid": "u-9", "message": "혈당이 높은가요?",
         "checkup_results": [{"fasting_glucose": 108, "exam_date": "2026-01-12"}]}  # fmt: skip
SECRET = "비밀: 본원은 혈당 110부터 상담합니다."
Headers = dict[str, str]


@pytest.fixture(scope="module")
def client(moved: Path, base: Path) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(base))
        patch.setenv("CHECKUP_ROOT", str(moved))
        settings = wherry.Settings(per_minute=100_000, burst=10_000, at_a_time=100)
        with TestClient(
            wherry.create_app(settings, [app], logger(io.StringIO())), raise_server_exceptions=False
        ) as opened:
            yield opened


@pytest.fixture(scope="module")
def keys(base: Path) -> dict[str, Headers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(base))
        with wherry.Keys() as made:
            made.prepare()
            found = {name: made.add(f"checkup-{name}") for name in ("a", "b")}
            found |= {"reader": made.add("checkup-a", read_only=True), "ops": made.add("checkup-ops", operator=True)}
    return {name: {"Authorization": f"Bearer {key}"} for name, key in found.items()}


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def _asked(client: TestClient, headers: Headers, **changes: Any) -> list[dict[str, Any]]:
    said = client.post("/api/checkup/message", json={**ASKED, **changes}, headers=headers)
    assert said.status_code == 200, said.text
    assert said.headers["content-type"].startswith("text/event-stream")
    return _events(said.text)


def test_an_answer_arrives_in_pieces(client: TestClient, keys: dict[str, Headers]) -> None:
    *pieces, last = _asked(client, keys["a"])
    assert "".join(p["answer"] for p in pieces).startswith(LABEL)
    assert "108" in pieces[0]["answer"]
    assert all(p["done"] is False for p in pieces)
    assert (last["answer"], last["done"], last["backend"]) == ("", True, "local")
    assert set(last) >= {"sources", "suggestions", "session_id", "message_count"}
    assert all(len(source["text"]) <= 500 for source in last["sources"])
    again = _asked(client, keys["a"], session_id=last["session_id"], message="그럼 무엇을 먹나요?")
    assert (again[-1]["session_id"], again[-1]["message_count"]) == (last["session_id"], 4)


def test_evidence_has_its_fields_and_invents_none(client: TestClient, keys: dict[str, Headers]) -> None:
    asked = {"checkup_results": ASKED["checkup_results"], "family_history": ["아버지 당뇨병"], "concerns": ["체중"],
             "patient_info": {"birth_date": "1980-02-03", "sex": "M"}}  # fmt: skip
    found = client.post("/api/checkup/evidence", json=asked, headers=keys["reader"]).json()
    assert found["query"].splitlines()[1:] == ["공복혈당 108 mg/dL 경계", "가족력: 아버지 당뇨병", "걱정: 체중"]
    best = found["structured_evidences"][0]
    assert best["full_text"] == kit.TEXTS[0]
    assert best["citation"] == kit.TEXTS[0][:100]
    assert (best["organization"], best["year"], best["source_document"], best["page"]) == (None, None, "지침0.pdf", "1")
    assert kit.TEXTS[0] in found["context_text"]
    empty = client.post("/api/checkup/evidence", json={}, headers=keys["a"])
    assert empty.status_code == 422


def test_search_and_diagnose(client: TestClient, keys: dict[str, Headers]) -> None:
    found = client.post(
        "/api/checkup/search", json={"query": "검진 전날 밤 금식", "k": 2}, headers=keys["reader"]
    ).json()
    assert found["passages"][0]["text"] == kit.TEXTS[2]
    assert len(found["passages"]) <= 2
    told = client.get("/api/checkup/diagnose", headers=keys["a"]).json()
    assert (told["backend"], told["offline"]) == ("local", True)
    assert "manifest" not in told
    assert client.get("/api/checkup/diagnose", headers=keys["ops"]).json()["manifest"]["items"] == len(kit.TEXTS)


@pytest.mark.parametrize("body", [
    {}, {"uuid": "u"}, {"uuid": "", "message": "x"}, {"uuid": "u", "message": ""}, {"uuid": "u", "message": "x" * 4001},
    {"uuid": "u", "message": "x", "hospital_id": "../x"}, {"uuid": "u", "message": "x", "checkup_results": "no"},
])  # fmt: skip
def test_what_cannot_be_asked_is_422(client: TestClient, keys: dict[str, Headers], body: dict[str, Any]) -> None:
    assert client.post("/api/checkup/message", json=body, headers=keys["a"]).status_code == 422


def _everything(session: str, document: int) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Return a request for every endpoint, about what another tenant owns."""
    return [
        ("POST", "/api/checkup/message", {**ASKED, "session_id": session, "hospital_id": "h-s"}),
        ("POST", "/api/checkup/evidence", {"concerns": ["혈당"], "hospital_id": "h-s"}),
        ("POST", "/api/checkup/search", {"query": "본원은 혈당 110부터 상담", "hospital_id": "h-s"}),
        ("GET", "/api/checkup/diagnose", None),
        ("GET", f"/api/checkup/sessions/{session}?uuid=u-9", None),
        ("DELETE", f"/api/checkup/sessions/{session}?uuid=u-9", None),
        ("GET", "/api/checkup/hospitals/h-s/documents", None),
        ("GET", "/api/checkup/hospitals/h-s/documents/status", None),
        ("POST", "/api/checkup/hospitals/h-s/documents/rebuild", None),
        ("POST", "/api/checkup/hospitals/h-s/documents", {"file_name": "b.md", "text": "다른 곳의 글입니다."}),
        ("DELETE", f"/api/checkup/hospitals/h-s/documents/{document}", None),
    ]  # fmt: skip


@pytest.fixture
def owned(client: TestClient, keys: dict[str, Headers]) -> tuple[str, int]:
    """A conversation and a document of tenant A."""
    said = client.post(
        "/api/checkup/hospitals/h-s/documents", json={"file_name": "기준.md", "text": SECRET}, headers=keys["a"]
    )
    assert said.status_code == 201, said.text
    last = _asked(client, keys["a"], message="나만의 질문 xyz", hospital_id="h-s")[-1]
    return last["session_id"], said.json()["id"]


def test_every_endpoint_is_in_the_list(client: TestClient) -> None:
    listed = {(method, path) for path, one in client.get("/openapi.json").json()["paths"].items()
              for method in one if path.startswith("/api/checkup")}  # fmt: skip
    asked = [(m.lower(), p.partition("?")[0]) for m, p, _ in _everything("S", 7)]
    known = {(m, p.replace("/S", "/{session}").replace("/h-s/", "/{hospital}/").replace("/7", "/{number}"))
             for m, p in asked}  # fmt: skip
    assert listed == known


def test_nothing_of_one_tenant_is_reached_by_another(
    client: TestClient, keys: dict[str, Headers], owned: tuple[str, int]
) -> None:
    session, document = owned
    for method, path, body in _everything(session, document):
        said = client.request(method, path, json=body, headers=keys["b"])
        assert SECRET not in said.text, path
        assert "xyz" not in said.text, path
        assert session not in said.text, path
        if "sessions" in path or (body is not None and "session_id" in body) or path.endswith(str(document)):
            assert said.status_code == 404, path
    # All of it is still there for its owner, and for operators.
    turns = client.get(f"/api/checkup/sessions/{session}?uuid=u-9", headers=keys["a"]).json()["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    assert SECRET in client.request(*_everything(session, document)[2][:2], json=_everything(session, document)[2][2],
                                    headers=keys["a"]).text  # fmt: skip
    listed = client.get("/api/checkup/hospitals/h-s/documents", headers=keys["a"]).json()["documents"]
    assert [row["file_name"] for row in listed] == ["기준.md"]
    everybodys = client.get("/api/checkup/hospitals/h-s/documents", headers=keys["ops"]).json()["documents"]
    assert {row["file_name"] for row in everybodys} == {"기준.md", "b.md"}


def test_nothing_of_one_person_is_reached_by_another_of_the_same_key(
    client: TestClient, keys: dict[str, Headers], owned: tuple[str, int]
) -> None:
    session, _ = owned
    assert client.get(f"/api/checkup/sessions/{session}?uuid=u-10", headers=keys["a"]).status_code == 404
    said = client.post("/api/checkup/message", json={**ASKED, "uuid": "u-10", "session_id": session}, headers=keys["a"])
    assert said.status_code == 404


def test_without_a_key_nothing_is_answered(client: TestClient, owned: tuple[str, int]) -> None:
    for headers in ({}, {"Authorization": "Bearer wherry_0000000000000000_" + "0" * 64}):
        for method, path, body in _everything(*owned):
            assert client.request(method, path, json=body, headers=headers).status_code == 401, path


def test_a_key_that_may_only_read_writes_nothing(
    client: TestClient, keys: dict[str, Headers], owned: tuple[str, int]
) -> None:
    refused = {p: client.request(m, p, json=b, headers=keys["reader"]).status_code for m, p, b in _everything(*owned)
               if m == "DELETE" or (p.endswith(("/message", "/documents", "/rebuild")) and m == "POST")}  # fmt: skip
    assert len(refused) == 5
    assert set(refused.values()) == {403}


def test_a_conversation_is_forgotten(client: TestClient, keys: dict[str, Headers]) -> None:
    session = _asked(client, keys["a"])[-1]["session_id"]
    assert client.delete(f"/api/checkup/sessions/{session}?uuid=u-9", headers=keys["a"]).status_code == 204
    assert client.get(f"/api/checkup/sessions/{session}?uuid=u-9", headers=keys["a"]).status_code == 404


def test_documents_of_a_hospital(client: TestClient, keys: dict[str, Headers]) -> None:
    place = "/api/checkup/hospitals/h-api/documents"
    data = base64.b64encode("초음파 안내: 공복에 합니다.".encode()).decode()
    row = client.post(place, json={"file_name": "안내.txt", "content_base64": data}, headers=keys["a"]).json()
    assert (row["status"], row["hospital_id"]) == ("indexed", "h-api")
    assert client.get(f"{place}/status", headers=keys["a"]).json()["indexed"] == 1
    assert client.post(f"{place}/rebuild", headers=keys["a"]).json()["rebuilt"] is True
    assert client.delete(f"{place}/{row['id']}", headers=keys["a"]).status_code == 204
    assert client.get(place, headers=keys["a"]).json() == {"documents": []}
    for wrong in ({"file_name": "x.md"}, {"file_name": "x.md", "text": "a", "content_base64": "YQ=="},
                  {"file_name": "x.md", "content_base64": "!"}, {"file_name": "../x.md", "text": "a"}):  # fmt: skip
        assert client.post(place, json=wrong, headers=keys["a"]).status_code == 422


def test_an_unknown_hospital_uses_the_common_library(client: TestClient, keys: dict[str, Headers]) -> None:
    last = _asked(client, keys["a"], hospital_id="nobody-knows")[-1]
    assert last["sources"]
    assert {source["source_type"] for source in last["sources"]} == {"global"}


def test_requests_at_the_same_time_proceed(
    client: TestClient, keys: dict[str, Headers], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wherry_apps.checkup.library import Library

    real, waits, go_on = Library.search, threading.Event(), threading.Event()

    def slow(self: Library, question: str, *rest: object) -> object:
        if question.startswith("느린"):
            waits.set()
            assert go_on.wait(60)
        return real(self, question, *rest)

    monkeypatch.setattr(Library, "search", slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(_asked, client, keys["a"], message="느린 질문")
        assert waits.wait(60)
        # While one search does not end, others are answered.
        assert [_asked(client, keys["a"])[-1]["done"] for _ in range(3)] == [True] * 3
        assert not first.done()
        go_on.set()
        assert first.result()[-1]["done"] is True


def test_a_failure_ends_the_stream_in_words(
    client: TestClient, keys: dict[str, Headers], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wherry_apps.checkup.library import Library

    def broken(*_: object) -> None:
        raise wherry.StoreError("chroma at /data/secret failed")

    monkeypatch.setattr(Library, "search", broken)
    [last] = _asked(client, keys["a"])
    assert last["done"] is True
    assert last["error"]["code"] == "StoreError"
    assert "secret" not in json.dumps(last)
