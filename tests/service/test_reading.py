"""What a tenant reads: its routes, their records, answers with citations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import wherry
from tests.routing.kit import made
from tests.service.conftest import Tenant
from wherry.service.keys import Keys


def test_a_tenant_searches_its_route(client: TestClient, a: Tenant) -> None:
    asked = {"query": "공복 혈당", "k": 2, "mode": "lexical"}
    found = client.post(f"/api/v1/routes/{a.route}/search", json=asked, headers=a.headers)
    assert found.status_code == 200, found.text
    assert found.json()["hits"][0]["id"] == "g-0"
    assert found.json()["in"] == a.route
    assert "memory:" not in found.text


def test_conditions_hold_and_vectors_can_be_asked_with(client: TestClient, a: Tenant) -> None:
    asked = {"query": [1.0] * 64, "where": {"page": {"$gte": 1}}, "k": 10}
    found = client.post(f"/api/v1/routes/{a.route}/search", json=asked, headers=a.headers).json()
    assert {hit["id"] for hit in found["hits"]} == {"g-1", "g-2"}
    assert found["mode"] == "vector"


def test_an_answer_cites_its_records(client: TestClient, a: Tenant) -> None:
    asked = {"question": "공복 혈당이 얼마면 당뇨를 의심하나요?"}
    found = client.post(f"/api/v1/routes/{a.route}/ask", json=asked, headers=a.headers)
    assert found.status_code == 200, found.text
    assert found.json()["extractive"]
    assert found.json()["citations"][0]["id"] == "g-0"
    assert "memory:" not in found.text


def test_a_collection_is_described_without_saying_where_it_is(
    client: TestClient, a: Tenant, operator: dict[str, str]
) -> None:
    path = f"/api/v1/collections/{a.route}"
    described = client.get(path, headers=a.headers).json()
    assert described["count"] == 3
    assert described["space"]["dimension"] == 64
    assert "address" not in described
    assert client.get(path, headers=operator).json()["address"] == f"memory:#{a.name}"


def test_operators_see_the_runs_of_this_machine(client: TestClient, a: Tenant, operator: dict[str, str]) -> None:
    wherry.sync(f"memory:#{a.name}", f"memory:#{a.name}copy")
    listed = client.get("/api/v1/runs?last=5", headers=operator).json()
    assert listed["runs"][0]["target"] == f"memory:#{a.name}copy"
    assert listed["runs"][0]["written"] == 3
    assert client.get("/api/v1/runs", headers=a.headers).status_code == 403


def test_a_switch_is_seen_without_a_restart(client: TestClient, a: Tenant, operator: dict[str, str]) -> None:
    path, asked = f"/api/v1/routes/{a.route}/search", {"query": "검진", "mode": "lexical"}
    assert client.post(path, json=asked, headers=a.headers).json()["count"] == 1
    wherry.sync(f"memory:#{a.name}", f"memory:#{a.name}new")
    wherry.switch(a.route, f"memory:#{a.name}new", prove=True)
    described = client.get(f"/api/v1/collections/{a.route}", headers=operator).json()
    assert described["address"] == f"memory:#{a.name}new"
    assert client.post(path, json=asked, headers=a.headers).json()["count"] == 1


def test_an_answer_arrives_in_pieces_that_join_to_it(client: TestClient, a: Tenant) -> None:
    asked = {"question": "공복 혈당이 얼마면 당뇨를 의심하나요?"}
    answered = client.post(f"/api/v1/routes/{a.route}/ask/stream", json=asked, headers=a.headers)
    assert answered.headers["content-type"].startswith("text/event-stream")
    *pieces, last = [json.loads(line.removeprefix("data: ")) for line in answered.text.split("\n\n") if line]
    whole = client.post(f"/api/v1/routes/{a.route}/ask", json=asked, headers=a.headers).json()
    assert last["done"]
    assert last["answer"]["citations"] == whole["citations"]
    assert "".join(piece["text"] for piece in pieces) == whole["answer"]
    assert "memory:" not in answered.text


def test_a_failing_stream_says_so_at_its_end(client: TestClient, a: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object, **options: object) -> Iterator[str]:
        yield "처음"
        raise wherry.StoreError("postgresql://u:secret@host is down")

    monkeypatch.setattr("wherry.answering.ask.ask_stream", failing)
    asked = {"question": "공복 혈당?"}
    answered = client.post(f"/api/v1/routes/{a.route}/ask/stream", json=asked, headers=a.headers)
    first, last = [json.loads(line.removeprefix("data: ")) for line in answered.text.split("\n\n") if line]
    assert first == {"text": "처음", "done": False}
    assert last == {"done": True, "error": {"code": "StoreError", "message": "The store failed."}}
    assert "secret" not in answered.text


def test_how_an_index_stands_is_told_in_numbers(
    client: TestClient, keys: Keys, a: Tenant, operator: dict[str, str], tmp_path: Path
) -> None:
    assert client.get(f"/api/v1/indexes/{a.route}", headers=a.headers).json() == {"route": a.route, "index": None}
    (tmp_path / "guide.md").write_text("# 혈당\n\n공복 혈당 100 미만은 정상입니다.", encoding="utf-8")
    place = f"pgvector:#i{a.name}"
    wherry.index([str(tmp_path)], into=place, embedder="hash:64")
    made(f"i-{a.name}", place)
    keys.grant(a.name, f"i-{a.name}")
    told = client.get(f"/api/v1/indexes/i-{a.name}", headers=a.headers)
    assert (told.json()["index"]["documents"], told.json()["index"]["coverage"]) == (1, 1.0)
    assert str(tmp_path) not in told.text
    assert place not in told.text
    listed = client.get("/api/v1/indexes", headers=operator).json()["indexes"]
    assert [one["documents"] for one in listed if one["into"] == place] == [1]
    assert client.get("/api/v1/indexes", headers=a.headers).status_code == 403
