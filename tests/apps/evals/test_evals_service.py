"""The endpoints, whose runs are whose, the state of the index, the warm-up, and older tables."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

import wherry
from tests.apps.evals.conftest import bearing, long_guide
from tests.apps.evals.places import R01, add_runs, as_json, new_sqlite, run, uuid_of
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.evals import app
from wherry_apps.evals.index import open_database
from wherry_apps.evals.service import Evals

Cli = Callable[..., tuple[int, Any, str]]
ROUTES = [
    ("GET", "/runs", None), ("POST", "/runs", R01), ("GET", "/runs/r-01", None), ("DELETE", "/runs/r-01", None),
    ("POST", "/search", {"query": "x"}), ("POST", "/ask", {"question": "x"}), ("POST", "/chat", {"question": "x"}),
    ("GET", "/index/status", None), ("POST", "/index/rebuild", None),
]  # fmt: skip


@pytest.fixture
def ann(keys: wherry.Keys) -> dict[str, str]:
    return bearing(keys.add("ann"))


@pytest.fixture
def ben(keys: wherry.Keys) -> dict[str, str]:
    return bearing(keys.add("ben"))


@pytest.fixture
def operator(keys: wherry.Keys) -> dict[str, str]:
    return bearing(keys.add("ops", operator=True))


def save(client: TestClient, key: dict[str, str], one: dict[str, Any]) -> dict[str, Any]:
    answered = client.post("/api/evals/runs", json=one, headers=key)
    assert answered.status_code == 201, answered.text
    return dict(answered.json())


def test_a_saved_run_is_indexed_at_once_and_a_deleted_one_is_gone(client: TestClient, ann: dict[str, str]) -> None:
    saved = save(client, ann, R01)
    assert (saved["indexed"], saved["documents_embedded"], saved["source"]) == (True, 3, "run:r-01")
    listed = client.get("/api/evals/runs", headers=ann).json()
    assert [one["run_id"] for one in listed["runs"]] == ["r-01"]
    whole = client.get("/api/evals/runs/r-01", headers=ann).json()
    assert (whole["pass_rate"], whole["cases"][0]["case_id"], whole["documents"]) == (0.0, "c1", 3)
    found = client.post("/api/evals/search", json={"query": "보증", "case_id": "c1"}, headers=ann).json()
    assert [hit["source"] for hit in found["hits"]] == ["run:r-01"]
    asked = {"question": "실패한 케이스는?", "run_id": "r-01"}
    answer = client.post("/api/evals/ask", json=asked, headers=ann).json()
    assert "c1" in answer["answer"]
    assert answer["citations"][0]["source"] == "run:r-01"
    # The same run again: nothing is embedded; another answer: one document is.
    assert save(client, ann, R01)["documents_embedded"] == 0
    other = {**R01, "results": [{**R01["results"][0], "answer": "3년"}]}
    assert save(client, ann, other)["documents_embedded"] == 1
    assert client.delete("/api/evals/runs/r-01", headers=ann).json()["deleted"] is True
    assert client.get("/api/evals/runs/r-01", headers=ann).status_code == 404
    assert client.post("/api/evals/search", json={"query": "보증"}, headers=ann).json()["hits"] == []
    assert client.delete("/api/evals/runs/r-01", headers=ann).status_code == 404


def test_a_chat_arrives_in_events(client: TestClient, ann: dict[str, str]) -> None:
    save(client, ann, R01)
    with client.stream("POST", "/api/evals/chat", json={"question": "보증은 몇 년인가요"}, headers=ann) as answered:
        assert answered.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answered.iter_lines() if line.startswith("data: ")]
    assert events[-1]["done"] is True
    assert "".join(one.get("text", "") for one in events[:-1]) == events[-1]["answer"]
    assert events[-1]["answer"].startswith("[검색 결과]")
    assert {one["source"] for one in events[-1]["citations"]} == {"run:r-01"}
    nowhere = client.post("/api/evals/chat", json={"question": "x", "run_id": "r-404"}, headers=ann)
    assert nowhere.status_code == 404


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_every_route_asks_for_a_key(client: TestClient, method: str, path: str, body: Any) -> None:
    assert client.request(method, f"/api/evals{path}", json=body).status_code == 401
    wrong = bearing("wherry_0000000000000000_" + "0" * 64)
    assert client.request(method, f"/api/evals{path}", json=body, headers=wrong).status_code == 401


def test_a_run_of_another_tenant_is_not_there(
    client: TestClient, ann: dict[str, str], ben: dict[str, str], operator: dict[str, str]
) -> None:
    save(client, ann, R01)
    assert client.get("/api/evals/runs", headers=ben).json() == {"runs": [], "count": 0, "next": None}
    for method in ("GET", "DELETE"):
        assert client.request(method, "/api/evals/runs/r-01", headers=ben).status_code == 404
    assert client.post("/api/evals/search", json={"query": "보증 기간"}, headers=ben).json()["hits"] == []
    for path in ("search", "ask"):
        body = {"query": "보증", "question": "실패한 케이스는?", "run_id": "r-01"}
        assert client.post(f"/api/evals/{path}", json=body, headers=ben).status_code == 404
    for question in ("실패한 케이스는?", "보증은 몇 년인가요", "어떤 실행이 faithfulness에 실패했나요?"):
        told = client.post("/api/evals/ask", json={"question": question}, headers=ben).text
        assert "r-01" not in told
        assert "c1" not in told
        streamed = client.post("/api/evals/chat", json={"question": question}, headers=ben).text
        assert "r-01" not in streamed
    assert client.get("/api/evals/index/status", headers=ben).json()["sources"] == []
    # The same id of somebody else's own is another run.
    mine = {**R01, "results": [{**R01["results"][0], "question": "환불은?"}]}
    assert save(client, ben, mine)["indexed"]
    assert client.get("/api/evals/runs/r-01", headers=ben).json()["cases"][0]["question"] == "환불은?"
    assert client.get("/api/evals/runs/r-01", headers=ann).json()["cases"][0]["question"] == "보증 기간은?"
    assert client.delete("/api/evals/runs/r-01", headers=ben).status_code == 200
    assert client.get("/api/evals/runs/r-01", headers=ann).status_code == 200
    assert [one["owner"] for one in client.get("/api/evals/runs", headers=operator).json()["runs"]] == ["ann"]


def test_what_may_only_read_or_is_no_operator(client: TestClient, keys: wherry.Keys, ann: dict[str, str]) -> None:
    reader = bearing(keys.add("ann", read_only=True))
    assert client.post("/api/evals/runs", json=R01, headers=reader).status_code == 403
    assert client.delete("/api/evals/runs/r-01", headers=reader).status_code == 403
    assert client.post("/api/evals/index/rebuild", headers=ann).status_code == 403


def test_a_run_that_cannot_be_read_is_not_stored(client: TestClient, ann: dict[str, str]) -> None:
    answered = client.post("/api/evals/runs", json={"run_id": "r", "results": [{}]}, headers=ann)
    assert answered.status_code == 422
    assert client.get("/api/evals/runs", headers=ann).json()["count"] == 0
    assert client.post("/api/evals/ask", json={"question": ""}, headers=ann).status_code == 422
    assert client.post("/api/evals/search", json={"query": "x", "k": 0}, headers=ann).status_code == 422


def test_runs_are_listed_page_by_page(evals: Evals, client: TestClient, ann: dict[str, str]) -> None:
    for number in range(1, 6):
        evals.save(run(number, 1, day=number), "ann")
    seen, after = [], None
    for _ in range(3):
        page = client.get(
            "/api/evals/runs", params={"limit": 2, "after": after} if after else {"limit": 2}, headers=ann
        ).json()
        seen += [one["run_id"] for one in page["runs"]]
        after = page["next"]
    assert seen == [uuid_of(n) for n in (5, 4, 3, 2, 1)]
    assert after is None


def test_a_run_of_a_database_that_was_deleted_here_does_not_come_back(
    evals: Evals, client: TestClient, keys: wherry.Keys, run_cli: Cli, tmp_path: Path
) -> None:
    local = bearing(keys.add("local"))
    path = as_json(tmp_path / "r.json", [R01, run(1)])
    words = ("preindex", "--source-db", str(path), "--skip-user-guide", "--json")
    assert json.loads(run_cli(*words)[1])["new"] == 2
    assert client.delete("/api/evals/runs/r-01", headers=local).json()["stored"] is False
    path.write_text(path.read_text() + " ")
    done = json.loads(run_cli(*words)[1])
    assert (done["scanned"], done["failed"], done["deleted"]) == (1, 0, 0)
    assert "left out" in done["notes"][0]
    assert client.get("/api/evals/runs/r-01", headers=local).status_code == 404
    save(client, local, R01)
    assert client.get("/api/evals/runs/r-01", headers=local).status_code == 200


def test_editing_one_paragraph_makes_the_guide_stale_and_nothing_else(
    run_cli: Cli, guide: Path, tmp_path: Path
) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n) for n in range(1, 4)])
    words = ("preindex", "--source-db", str(path), "--user-guide-limit", "0")
    assert run_cli(*words)[0] == 0
    found = json.loads(run_cli("status", "--json")[1])
    assert (found["totals"]["ready"], found["totals"]["stale"], found["totals"]["missing"]) == (4, 0, 0)
    assert found["totals"]["embedded_texts"] > 15
    guide.write_text(long_guide().replace("5번째 장의 내용입니다.", "5번째 장은 새로 썼습니다."), encoding="utf-8")
    found = json.loads(run_cli("status", "--json")[1])
    assert {one["source"]: one["state"] for one in found["sources"] if one["state"] != "ready"} == {
        "user_guide": "stale"
    }
    assert run_cli(*words)[0] == 0
    assert json.loads(run_cli("status", "--json")[1])["totals"]["stale"] == 0


def test_status_finds_new_changed_and_lost(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n) for n in range(1, 4)])
    run_cli("preindex", "--source-db", str(path), "--skip-user-guide")
    with sqlite3.connect(path) as connection:
        add_runs(connection, [run(4)], ("metrics_evaluated", "thresholds"))
        connection.execute("UPDATE metric_scores SET score = 0.33 WHERE id = 1")
    connection.close()
    with evals.database.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM rag_documents WHERE source = 'run:{uuid_of(3)}' AND doc_id = 0")
    found = json.loads(run_cli("status", "--json")[1])
    states = {one["source"]: (one["state"], one["hash_match"]) for one in found["sources"]}
    assert states == {
        f"run:{uuid_of(1)}": ("stale", False), f"run:{uuid_of(2)}": ("ready", True),
        f"run:{uuid_of(3)}": ("stale", True),
    }  # fmt: skip
    assert found["missing"] == [f"run:{uuid_of(4)}"]
    out = run_cli("status")[1]
    assert "3 sources" in out
    assert "2 stale" in out
    done = json.loads(run_cli("preindex", "--source-db", str(path), "--skip-user-guide", "--json")[1])
    assert (done["new"], done["modified"], done["unchanged"]) == (1, 2, 1)


def test_status_hides_places_and_errors_from_tenants(
    client: TestClient, ann: dict[str, str], operator: dict[str, str]
) -> None:
    save(client, ann, R01)
    mine = client.get("/api/evals/index/status", headers=ann).json()
    assert [one["source"] for one in mine["sources"]] == ["run:r-01"]
    assert "place" not in mine["sources"][0]
    everything = client.get("/api/evals/index/status", headers=operator).json()
    assert everything["sources"][0]["place"] == "stored here"
    assert "warming" in everything


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.2)


@pytest.fixture
def hanging() -> Iterator[OllamaServer]:
    with OllamaServer("qwen3-embedding:8b", dimension=64) as server:
        yield server


def test_health_answers_within_a_second_while_the_embedder_hangs(
    evals: Evals, guide: Path, tmp_path: Path, hanging: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n) for n in range(1, 4)])
    monkeypatch.setenv("EVALVAULT_DB_PATH", str(path))
    monkeypatch.setenv("EVALVAULT_RAG_EMBEDDING_PROFILE", "ollama")
    monkeypatch.setenv("OLLAMA_BASE_URL", hanging.url)
    hanging.hold(1)
    started = time.monotonic()
    with TestClient(wherry.create_app(wherry.Settings(), [app])) as client:
        assert client.get("/healthz").json() == {"ok": True}
        assert time.monotonic() - started < 1.0
        until(lambda: bool(hanging.asked))
        began = time.monotonic()
        assert client.get("/healthz").status_code == 200
        assert time.monotonic() - began < 1.0


def test_the_warm_up_indexes_in_the_background_and_rebuilds_when_told(
    evals: Evals, guide: Path, tmp_path: Path, keys: wherry.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n) for n in range(1, 4)])
    monkeypatch.setenv("EVALVAULT_DB_PATH", str(path))
    operator = bearing(keys.add("ops", operator=True))
    with TestClient(wherry.create_app(wherry.Settings(), [app])) as client:

        def totals() -> dict[str, Any]:
            return dict(client.get("/api/evals/index/status", headers=operator).json()["totals"])

        until(lambda: totals()["ready"] == 4)
        with sqlite3.connect(path) as connection:
            add_runs(connection, [run(9)], ("metrics_evaluated", "thresholds"))
            connection.execute("DELETE FROM evaluation_runs WHERE run_id = ?", [uuid_of(1)])
        connection.close()
        assert client.post("/api/evals/index/rebuild", headers=operator).status_code == 202
        until(lambda: f"run:{uuid_of(9)}" in {
            one["source"] for one in client.get("/api/evals/index/status", headers=operator).json()["sources"]
        })  # fmt: skip
        found = client.get("/api/evals/runs", headers=operator).json()["runs"]
        assert {one["run_id"] for one in found} == {uuid_of(n) for n in (2, 3, 9)}


def test_a_run_saved_while_the_model_is_down_is_kept_and_indexed_later(
    evals: Evals, monkeypatch: pytest.MonkeyPatch, hanging: OllamaServer
) -> None:
    monkeypatch.setattr("wherry_apps.evals.embedding.WAITS_S", (0.01, 0.02))
    monkeypatch.setenv("EVALVAULT_RAG_EMBEDDING_PROFILE", "ollama")
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:1")
    down = Evals()
    saved = down.save(R01, "ann")
    down.close()
    assert (saved["stored"], saved["indexed"]) == (True, False)
    monkeypatch.setenv("OLLAMA_BASE_URL", hanging.url)
    monkeypatch.setenv("EVALVAULT_RAG_EMBEDDING_PROFILE", "offline")
    up = Evals()
    from wherry_apps.evals.preindexing import Wish

    assert up.preindex(Wish(lenient=True, skip_guide=True)).tally.modified == 1
    assert up.run("r-01", "ann")["state"] == "ready"
    up.close()


def test_runs_are_saved_by_many_at_once(evals: Evals) -> None:
    failures: list[BaseException] = []

    def act(number: int) -> None:
        try:
            evals.save(run(number % 3, 2), "ann")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=act, args=[number]) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert evals.runs("ann")["count"] == 3
    assert evals.status("ann")["totals"]["documents"] == 3 * 4


def test_an_older_table_is_brought_along_with_its_rows(fresh_url: str, tmp_path: Path, run_cli: Cli) -> None:
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(
            "CREATE TABLE rag_documents (id SERIAL PRIMARY KEY, source TEXT NOT NULL, source_hash TEXT NOT NULL,"
            " doc_id INTEGER NOT NULL, content TEXT NOT NULL, embedding vector(64) NOT NULL,"
            " created_at TIMESTAMPTZ DEFAULT now())"
        )
        vector = "[" + ",".join(["0.125"] * 64) + "]"
        for source, doc in (("user_guide", 0), ("user_guide", 1), ("user_guide", 1), ("run:r-01", 0)):
            connection.execute(
                "INSERT INTO rag_documents (source, source_hash, doc_id, content, embedding)"
                " VALUES (%s, 'old', %s, '옛 문서', %s::vector)",
                [source, doc, vector],
            )
    code, out, _ = run_cli("migrate", "--db-url", fresh_url, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["before"], found["after"], found["totals"]["documents"], found["totals"]["stale"]) == (
        None,
        "0001",
        4,
        2,
    )
    assert open_database(fresh_url).drift() == []
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        kept = connection.execute("SELECT source, doc_id, metadata FROM rag_documents ORDER BY id").fetchall()
    assert kept == [("user_guide", 0, {}), ("user_guide", 1, {}), ("user_guide", 2, {}), ("run:r-01", 0, {})]
    path = as_json(tmp_path / "r.json", R01)
    words = ("--db-url", fresh_url, "--source-db", str(path), "--skip-user-guide", "--json")
    assert run_cli("preindex", *words, "--embedding-model", "hash:128")[0] == 3
    code, out, _ = run_cli("preindex", *words, "--embedding-model", "hash:64")
    assert (code, json.loads(out)["modified"]) == (0, 1)
    code, out, _ = run_cli("status", "--db-url", fresh_url, "--json")
    assert {one["source"]: one["state"] for one in json.loads(out)["sources"]} == {
        "run:r-01": "ready", "user_guide": "stale"
    }  # fmt: skip


def test_tables_and_models_agree(evals: Evals) -> None:
    assert evals.database.drift() == []
    found = evals.database.check()
    assert found["missing_tables"] == found["missing_indexes"] == []


def test_a_service_outlives_another_dimension_of_its_table(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    for number in range(8):
        # Statements that come often are prepared by the driver, each in its connection.
        evals.save({**R01, "results": [{**R01["results"][0], "answer": f"{number}년"}]})
    path = as_json(tmp_path / "r.json", R01)
    words = ("preindex", "--source-db", str(path), "--skip-user-guide", "--embedding-model", "hash:64", "--recreate")
    assert run_cli(*words)[0] == 0
    saved = evals.save({**R01, "results": [{**R01["results"][0], "answer": "9년"}]})
    assert (saved["indexed"], saved["error"]) == (True, None)
    assert evals.search("보증", None).hits[0]["source"] == "run:r-01"


def test_a_run_that_is_saved_while_the_index_is_checked_stays(evals: Evals, monkeypatch: pytest.MonkeyPatch) -> None:
    from wherry_apps.evals.preindexing import Wish
    from wherry_apps.evals.stored import StoredRuns

    evals.save(run(1, 1), "ann")
    pages = StoredRuns.pages

    def saving(self: StoredRuns, limit: int | None = None) -> Iterator[Any]:
        yield from pages(self, limit)
        evals.save(run(2, 1), "ann")

    monkeypatch.setattr(StoredRuns, "pages", saving)
    assert evals.preindex(Wish(lenient=True, skip_guide=True)).tally.deleted == 0
    assert evals.runs("ann")["count"] == 2
    assert evals.status("ann")["totals"]["documents"] == 2 * 2
