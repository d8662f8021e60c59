"""Endpoints: records, files, statuses of HTTP; nothing of one tenant for another, over every route."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

import wherry
from tests.apps.interview.conftest import ANSWER, POST, bearing
from tests.indexing.pdfs import make_pdf
from wherry.service.access import rules
from wherry_apps.interview import app as interview
from wherry_apps.interview.service.intake import MOST_BYTES

AT = "/api/interview"
APP = wherry.create_app(wherry.Settings(), [interview])
OPERATIONS = [
    (method.upper(), path)
    for path, methods in APP.openapi()["paths"].items()
    for method in methods
    if path.startswith(AT)
]
SECRET = "나루비밀"
SEGMENT = {"segment_id": 1, "segment_order": 1, "question_text": "q", "answer_text": "a"}
WRONG = ["segments.0.segment_order", "segments.0.answer_text"]
BURIED = ["resume_parsed_data.a.1.b", "resume_parsed_data.a.0"]
NOWHERE = "2147483000"


class Tenant:
    """A tenant with a key and one of everything, made when it is first needed."""

    def __init__(self, client: TestClient, keys: wherry.Keys, name: str) -> None:
        self.client, self.name, self.headers = client, name, bearing(keys.add(name))

    @cached_property
    def company(self) -> int:
        """A company."""
        return self.post("/companies", {"name": f"{SECRET} 물류"})["id"]

    @cached_property
    def applicant(self) -> int:
        """An applicant."""
        return self.post("/applicants", {"name": f"{SECRET} 하늘", "email": "same@example.com"})["id"]

    @cached_property
    def job(self) -> int:
        """A job, uploaded."""
        files = {"file": ("post.txt", f"{POST}\n{SECRET}".encode())}
        form = {"company_id": self.company, "title": f"{SECRET} Backend"}
        return self.client.post(f"{AT}/jobs/upload", files=files, data=form, headers=self.headers).json()["job_id"]

    @cached_property
    def question(self) -> int:
        """A question of the job."""
        question = {"job_id": self.job, "question_type": "technical", "question_text": f"{SECRET} 질문"}
        return self.post("/questions", question)["id"]

    @cached_property
    def session(self) -> int:
        """An interview, answered and evaluated."""
        assert self.question
        made = self.post("/sessions/start", {"applicant_id": self.applicant, "job_id": self.job})["id"]
        self.post(f"/sessions/{made}/answers", {"text": f"{SECRET} {ANSWER}"})
        self.post(f"/sessions/{made}/evaluate", None)
        return made

    @cached_property
    def result(self) -> int:
        """Its result."""
        return self.get(f"/results?interview_id={self.session}")["results"][0]["id"]

    def post(self, path: str, content: Any, status: int | None = None) -> Any:
        """Post, and return what comes back."""
        answered = self.client.post(f"{AT}{path}", json=content, headers=self.headers)
        assert answered.status_code == status if status else answered.is_success, answered.text
        return answered.json()

    def get(self, path: str) -> Any:
        """Get."""
        answered = self.client.get(f"{AT}{path}", headers=self.headers)
        assert answered.is_success, answered.text
        return answered.json()

    def filled(self, path: str) -> str:
        """Return a path with the ids of what this tenant has."""
        kinds = ("companies", "applicants", "jobs", "questions", "sessions", "results")
        one = dict(zip(kinds, (self.company, self.applicant, self.job, self.question, self.session, self.result)))  # noqa: B905
        kind = path.removeprefix(f"{AT}/").split("/")[0]
        return path.replace("{job_id}", str(self.job)).replace("{session_id}", str(self.session)).replace(
            "{id}", str(one.get(kind, 0))
        )  # fmt: skip


@pytest.fixture
def a(client: TestClient, keys: wherry.Keys, owner: str) -> Tenant:
    return Tenant(client, keys, owner + "a")


def bodies(mine: Tenant) -> dict[str, Any]:
    """Return bodies that name what a tenant has, by the end of the path."""
    return {
        "search": {"query": SECRET, "job_id": mine.job},
        "start": {"applicant_id": mine.applicant, "job_id": mine.job},
        "answers": {"text": "x"},
        "transcripts": {"applicant_id": mine.applicant, "segments": [SEGMENT]},
        "import": {"interviewers": [{"id": 1, "type": "hr"}]},
        "companies": {"name": "x"},
        "applicants": {"name": "x"},
        "jobs": {"company_id": mine.company, "title": "t"},
        "questions": {"job_id": mine.job, "question_type": "t", "question_text": "q"},
        "sessions": {"applicant_id": mine.applicant, "job_id": mine.job},
        "results": {"interview_id": mine.session, "stt_full_text": "t"},
        "{id}": {"name": "taken"},
    }  # fmt: skip


def body_of(path: str, mine: Tenant) -> Any:
    """Return a body that fits an endpoint."""
    return {"status": "failed"} if path.endswith("/sessions/{id}") else bodies(mine).get(path.rsplit("/", 1)[-1])


def asked(client: TestClient, method: str, path: str, mine: Tenant, headers: dict[str, str], query: str = "") -> Any:
    """Ask an endpoint with everything it needs, naming what `mine` has."""
    how: dict[str, Any] = {"headers": headers}
    if path.endswith("/upload"):
        how |= {"files": {"file": ("p.txt", b"text")}, "data": {"company_id": str(mine.company), "title": "t"}}
    elif method in ("POST", "PUT", "PATCH"):
        how["json"] = body_of(path, mine)
    return client.request(method, mine.filled(path) + query, **how)


def test_every_endpoint_declares_one_rule() -> None:
    found = [(path, declared) for _, path, declared in rules(APP) if path.startswith(AT)]
    assert len(found) > 40
    assert all(len(declared) == 1 for _, declared in found)
    assert (f"{AT}/sessions/{{session_id}}/live", frozenset({"writes"})) in found


def test_nobody_without_a_key_and_nobody_else_gets_anything(client: TestClient, keys: wherry.Keys, a: Tenant) -> None:
    other, own = bearing(keys.add(a.name + "x")), {"companies", "applicants"}
    reader = bearing(keys.add(a.name, read_only=True))
    assert a.result
    kept = a.get(f"/jobs/{a.job}"), a.get(f"/sessions/{a.session}"), a.get(f"/companies/{a.company}")
    for method, path in OPERATIONS:
        assert asked(client, method, path, a, {}).status_code == 401, (method, path)
        found = asked(client, method, path, a, other, "?reveal=true" if method == "GET" else "")
        # What was asked for may be repeated.
        words = found.text.replace(f'"query":"{SECRET}"', "")
        assert SECRET not in words, (method, path)
        assert a.name not in words
        lists = method == "GET" and "{" not in path
        makes = path.rsplit("/", 1)[-1] in own or path.endswith(("/search", "/reembed"))
        assert found.status_code == (404 if not (lists or makes) else 200 if lists or "jobs/" in path else 201), (
            method,
            path,
            words,
        )
        if lists:
            # What was made above by this key itself is all there is.
            assert len(next(iter(found.json().values()))) <= 1
        if "{" in path and "?" not in path:
            # What is not there for a key looks like what is not there at all.
            empty = re.sub(r"\{\w+\}", NOWHERE, path)
            nowhere = client.request(method, empty, json=body_of(path, a), headers=other)
            assert nowhere.content == found.content
        if method != "GET" and not path.endswith("/search"):
            assert asked(client, method, path, a, reader).status_code == 403, (method, path)
    assert kept == (a.get(f"/jobs/{a.job}"), a.get(f"/sessions/{a.session}"), a.get(f"/companies/{a.company}"))


def test_filters_name_nothing_of_another_tenant(client: TestClient, keys: wherry.Keys, a: Tenant) -> None:
    other = bearing(keys.add(a.name + "x"))
    for path in (
        f"/jobs?company_id={a.company}",
        f"/questions?job_id={a.job}",
        f"/sessions?applicant_id={a.applicant}",
        f"/results?interview_id={a.session}",
    ):
        assert next(iter(client.get(AT + path, headers=other).json().values())) == []
        assert next(iter(a.get(path).values()))
    assert client.get(f"{AT}/applicants?company_id={a.company}", headers=other).status_code == 404
    hits = client.post(f"{AT}/jobs/search", json={"query": SECRET}, headers=other).json()["hits"]
    assert hits == []


def test_what_belongs_to_another_cannot_be_referred_to(client: TestClient, keys: wherry.Keys, a: Tenant) -> None:
    b = Tenant(client, keys, a.name + "b")
    for path, content in (
        ("/jobs", {"company_id": a.company, "title": "t"}),
        ("/questions", {"job_id": a.job, "question_type": "t", "question_text": "q"}),
        ("/sessions", {"applicant_id": b.applicant, "job_id": a.job}),
        ("/sessions", {"applicant_id": b.applicant, "company_id": a.company}),
        ("/results", {"interview_id": b.session, "stt_full_text": "t", "question_id": a.question}),
        ("/results", {"interview_id": b.session, "stt_full_text": "t", "job_id": a.job}),
        (
            f"/transcripts?applicant_id={b.applicant}&job_id={a.job}",
            [{"global_index": 0, "question": "q", "answer": "a"}],
        ),
    ):
        b.post(path, content, 404)
    assert client.patch(f"{AT}/jobs/{b.job}", json={"company_id": a.company}, headers=b.headers).status_code == 404
    transcript = {"interview_id": a.session, "applicant_id": b.applicant, "segments": [SEGMENT]}
    assert b.post("/transcripts", transcript)["interview_id"] != a.session


def test_an_operator_sees_all_and_a_child_is_its_parents_owners(
    client: TestClient, keys: wherry.Keys, a: Tenant
) -> None:
    ops = bearing(keys.add("ops", operator=True))
    assert client.get(f"{AT}/jobs/{a.job}", headers=ops).json()["title"] == f"{SECRET} Backend"
    made = client.post(f"{AT}/jobs", json={"company_id": a.company, "title": "t"}, headers=ops).json()
    assert a.get(f"/jobs/{made['id']}")["title"] == "t"


def test_the_five_acts_on_each_kind(client: TestClient, a: Tenant) -> None:
    changes = {
        "companies": (a.company, {"culture_desc": "함께"}),
        "applicants": (a.applicant, {"total_experience_years": 7}),
        "jobs": (a.job, {"position_type": "data"}),
        "questions": (a.question, {"difficulty_level": 5}),
        "results": (a.result, {"ai_feedback": "다시 봄"}),
    }
    for kind, (id, change) in changes.items():
        changed = client.patch(f"{AT}/{kind}/{id}", json=change, headers=a.headers)
        assert changed.is_success, changed.text
        assert changed.json().items() >= change.items()
        assert a.get(f"/{kind}/{id}").items() >= change.items()
        assert id in [one["id"] for one in a.get(f"/{kind}")[kind]]
    for kind, id in (("results", a.result), ("sessions", a.session), ("questions", a.question), ("jobs", a.job)):
        assert client.delete(f"{AT}/{kind}/{id}", headers=a.headers).status_code == 204
        assert client.get(f"{AT}/{kind}/{id}", headers=a.headers).status_code == 404
    assert a.post("/jobs/search", {"query": SECRET})["hits"] == []
    assert client.delete(f"{AT}/companies/{a.company}", headers=a.headers).status_code == 204


def test_a_new_description_is_cut_and_found_anew(client: TestClient, a: Tenant) -> None:
    client.patch(f"{AT}/jobs/{a.job}", json={"description": "완전히 다른 회계 결산 업무"}, headers=a.headers)
    (hit,) = a.post("/jobs/search", {"query": "회계 결산"})["hits"]
    assert hit["chunk_text"] == "완전히 다른 회계 결산 업무"
    assert a.get(f"/jobs/{a.job}")["index_status"] == "complete"


def test_a_full_result_row_as_the_seed_stores_it(client: TestClient, a: Tenant) -> None:
    row = {
        "interview_id": a.session,
        "question_id": a.question,
        "question_text": "Tell me about your experience with Python",
        "stt_full_text": "I have been working with Python for 5 years",
        "logic_score": 85.5,
        "relevance_score": 90.0,
        "technical_score": 88.0,
        "communication_score": 82.0,
        "keywords": {"technical": ["Python"], "soft_skills": ["teamwork"], "domain": ["web"]},
        "strengths": ["Strong Python expertise"],
        "weaknesses": [{"text": "short", "quote": "5 years", "start": 99}],
        "ai_feedback": "solid",
        "metadata": {"source": "seed"},
    }
    made = a.post("/results", row)
    assert made["overall_score"] == 86.375
    assert made["weaknesses"] == [{"text": "short", "quote": "5 years", "start": 36, "end": 43}]
    assert made["metadata"] == {"source": "seed"}
    assert a.post("/results", {**row, "overall_score": 86.375})["overall_score"] == 86.375
    told = a.get(f"/sessions/{a.session}/results")["results"][-1]
    assert {name: told[name] for name in ("keywords", "strengths")} == {
        name: row[name] for name in ("keywords", "strengths")
    }
    for change, field in (
        ({"overall_score": 50}, "overall_score"),
        ({"logic_score": 101}, "logic_score"),
        ({"logic_score": -0.1}, "logic_score"),
        ({"weaknesses": [{"text": "x", "quote": "never said"}]}, "weaknesses.0.quote"),
        ({"scores": {"depth": 200}}, "scores.depth"),
        ({"surprise": 1}, "surprise"),
    ):
        assert a.post("/results", {**row, **change}, 422)["fields"] == [field]


@pytest.mark.parametrize(
    ("path", "content", "fields"),
    [
        ("/companies", {}, ["name"]),
        ("/companies", {"name": " ", "core_values": "x", "extra": 1}, ["name", "core_values", "extra"]),
        ("/companies", [], ["(whole)"]),
        ("/companies", {"name": "a\x00b"}, ["name"]),
        ("/applicants", {"name": "x", "resume_parsed_data": {"a": ["\x00", {"b": "\ud800"}]}}, BURIED),
        ("/companies", {"name": "x", "\ud800": {"a": "\x00"}}, ["(whole)"]),
        ("/transcripts", {"segments": [SEGMENT], "persona_meta": {"deep": "\x00"}}, ["persona_meta.deep"]),
        ("/applicants", {"name": "x", "email": "nomail", "age": -1}, ["email", "age"]),
        ("/questions", {"question_type": "t", "question_text": "q", "difficulty_level": 6}, ["difficulty_level"]),
        ("/jobs", {"company_id": "x", "title": "t" * 501}, ["company_id", "title"]),
        ("/sessions", {"applicant_id": 1}, ["job_id", "company_id"]),
        ("/transcripts", {"segments": [{**SEGMENT, "segment_order": "x", "answer_text": 1}]}, WRONG),
    ],
)
def test_bad_input_lists_every_field(
    client: TestClient, keys: wherry.Keys, owner: str, path: str, content: Any, fields: list[str]
) -> None:
    headers = {**bearing(keys.add(owner)), "Content-Type": "application/json"}
    answered = client.post(f"{AT}{path}", content=json.dumps(content), headers=headers)
    assert answered.status_code == 422, answered.text
    assert answered.json()["fields"] == fields


HUGE = 10**30


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/companies/{HUGE}", 404),
        ("GET", "/companies/-1", 404),
        ("DELETE", f"/jobs/{2**31}", 404),
        ("GET", f"/companies?after={HUGE}", 422),
        ("GET", f"/jobs?company_id={HUGE}", 422),
        ("GET", "/sessions?status=gone", 422),
        ("GET", "/questions?question_type=%00", 422),
        ("GET", f"/sessions/{HUGE}/results", 404),
        ("POST", f"/sessions/{HUGE}/evaluate", 404),
        ("GET", f"/jobs/{HUGE}/comparison", 404),
        ("POST", f"/transcripts?applicant_id={HUGE}", 404),
        ("POST", f"/jobs/reembed?job_id={HUGE}", 404),
    ],
)
def test_numbers_and_words_that_no_row_can_have(
    client: TestClient, keys: wherry.Keys, owner: str, method: str, path: str, status: int
) -> None:
    body = [{"global_index": 0, "question": "q", "answer": "a"}] if "transcripts" in path else None
    answered = client.request(method, AT + path, json=body, headers=bearing(keys.add(owner)))
    assert answered.status_code == status, answered.text


@pytest.mark.parametrize(
    "body", [b'{"name": NaN}', b'{"name": "x", "category_weights": {"a": Infinity}}', b"[" * 5_000, b"{", b"\xff", b""]
)
def test_what_is_no_json_of_ours_is_a_client_error(
    client: TestClient, keys: wherry.Keys, owner: str, body: bytes
) -> None:
    headers = {**bearing(keys.add(owner)), "Content-Type": "application/json"}
    answered = client.post(f"{AT}/companies", content=body, headers=headers)
    assert answered.status_code in (400, 422), answered.text
    search = client.post(f"{AT}/jobs/search", json={"query": "x", "job_id": HUGE}, headers=headers)
    assert search.status_code == 422


def test_names_of_files_and_titles_are_the_senders(client: TestClient, a: Tenant) -> None:
    form = {"company_id": str(a.company), "title": "t\x00"}
    files = {"file": ("../../etc/passwd", POST.encode())}
    answered = client.post(f"{AT}/jobs/upload", files=files, data=form, headers=a.headers)
    assert answered.status_code == 422
    form["title"] = "t"
    assert client.post(f"{AT}/jobs/upload", files=files, data=form, headers=a.headers).status_code == 201


def test_files_are_refused_with_400_before_any_work(client: TestClient, a: Tenant) -> None:
    def sent(data: bytes, name: str = "post.pdf") -> int:
        form = {"company_id": str(a.company), "title": "t"}
        return client.post(f"{AT}/jobs/upload", files={"file": (name, data)}, data=form, headers=a.headers).status_code

    assert sent(b"\x89PNG\r\n\x1a\n\x00\x00") == 400
    assert sent(b"x" * (MOST_BYTES + 1)) == 400
    assert sent(b"") == 400
    assert sent(make_pdf([""])) == 422
    assert sent(b"%PDF-1.4 broken") == 422
    assert sent(make_pdf(["배차 경험"]), "x.bin") == 201
    assert len(a.get("/jobs")["jobs"]) == 1


def test_a_mail_address_is_one_tenants(client: TestClient, keys: wherry.Keys, a: Tenant) -> None:
    assert a.applicant
    again = client.post(f"{AT}/applicants", json={"name": "b", "email": "same@example.com"}, headers=a.headers)
    assert again.status_code == 409
    other = bearing(keys.add(a.name + "x"))
    there = client.post(f"{AT}/applicants", json={"name": "b", "email": "same@example.com"}, headers=other)
    assert there.status_code == 201


def test_statuses_that_cannot_be_are_409(client: TestClient, a: Tenant) -> None:
    changed = client.patch(f"{AT}/sessions/{a.session}", json={"status": "in_progress"}, headers=a.headers)
    assert changed.status_code == 409
    assert client.post(f"{AT}/sessions/{a.session}/begin", headers=a.headers).status_code == 409
    assert client.post(f"{AT}/sessions/{a.session}/answers", json={"text": "x"}, headers=a.headers).status_code == 409


def test_an_interview_over_a_socket_survives_a_lost_connection(
    client: TestClient, keys: wherry.Keys, a: Tenant
) -> None:
    for n in range(2):
        a.post("/questions", {"job_id": a.job, "question_type": "t", "question_text": f"q{n}"})
    here = a.post("/sessions", {"applicant_id": a.applicant, "job_id": a.job})
    path, key = f"{AT}/sessions/{here['id']}/live", keys.add(a.name)
    with client.websocket_connect(path, headers=a.headers) as socket:
        first = socket.receive_json()
        assert (first["type"], first["turn"], first["index"]) == ("question", 0, 0)
        socket.send_json({"type": "answer", "turn": 0, "text": ANSWER})
        # The connection is lost before "saved" is read.
    with client.websocket_connect(path, subprotocols=["wherry", f"bearer.{key}"]) as socket:
        now = socket.receive_json()
        # Whether the answer was stored by then is anybody's guess; sent again, it counts once.
        assert (now["type"], now["index"]) == ("question", now["turn"])
        socket.send_json({"type": "answer", "turn": 0, "text": ANSWER})
        saved = socket.receive_json()
        assert (saved["type"], saved["turn"]) == ("saved", 0)
        assert socket.receive_json()["turn"] == 1
    assert len(a.get(f"/results?interview_id={here['id']}")["results"]) == 1


def test_a_socket_goes_on_where_it_stopped_until_the_end(client: TestClient, a: Tenant) -> None:
    assert a.question
    for n in range(2):
        a.post("/questions", {"job_id": a.job, "question_type": "t", "question_text": f"다음 {n}"})
    here = a.post("/sessions", {"applicant_id": a.applicant, "job_id": a.job})
    path = f"{AT}/sessions/{here['id']}/live"
    seen = []
    for turn in range(3):
        with client.websocket_connect(path, headers=a.headers) as socket:
            asked = socket.receive_json()
            seen.append((asked["turn"], asked["index"], asked["question_text"]))
            socket.send_json({"type": "answer", "turn": turn, "text": ANSWER})
            assert socket.receive_json() == {"type": "saved", "turn": turn, "again": False}
    assert seen == [(0, 0, f"{SECRET} 질문"), (1, 1, "다음 0"), (2, 2, "다음 1")]
    with client.websocket_connect(path, headers=a.headers) as socket:
        assert socket.receive_json() == {"type": "completed", "turn": 3, "interview_id": here["id"]}
    assert a.get(f"/sessions/{here['id']}")["status"] == "completed"


def test_a_socket_tells_what_is_wrong_and_goes_on(client: TestClient, a: Tenant) -> None:
    here = a.post("/sessions", {"applicant_id": a.applicant, "job_id": a.job})
    with client.websocket_connect(f"{AT}/sessions/{here['id']}/live", headers=a.headers) as socket:
        socket.receive_json()
        for message, field in (
            ({"type": "answer"}, "text"),
            ({"type": "answer", "text": "x", "turn": -1}, "turn"),
            ({"type": "dance"}, "type"),
        ):
            socket.send_json(message)
            assert socket.receive_json()["fields"] == [field]
        socket.send_json({"type": "answer", "text": "x", "turn": 5})
        assert socket.receive_json()["error"] == "Conflict"
        socket.send_json({"type": "state"})
        assert socket.receive_json()["turn"] == 0


def test_a_socket_is_its_tenants_alone(client: TestClient, keys: wherry.Keys, a: Tenant) -> None:
    path = f"{AT}/sessions/{a.session}/live"
    other, reader = bearing(keys.add(a.name + "x")), bearing(keys.add(a.name, read_only=True))
    for headers, status in (({}, 401), (other, 404), (reader, 403)):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path, headers=headers):
            pass
        assert refused.value.status_code == status
        assert SECRET not in refused.value.text
    with client.websocket_connect(path, headers=a.headers) as socket:
        assert json.loads(socket.receive_text())["type"] == "completed"


def test_lists_go_on_after_an_id(client: TestClient, a: Tenant) -> None:
    assert a.company
    for n in range(3):
        a.post("/companies", {"name": f"c{n}"})
    first = a.get("/companies?limit=2")["companies"]
    rest = a.get(f"/companies?limit=2&after={first[-1]['id']}")["companies"]
    assert len({one["id"] for one in [*first, *rest]}) == 4
    assert client.get(f"{AT}/companies?limit=0", headers=a.headers).status_code == 422
