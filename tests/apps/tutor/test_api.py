"""The endpoints: who may do what, and that nobody sees what is another's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.apps.tutor.conftest import Bearing
from tests.apps.tutor.papers import EXAMPLE, KNEE, diag_file, exam
from wherry.service.access import rules
from wherry.testing.model_server import Fault
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.tutor.api import router
from wherry_apps.tutor.service import Tutor

pytestmark = pytest.mark.usefixtures("no_waiting")
OPERATORS = {
    ("POST", "/questions/import"), ("POST", "/questions/approve"), ("POST", "/questions/reject"),
    ("PATCH", "/questions/{number}"), ("POST", "/index"), ("POST", "/tests/{number}/activate"),
    ("POST", "/tests/{number}/archive"), ("POST", "/generate"), ("POST", "/documents"),
    ("DELETE", "/documents/{number}"),
}  # fmt: skip
BODIES: dict[str, Any] = {
    "/questions/import": {"name": "a.json", "data": exam(1)}, "/questions/approve": {"ids": [1]},
    "/questions/reject": {"ids": [1]}, "/questions/{number}": {"area": "무릎"}, "/sessions": {"test": 1},
    "/sessions/{number}/submit": {"answers": {}}, "/generate": {"topic": "무릎"}, "/explain": {"question": 1},
    "/explain/stream": {"question": 1}, "/documents": {"title": "무릎", "text": KNEE},
}  # fmt: skip
ROUTES = [(methods, path) for methods, path, _ in rules(router)]


def call(client: TestClient, method: str, path: str, key: Bearing | None, number: int = 1) -> Any:
    body = BODIES.get(path) if method in ("POST", "PATCH") else None
    where = f"/api/tutor{path.replace('{number}', str(number))}" + ("?q=무릎" if path == "/search" else "")
    return client.request(method, where, headers=key or {}, json=body)


def finished(client: TestClient, key: Bearing, wrong: bool = True) -> dict[str, Any]:
    """Take test 1 as a student and return the graded session."""
    sheet = client.post("/api/tutor/sessions", json={"test": 1}, headers=key).json()
    answers = {str(q["id"]): "1" for q in sheet["questions"]} if wrong else {}
    path = f"/api/tutor/sessions/{sheet['session']}/submit"
    return client.post(path, json={"answers": answers}, headers=key).json()


def test_the_routes_that_are_asked_for_are_there() -> None:
    wanted = {
        "questions",
        "tests",
        "sessions",
        "recommended",
        "generate",
        "explain",
        "documents",
        "search",
        "statistics",
    }
    assert {path.split("/")[1] for _, path in ROUTES} == wanted | {"index"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nothing_is_there(client: TestClient, method: str, path: str) -> None:
    found = call(client, method, path, None)
    assert found.status_code == 401
    assert call(client, method, path, {"Authorization": "Bearer wherry_0_0"}).status_code == 401


@pytest.mark.parametrize(("method", "path"), sorted(OPERATORS))
def test_a_student_may_not_do_what_a_professor_does(
    client: TestClient, tutor: Tutor, kim: Bearing, method: str, path: str
) -> None:
    assert call(client, method, path, kim).status_code == 403
    assert tutor.bank.list()["total"] == 0


def test_every_other_route_is_a_students_too() -> None:
    assert {(m, p) for m, p in ROUTES if (m, p) not in OPERATORS} == {
        ("GET", "/questions"), ("GET", "/questions/{number}"), ("GET", "/tests"), ("GET", "/sessions"),
        ("POST", "/sessions"), ("GET", "/sessions/{number}"), ("POST", "/sessions/{number}/submit"),
        ("GET", "/recommended"), ("POST", "/explain"), ("POST", "/explain/stream"), ("GET", "/documents"),
        ("GET", "/search"), ("GET", "/statistics"),
    }  # fmt: skip


def test_a_read_only_key_starts_nothing(client: TestClient, approved: Tutor, keys: Any) -> None:
    key = {"Authorization": f"Bearer {keys.add('kim', read_only=True)}"}
    assert call(client, "POST", "/sessions", key).status_code == 403
    assert client.get("/api/tutor/tests", headers=key).status_code == 200


def test_one_students_session_is_not_there_for_another(
    client: TestClient, approved: Tutor, kim: Bearing, lee: Bearing, prof: Bearing
) -> None:
    graded = finished(client, kim)
    number = graded["session"]
    for method, path in (("GET", "/sessions/{number}"), ("POST", "/sessions/{number}/submit")):
        mine = call(client, method, path, kim, number)
        theirs = call(client, method, path, lee, number)
        never = call(client, method, path, lee, 9_999)
        assert mine.status_code == 200
        assert (theirs.status_code, theirs.json()) == (404, never.json())
        assert call(client, method, path, prof, number).status_code == 200
    assert client.get(f"/api/tutor/recommended?session={number}", headers=lee).status_code == 404
    assert client.get(f"/api/tutor/recommended?session={number}", headers=kim).status_code == 200
    assert client.get("/api/tutor/sessions", headers=lee).json() == {"sessions": []}
    assert [one["user"] for one in client.get("/api/tutor/sessions", headers=prof).json()["sessions"]] == ["kim"]


def test_no_route_shows_one_student_anything_of_another(
    client: TestClient, approved: Tutor, kim: Bearing, lee: Bearing
) -> None:
    graded = finished(client, kim)
    traces = ("kim", str(graded["percentage"]), graded["started_at"], graded["completed_at"])
    for method, path in ROUTES:
        if path == "/sessions" and method == "POST":
            continue
        found = call(client, method, path, lee, graded["session"])
        assert not any(trace in found.text for trace in traces), path
    mine = client.get("/api/tutor/statistics", headers=kim).json()
    theirs = client.get("/api/tutor/statistics", headers=lee).json()
    assert (mine["sessions"], theirs) == ({"completed": 1}, {"sessions": {}, "mean_percentage": None})


def test_drafts_are_invisible_to_students(client: TestClient, approved: Tutor, kim: Bearing, prof: Bearing) -> None:
    made = client.post("/api/tutor/questions/import", headers=prof, json={"name": "n.json", "data": exam(3, first=91)})
    drafts = made.json()["questions"]
    approved.reject([1])
    hidden = [*drafts, 1]
    listed = client.get("/api/tutor/questions?limit=1000", headers=kim).json()
    assert listed["total"] == 69
    assert set(hidden).isdisjoint(one["id"] for one in listed["questions"])
    for status in ("pending", "rejected"):
        same = client.get(f"/api/tutor/questions?limit=1000&status={status}", headers=kim).json()
        assert set(hidden).isdisjoint(one["id"] for one in same["questions"])
    for number in hidden:
        assert client.get(f"/api/tutor/questions/{number}", headers=kim).status_code == 404
        assert client.get(f"/api/tutor/questions/{number}", headers=prof).status_code == 200
        for path in ("/explain", "/explain/stream"):
            found = client.post(f"/api/tutor{path}", headers=kim, json={"question": number})
            assert found.status_code == 404, path
    hits = client.get("/api/tutor/search?q=무릎관절&threshold=-1&k=50", headers=kim).json()["hits"]
    assert {str(number) for number in hidden}.isdisjoint(hit["id"] for hit in hits)
    finished(client, kim)
    found = client.get("/api/tutor/recommended?k=50", headers=kim).json()["recommended"]
    assert set(hidden).isdisjoint(one["id"] for one in found)


def test_a_point_that_a_store_failed_to_remove_is_not_shown_all_the_same(
    client: TestClient, approved: Tutor, kim: Bearing
) -> None:
    approved.bank.reject([1, 2])
    hits = client.get("/api/tutor/search?q=어깨관절의 주된 움직임은&threshold=-1&k=50", headers=kim).json()["hits"]
    assert {"1", "2"}.isdisjoint(hit["id"] for hit in hits)


def test_a_draft_of_a_test_is_invisible(client: TestClient, approved: Tutor, kim: Bearing, prof: Bearing) -> None:
    body = {"name": "d2.json", "data": diag_file(3, title="둘째")}
    number = client.post("/api/tutor/questions/import", headers=prof, json=body).json()["test"]
    assert [t["id"] for t in client.get("/api/tutor/tests", headers=kim).json()["tests"]] == [1]
    assert [t["id"] for t in client.get("/api/tutor/tests", headers=prof).json()["tests"]] == [1, number]
    assert client.post("/api/tutor/sessions", headers=kim, json={"test": number}).status_code == 409


def test_answers_are_never_shown_before_a_test_is_over(client: TestClient, approved: Tutor, kim: Bearing) -> None:
    told = [client.get(path, headers=kim).text for path in (
        "/api/tutor/questions?limit=1000", "/api/tutor/questions/41", "/api/tutor/tests",
        "/api/tutor/search?q=무릎&threshold=-1&k=50",
    )]  # fmt: skip
    sheet = client.post("/api/tutor/sessions", headers=kim, json={"test": 1})
    told += [sheet.text, client.get(f"/api/tutor/sessions/{sheet.json()['session']}", headers=kim).text]
    for text in told:
        assert not re.search("correct_answer|approved_by|ai_integration|source_info", text)
    assert client.post("/api/tutor/explain", headers=kim, json={"question": 41}).status_code == 409
    finished(client, kim)
    assert client.post("/api/tutor/explain", headers=kim, json={"question": 41}).status_code == 200


def test_the_whole_way_over_http(client: TestClient, tutor: Tutor, kim: Bearing, prof: Bearing) -> None:
    for name, data in (("2030.json", exam(40)), ("diag.json", diag_file())):
        made = client.post("/api/tutor/questions/import", headers=prof, json={"name": name, "data": data}).json()
    ids = list(range(1, 71))
    found = client.post("/api/tutor/questions/approve", headers=prof, json={"ids": ids}).json()
    assert (found["indexed"], found["errors"]) == (True, {})
    assert tutor.bank.get(1)["approved_by"] == "prof"
    number = made["test"]
    assert client.post(f"/api/tutor/tests/{number}/activate", headers=prof).json()["status"] == "active"
    graded = finished(client, kim)
    again = finished(client, kim)
    assert (graded["status"], again["attempt"]) == ("completed", 2)
    assert graded["percentage"] > 0
    recommended = client.get("/api/tutor/recommended", headers=kim).json()["recommended"]
    assert all(one["reason"] for one in recommended)
    hits = client.get("/api/tutor/search?q=무릎관절&department=물리치료학과&threshold=0.05", headers=kim).json()
    assert hits["hits"]
    assert "in" not in hits
    assert client.post("/api/tutor/index", headers=prof).json()["embedded"] == 0
    added = client.post("/api/tutor/documents", headers=prof, json={"title": "무릎", "text": KNEE}).json()
    drafted = client.post("/api/tutor/generate", headers=prof, json={"topic": "십자인대와 정강뼈"}).json()
    assert drafted["approval_status"] == "pending"
    told = client.post("/api/tutor/explain", headers=kim, json={"question": 1}).json()
    assert told["explanation"].startswith("[규칙 기반]")
    assert client.get("/api/tutor/documents", headers=kim).json()["documents"][0]["title"] == "무릎"
    assert client.delete(f"/api/tutor/documents/{added['id']}", headers=prof).json()["points"] == 1
    counts = client.get("/api/tutor/statistics", headers=prof).json()
    assert (counts["points"], counts["sessions"]) == (70, {"completed": 2})


def test_an_edit_over_http_is_there_after_reloading(client: TestClient, approved: Tutor, prof: Bearing) -> None:
    changes = {"question_metadata": {"a": {"b": 1}}, "area": "척추"}
    assert client.patch("/api/tutor/questions/1", headers=prof, json=changes).status_code == 200
    found = client.get("/api/tutor/questions/1", headers=prof).json()
    assert (found["question_metadata"], found["area"]) == ({"a": {"b": 1}}, "척추")
    assert client.patch("/api/tutor/questions/1", headers=prof, json={"correct_answer": "9"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/questions/import", {"name": "x", "data": {"meta": {"total_questions": 30}, "questions": [EXAMPLE]}}, 422),
        ("/questions/import", {"name": "x", "data": {"meta": {}, "questions": [{"content": "x"}]}}, 422),
        ("/questions/import", {"name": "x", "data": 7}, 422),
        ("/questions/approve", {"ids": [999]}, 404),
        ("/questions/approve", {"ids": []}, 422),
        ("/questions/approve", {"ids": [0]}, 422),
        ("/questions/reject", {"ids": [1], "status": "approved"}, 422),
        ("/sessions", {"test": 999}, 404),
        ("/sessions", {"test": "eins"}, 422),
        ("/sessions/999/submit", {"answers": {}}, 404),
        ("/generate", {"topic": ""}, 422),
        ("/generate", {"topic": "양자역학"}, 409),
        ("/generate", {"topic": "무릎", "difficulty": 9}, 422),
        ("/explain", {"question": 999}, 404),
        ("/explain", {"question": 1 << 40}, 422),
        ("/documents", {"title": "leer", "text": "   "}, 422),
        ("/documents", {"title": "mehr", "text": "x", "nosuch": 1}, 422),
    ],
)  # fmt: skip
def test_bad_input_has_its_status_and_leaves_nothing(
    client: TestClient, tutor: Tutor, prof: Bearing, path: str, body: Any, status: int
) -> None:
    found = client.post(f"/api/tutor{path}", headers=prof, json=body)
    assert found.status_code == status, found.text
    assert found.json()["what"]
    assert tutor.bank.list()["total"] == 0
    assert tutor.documents.list() == []


@pytest.mark.parametrize("path", ["/search", "/search?q=", "/search?q=x&difficulty=9", "/questions?limit=0",
                                  "/search?q=x&kind=draft", "/questions?status=nosuch"])  # fmt: skip
def test_bad_queries_are_422(client: TestClient, kim: Bearing, path: str) -> None:
    assert client.get(f"/api/tutor{path}", headers=kim).status_code == 422


@pytest.mark.parametrize("odd", ["a\x00b", "a\\ud800b"])
def test_characters_that_are_none_are_422_everywhere(
    client: TestClient, approved: Tutor, prof: Bearing, odd: str
) -> None:
    escaped = odd.replace("\x00", "\\u0000")
    bodies = [
        ("POST", "/questions/import", '{"name": "%s", "data": []}'),
        ("POST", "/documents", '{"title": "%s", "text": "x"}'),
        ("POST", "/questions/import", '{"name": "x", "data": {"meta": {}, "questions": [{"content": "%s"}]}}'),
        ("PATCH", "/questions/1", '{"question_metadata": {"a": ["%s"]}}'), ("PATCH", "/questions/1", '{"area": "%s"}'),
        ("POST", "/documents", '{"title": "x", "text": "%s"}'), ("POST", "/generate", '{"topic": "%s"}'),
        ("POST", "/sessions/1/submit", '{"answers": {"41": "%s"}}'),
    ]  # fmt: skip
    headers = {**prof, "Content-Type": "application/json"}
    for method, path, body in bodies:
        found = client.request(method, f"/api/tutor{path}", headers=headers, content=body % escaped)
        assert found.status_code == 422, (path, found.text)
    for path in ("/search?q=%00", "/search?q=x&department=%00", "/questions?area=%00"):
        assert client.get(f"/api/tutor{path}", headers=prof).status_code == 422, path


def test_answers_that_cannot_be_name_the_questions(client: TestClient, approved: Tutor, kim: Bearing) -> None:
    number = client.post("/api/tutor/sessions", headers=kim, json={"test": 1}).json()["session"]
    body = {"answers": {"999": "1", "41": "9"}}
    found = client.post(f"/api/tutor/sessions/{number}/submit", headers=kim, json=body)
    assert found.status_code == 422
    assert "999" in found.text
    assert "41" in found.text


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_a_stream_that_breaks_off_ends_with_the_labelled_offline_answer(
    client: TestClient, approved: Tutor, kim: Bearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OllamaServer("llama3.1:8b") as server:
        monkeypatch.setenv("WHERRY_TUTOR_LLM", f"ollama:llama3.1:8b?base_url={server.url}&deadline=2")
        server.say("굽힘이 맞습니다. 나머지 보기는 모두 작은 움직임입니다.")
        server.fail(Fault(None, path="/api/chat", after_pieces=2))
        found = events_of(client.post("/api/tutor/explain/stream", headers=kim, json={"question": 1}).text)
    assert found[-1]["model"] == "offline"
    assert found[-1]["explanation"].startswith("[규칙 기반]")
    assert "127.0.0.1" not in str(found)
    assert approved.bank.get(1)["ai_integration"] == {}


def test_where_models_and_files_are_is_no_students_business(
    client: TestClient, approved: Tutor, kim: Bearing, prof: Bearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OllamaServer("llama3.1:8b") as server:
        monkeypatch.setenv("WHERRY_TUTOR_LLM", f"ollama:llama3.1:8b?base_url={server.url}&deadline=2")
        found = client.post("/api/tutor/explain", headers=kim, json={"question": 1}).json()
    assert found["model"] == "ollama:llama3.1:8b"
    client.post("/api/tutor/documents", headers=prof, json={"title": "무릎", "text": KNEE})
    [one] = client.get("/api/tutor/documents", headers=kim).json()["documents"]
    assert {"path", "sha256"}.isdisjoint(one)


def test_an_embedder_that_is_down_is_told(
    client: TestClient, tutor: Tutor, prof: Bearing, kim: Bearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/tutor/questions/import", headers=prof, json={"name": "a", "data": exam(2)})
    with OllamaServer("nomic-embed-text:latest") as server:
        spec = f"ollama:nomic-embed-text?base_url={server.url}&deadline=1"
        monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", spec)
        assert client.post("/api/tutor/questions/approve", headers=prof, json={"ids": [1]}).json()["indexed"]
    found = client.post("/api/tutor/questions/approve", headers=prof, json={"ids": [2]})
    assert (found.status_code, found.json()["indexed"]) == (200, False)
    down = client.get("/api/tutor/search?q=무릎", headers=kim)
    assert down.status_code == 503
    assert "127.0.0.1" not in down.text
