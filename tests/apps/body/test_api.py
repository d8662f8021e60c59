"""The endpoints: as Swagger shows, fields named, and nothing of another owner, on any route."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.apps.body.conftest import Tenant
from tests.apps.body.sheets_kit import EXAMPLE_C, FLAT, NESTED
from wherry_apps.body.api import router

Tenants = tuple[Tenant, Tenant, Tenant]
SECRET = "비밀스러운 목표"


def _ok(answer: Any) -> Any:
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.json() if answer.content else None


def _person(tenant: Tenant, name: str = "kim") -> int:
    return int(_ok(tenant.ask("POST", "/users", {"username": name, "email": f"{name}@example.org"}))["id"])


def _furnished(tenant: Tenant) -> dict[str, int]:
    """Return the ids of one of everything."""
    user = _person(tenant)
    record = _ok(tenant.ask("POST", "/health-records", {"user_id": user, "measurements": FLAT}))["id"]
    report = _ok(tenant.ask("POST", f"/analysis/{record}"))["id"]
    goal = _ok(tenant.ask("POST", "/goals", {"user_id": user, "goal_type": SECRET, "target_weight": 71.25}))["id"]
    plan = _ok(tenant.ask("POST", "/weekly-plans/generate", {"user_id": user}))["id"]
    _ok(tenant.ask("POST", f"/analysis/{report}/chat", {"message": "내장지방"}))
    return {"user_id": user, "record_id": record, "report_id": report, "goal_id": goal, "plan_id": plan}


def test_a_persons_way_through_the_endpoints(tenants: Tenants) -> None:
    a = tenants[0]
    ids = _furnished(a)
    user, plan, goal = ids["user_id"], ids["plan_id"], ids["goal_id"]
    latest = _ok(a.ask("GET", f"/health-records/user/{user}/latest"))
    assert (latest["id"], latest["measurements"]["body_type1"]) == (ids["record_id"], "고근육체형")
    assert "_raw" not in latest["measurements"]
    found = _ok(a.ask("POST", "/analysis/search", {"user_id": user, "query": "체형 분석"}))
    assert (found["retrieval"], [one["report_id"] for one in found["reports"]]) == ("vector", [ids["report_id"]])
    assert _ok(a.ask("GET", f"/goals/user/{user}/active"))["goals"][0]["goal_type"] == SECRET
    week = _ok(a.ask("GET", f"/weekly-plans/user/{user}/week/1"))
    assert (week["id"], len(week["plan"]["daily_plans"])) == (plan, 7)
    assert _ok(a.ask("POST", f"/weekly-plans/{plan}/chat", {"message": "1"}))["answer"].startswith("# 월요일")
    assert len(_ok(a.ask("GET", f"/weekly-plans/{plan}/chat"))["turns"]) == 2
    assert len(_ok(a.ask("GET", f"/analysis/{ids['report_id']}/chat"))["turns"]) == 2
    done = _ok(a.ask("POST", f"/goals/{goal}/complete"))
    assert (done["is_active"], done["ended_at"] is not None) == (0, True)
    assert _ok(a.ask("GET", f"/goals/user/{user}/active"))["goals"] == []
    for path in ("/goals", "/weekly-plans", "/analysis", "/health-records"):
        (listed,) = _ok(a.ask("GET", f"{path}?user_id={user}")).values()
        assert len(listed) == 1


def test_the_same_sheet_is_analysed_once(tenants: Tenants) -> None:
    a, ids = tenants[0], _furnished(tenants[0])
    again = _ok(a.ask("POST", f"/analysis/{ids['record_id']}"))
    assert (again["id"], again["created"]) == (ids["report_id"], False)
    forced = _ok(a.ask("POST", f"/analysis/{ids['record_id']}", {"force": True}))
    assert forced["id"] != ids["report_id"]


def test_an_explicit_null_clears_and_what_is_not_named_stays(tenants: Tenants) -> None:
    a, ids = tenants[0], _furnished(tenants[0])
    changed = _ok(a.ask("PATCH", f"/goals/{ids['goal_id']}", {"target_weight": None, "goal_description": "봄까지"}))
    assert "target_weight" not in changed["goal_data"]
    assert (changed["goal_type"], changed["goal_description"]) == (SECRET, "봄까지")


def test_a_sheet_is_corrected(tenants: Tenants) -> None:
    a, ids = tenants[0], _furnished(tenants[0])
    changed = _ok(a.ask("PATCH", f"/health-records/{ids['record_id']}", {"measurements": {"체지방률": 30}}))
    assert changed["measurements"]["body_type1"] == "비만형"


def test_validating_stores_nothing(tenants: Tenants) -> None:
    a = tenants[0]
    user = _person(a)
    said = _ok(a.ask("POST", "/health-records/validate", {"measurements": EXAMPLE_C}))
    assert (said["types"]["body_type1"], said["types"]["body_type2"]) == ("표준형", "하체발달형")
    assert _ok(a.ask("GET", f"/health-records?user_id={user}")) == {"records": []}


@pytest.mark.parametrize(
    ("measurements", "fields"),
    [
        ({**FLAT, "체지방률": None, "나이": 200}, ["나이", "체지방률"]),
        ({**NESTED, "부위별근육분석": {"왼쪽팔": "보통"}}, ["근육_부위별등급.왼팔"]),
        ({}, ["성별", "나이", "신장", "체중", "골격근량", "BMI", "체지방률", "근육_부위별등급"]),
    ],
)
def test_a_bad_sheet_is_422_names_its_fields_and_leaves_nothing(
    tenants: Tenants, measurements: dict[str, Any], fields: list[str]
) -> None:
    a = tenants[0]
    user = _person(a)
    answer = a.ask("POST", "/health-records", {"user_id": user, "measurements": measurements})
    assert answer.status_code == 422
    assert answer.json()["fields"] == fields
    assert _ok(a.ask("GET", f"/health-records?user_id={user}")) == {"records": []}


_BAD: list[tuple[str, str, Any, str]] = [
    ("POST", "/users", {"username": "x"}, "email"),
    ("POST", "/users", {"username": "x", "email": "no address"}, "email"),
    ("POST", "/health-records", {"user_id": 1, "measurements": FLAT, "record_date": "gestern"}, "record_date"),
    ("POST", "/analysis/search", {"user_id": 1, "query": "", "top_k": 0}, "query"),
    ("POST", "/analysis/search", {"user_id": 1, "query": "x", "top_k": 51}, "top_k"),
    ("POST", "/analysis/search", {"user_id": 2**40, "query": "x"}, "user_id"),
    ("POST", "/goals", {"user_id": 1, "goal_type": "x", "target_weight": 1e9}, "target_weight"),
    ("POST", "/goals", {"user_id": 1, "goal_type": "x", "colour": "red"}, "colour"),
    ("POST", "/weekly-plans/generate", {"user_id": 1, "start_date": "2026-13-01"}, "start_date"),
    ("POST", "/weekly-plans/generate", {"user_id": 1, "start_date": "2026-03-03"}, "start_date"),
    ("POST", "/weekly-plans/generate", {"user_id": 1, "week_number": 0}, "week_number"),
    ("POST", "/weekly-plans/generate", {"user_id": 1, "preferences": {"meal_frequency": 9}}, "meal_frequency"),
    ("POST", "/users", {"username": "a\x00b", "email": "a@b"}, "username"),
    ("POST", "/goals", {"user_id": 1, "goal_type": "a\x00b"}, "goal_type"),
    ("POST", "/goals", {"user_id": 1, "goal_type": "x", "health_specifics": {"a": ["\x00"]}}, "health_specifics"),
    ("PATCH", "/goals/1", {"goal_description": "\x00"}, "goal_description"),
    ("POST", "/health-records", {"user_id": 1, "measurements": {**FLAT, "메모": "\x00"}}, "메모"),
    ("POST", "/analysis/1/chat", {"message": "\x00"}, "message"),
    ("GET", "/health-records/0", None, "record_id"),
    ("GET", "/health-records", None, "user_id"),
    ("GET", "/users?limit=1000", None, "limit"),
]


def test_what_cannot_be_asked_is_422_and_named(tenants: Tenants) -> None:
    _person(tenants[0])
    for method, path, asked, named in _BAD:
        answer = tenants[0].ask(method, path, asked)
        assert answer.status_code == 422, f"{path} {asked}: {answer.text}"
        assert named in answer.text


def _routes() -> list[tuple[str, str]]:
    return [(method, route.path) for route in router.routes for method in sorted(route.methods)]  # type: ignore[attr-defined]


def _filled(path: str, ids: dict[str, int]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str({**ids, "week_number": 1}[found[1]]), path)


def _body_of(method: str, path: str, ids: dict[str, int]) -> Any:
    user = {"user_id": ids["user_id"]}
    bodies = {
        "/users": {"username": "other", "email": "other@example.org"},
        "/users/{user_id}/owner": {"owner": "clinic-b"},
        "/health-records": {**user, "measurements": FLAT},
        "/health-records/validate": {"measurements": FLAT},
        "/health-records/{record_id}": {"measurements": {"체중": 80}},
        "/analysis/search": {**user, "query": "체형 분석"},
        "/analysis/{report_id}/chat": {"message": "체형"},
        "/weekly-plans/{plan_id}/chat": {"message": "체형"},
        "/goals": {**user, "goal_type": "체중감량"},
        "/goals/{goal_id}": {"goal_description": "x"},
        "/weekly-plans/generate": user,
    }
    return bodies.get(path) if method != "GET" else None


# What is about nobody: making a person of one's own, listing one's own, reading a sheet that is in the request.
_OWN = {("POST", "/users"), ("GET", "/users"), ("POST", "/health-records/validate")}


def test_another_owners_things_are_not_there_on_any_route(tenants: Tenants) -> None:
    a, b, _ = tenants
    ids = _furnished(a)
    before = _everything(a, ids)
    for method, path in _routes():
        asked = _filled(path, ids) + ("" if "{" in path or method != "GET" else f"?user_id={ids['user_id']}")
        answer = b.ask(method, asked, _body_of(method, path, ids))
        where = f"{method} {path}: {answer.status_code} {answer.text}"
        if (method, path) in _OWN:
            assert answer.status_code in (200, 201), where
        else:
            # For operators alone: 403, which says nothing of the person.
            assert answer.status_code == (403 if path.endswith("/owner") else 404), where
        for told in (SECRET, "71.25", "kim", "비만1단계"):
            assert told not in answer.text or path == "/health-records/validate", where
    assert _everything(a, ids) == before


def test_without_a_key_nobody_is_let_in(client: TestClient) -> None:
    ids = dict.fromkeys(("user_id", "record_id", "report_id", "goal_id", "plan_id"), 1)
    for method, path in _routes():
        for key in ("", "wherry_0000000000000000_" + "0" * 64):
            answer = Tenant("nobody", client, key).ask(method, _filled(path, ids), _body_of(method, path, ids))
            assert answer.status_code == 401, f"{method} {path}"


def _everything(tenant: Tenant, ids: dict[str, int]) -> str:
    user = ids["user_id"]
    paths = [f"/users/{user}", *(f"{path}?user_id={user}" for path in ("/goals", "/weekly-plans", "/analysis"))]
    paths += [
        f"/health-records?user_id={user}",
        f"/analysis/{ids['report_id']}/chat",
        f"/weekly-plans/{ids['plan_id']}/chat",
    ]
    return json.dumps([_ok(tenant.ask("GET", path)) for path in paths], ensure_ascii=False)


def test_two_owners_may_use_the_same_name_and_learn_nothing_of_each_other(tenants: Tenants) -> None:
    a, b, ops = tenants
    assert _person(a) != _person(b)
    assert a.ask("POST", "/users", {"username": "kim", "email": "k2@example.org"}).status_code == 409
    assert len(_ok(a.ask("GET", "/users"))["users"]) == len(_ok(b.ask("GET", "/users"))["users"]) == 1
    assert len(_ok(ops.ask("GET", "/users"))["users"]) == 2


def test_a_search_never_reaches_another_persons_reports(tenants: Tenants) -> None:
    a, b, _ = tenants
    mine, theirs = _furnished(a), _furnished(b)
    found = _ok(b.ask("POST", "/analysis/search", {"user_id": theirs["user_id"], "query": "체형 분석", "top_k": 50}))
    assert [one["report_id"] for one in found["reports"]] == [theirs["report_id"]]
    assert mine["report_id"] != theirs["report_id"]


def test_an_operator_gives_a_person_to_a_tenant(tenants: Tenants) -> None:
    a, b, ops = tenants
    user = _furnished(a)["user_id"]
    _ok(ops.ask("PUT", f"/users/{user}/owner", {"owner": "clinic-b"}))
    assert a.ask("GET", f"/users/{user}").status_code == 404
    assert _ok(b.ask("GET", f"/users/{user}"))["username"] == "kim"


def test_who_is_deleted_leaves_nothing(tenants: Tenants) -> None:
    a, ids = tenants[0], _furnished(tenants[0])
    _ok(a.ask("DELETE", f"/users/{ids['user_id']}"))
    for path in (f"/users/{ids['user_id']}", f"/analysis/{ids['report_id']}", f"/weekly-plans/{ids['plan_id']}"):
        assert a.ask("GET", path).status_code == 404


def test_a_read_only_key_writes_nothing(tenants: Tenants, client: TestClient) -> None:
    import wherry

    with wherry.Keys() as keys:
        reader = Tenant("clinic-a", client, keys.add("clinic-a", read_only=True))
    ids = _furnished(tenants[0])
    assert reader.ask("GET", f"/users/{ids['user_id']}").status_code == 200
    assert reader.ask("DELETE", f"/users/{ids['user_id']}").status_code == 403
    assert reader.ask("POST", f"/analysis/{ids['report_id']}/chat", {"message": "x"}).status_code == 403


def test_swagger_shows_every_endpoint(client: TestClient) -> None:
    shown = client.get("/openapi.json").json()["paths"]
    for path in ("users", "health-records/validate", "health-records/user/{user_id}/latest", "analysis/{record_id}",
                 "analysis/search", "analysis/{report_id}/chat", "goals/user/{user_id}/active",
                 "goals/{goal_id}/complete", "weekly-plans/generate", "weekly-plans/user/{user_id}/week/{week_number}",
                 "weekly-plans/{plan_id}/chat"):  # fmt: skip
        assert f"/api/body/{path}" in shown
