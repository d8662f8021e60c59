"""Errors of Wherry as answers: every class has a status, tenants learn nothing of the house, operators all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, Depends
from fastapi.testclient import TestClient

from tests.service.conftest import Log, Serving, Tenant
from wherry import errors
from wherry.apps.app import App
from wherry.errors import WherryError
from wherry.service.access import READS
from wherry.service.failing import status_of, told


def classes(of: type[WherryError] = WherryError) -> Iterator[type[WherryError]]:
    """Yield every error that `errors.py` draws."""
    for kind in of.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from classes(kind)


SECRET = "postgresql://carrier:s3cr3t@db.internal/x"


@pytest.mark.parametrize("kind", sorted(set(classes()), key=lambda kind: kind.__name__))
def test_every_error_has_a_status_and_names_no_place(kind: type[WherryError]) -> None:
    error = kind("cannot reach db.internal", where=SECRET, left="3 rows in db.internal", next="call db.internal")
    status = status_of(error)
    assert 400 <= status < 600
    words = told(error, operator=False)
    assert words["error"] == kind.__name__
    assert words["what"]
    assert SECRET not in str(words)
    if status >= 500:
        assert "db.internal" not in str(words)
    assert told(error, operator=True) == error.to_dict()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Unreachable("no answer from db.internal"), 503),
        (errors.TimedOut("no answer from db.internal in 5 s"), 504),
        (errors.RateLimited("db.internal asks to wait", retry_after_s=12.2), 503),
        (errors.NoSuchRoute("there is no route", next="known routes: theirs"), 404),
        (errors.MissingExtra("install /opt/db.internal"), 500),
        (errors.Refused("not so"), 409),
    ],
)
def test_an_error_is_answered_in_its_words_or_in_none(
    serving: Serving, a: Tenant, operator: dict[str, str], log: Log, error: WherryError, status: int
) -> None:
    def fail() -> None:
        raise error

    failing = APIRouter(dependencies=[Depends(READS)])
    failing.add_api_route("/fail", fail, methods=["GET"])
    client = serving([App("failing", "", router=failing)])
    answered = client.get("/api/failing/fail", headers=a.headers)
    assert answered.status_code == status
    assert answered.json()["what"]
    assert "db.internal" not in answered.text
    assert "theirs" not in answered.text
    assert answered.headers.get("Retry-After") == {503: "13" if "wait" in error.what else "5"}.get(status)
    if status not in (404, 409):
        assert "db.internal" in client.get("/api/failing/fail", headers=operator).text
        assert "db.internal" in log.text


def test_a_route_whose_collection_is_gone_says_so_and_the_others_go_on(
    client: TestClient, a: Tenant, b: Tenant, log: Log
) -> None:
    from wherry.stores import memory

    memory.clear()
    answered = client.post(f"/api/v1/routes/{a.route}/search", json={"query": "혈당"}, headers=a.headers)
    assert (answered.status_code, answered.json()["error"]) == (503, "NoSuchCollection")
    assert "memory:" not in answered.text
    assert client.get("/api/v1/routes", headers=b.headers).status_code == 200
    assert any(event.get("error") == "NoSuchCollection" for event in log.events)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/api/v1/routes", 405)])
def test_what_is_not_there_is_said_in_the_same_form(client: TestClient, method: str, path: str, status: int) -> None:
    answered = client.request(method, path)
    assert answered.status_code == status
    assert set(answered.json()) == {"error", "what", "next"}
