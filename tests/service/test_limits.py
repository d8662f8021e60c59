"""Size, rate, number at a time, and time: at the limit it passes, one more is turned away."""

from __future__ import annotations

import json
import threading
import time
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.testclient import TestClient

from tests.service.conftest import Log, Serving, Tenant
from wherry.apps.app import App
from wherry.errors import Usage
from wherry.service.access import READS
from wherry.service.failing import Refusal
from wherry.service.keys import Caller, Keys
from wherry.service.limits import Limits
from wherry.service.settings import LONGEST_QUERY, MOST_COMPONENTS, MOST_K, Settings


class Clock:
    """A clock that stands until it is moved. now: seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _refused(limits: Limits, key: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        limits.take(key)
    return caught.value


def test_a_bucket_holds_its_burst_and_fills_with_time() -> None:
    clock = Clock()
    limits = Limits(60, 3, 8, clock)
    for _ in range(3):
        limits.take("a")
    refused = _refused(limits, "a")
    assert refused.status == 429
    assert refused.answer().headers["retry-after"] == "1"
    limits.take("b")
    clock.now += 2
    limits.take("a")
    limits.take("a")
    assert _refused(limits, "a").status == 429
    clock.now += 10_000
    for _ in range(3):
        limits.take("a")
    assert _refused(limits, "a").status == 429


def test_a_slow_rate_says_how_long_to_wait() -> None:
    clock = Clock()
    limits = Limits(1, 1, 8, clock)
    limits.take("a")
    clock.now += 15
    assert _refused(limits, "a").answer().headers["retry-after"] == "45"


def test_so_many_requests_at_a_time_and_no_more() -> None:
    limits = Limits(60, 60, 2)
    with limits.one("a"), limits.one("a"):
        with pytest.raises(Refusal) as caught, limits.one("a"):
            pass
        assert caught.value.status == 429
        with limits.one("b"):
            pass
    with limits.one("a"):
        pass


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_touched(
    serving: Serving, a: Tenant, b: Tenant
) -> None:
    client = serving(per_minute=1, burst=3)
    statuses = [client.get("/api/v1/routes", headers=a.headers).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = client.get("/api/v1/routes", headers=a.headers)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["error"] == "RateLimited"
    assert client.get("/api/v1/routes", headers=b.headers).status_code == 200
    assert client.get("/healthz").status_code == 200


def _of_size(size: int) -> bytes:
    empty = len(json.dumps({"query": "", "mode": "lexical"}))
    return json.dumps({"query": "q" * (size - empty), "mode": "lexical"}).encode()


def test_a_body_at_the_limit_passes_and_a_byte_more_is_413(serving: Serving, a: Tenant) -> None:
    client, path = serving(body_limit_bytes=2_000), f"/api/v1/routes/{a.route}/search"
    headers = {**a.headers, "Content-Type": "application/json"}
    at, over = _of_size(2_000), _of_size(2_001)
    assert client.post(path, content=at, headers=headers).status_code == 200
    stated = client.post(path, content=over, headers=headers)
    assert (stated.status_code, stated.json()["error"]) == (413, "TooLarge")
    # Sent in pieces without a length: counted as it comes.
    pieces = client.post(path, content=iter([over[:1_500], over[1_500:]]), headers=headers)
    assert pieces.status_code == 413
    assert client.post(path, content=iter([at[:1_500], at[1_500:]]), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("at", "over"),
    [
        ({"query": "혈" * LONGEST_QUERY}, {"query": "혈" * (LONGEST_QUERY + 1)}),
        ({"query": "혈당", "k": MOST_K}, {"query": "혈당", "k": MOST_K + 1}),
        ({"query": "혈당", "k": 1}, {"query": "혈당", "k": 0}),
        ({"query": "혈당"}, {"query": "혈당", "address": "memory:#other"}),
        ({"query": "혈당"}, {"query": "혈당", "mode": "sql"}),
        ({"query": "혈당"}, {"query": ""}),
        ({"query": [0.5] * 64}, {"query": [0.5] * (MOST_COMPONENTS + 1)}),
        ({"query": [0.5] * 64}, {"query": [0.5] * 63}),
        ({"query": "혈당", "where": {"page": 1}}, {"query": "혈당", "where": {"page": {"$no": 1}}}),
        ({"query": "혈당", "where": "page>=1"}, {"query": "혈당", "where": "page in [a"}),
    ],
)
def test_what_cannot_be_asked_is_422_with_words(client: TestClient, a: Tenant, at: Any, over: Any) -> None:
    path = f"/api/v1/routes/{a.route}/search"
    mode = {} if "mode" in over or isinstance(at["query"], list) else {"mode": "lexical"}
    passed = client.post(path, json={**at, **mode}, headers=a.headers)
    assert passed.status_code == 200, passed.text
    refused = client.post(path, json={**over, **mode}, headers=a.headers)
    assert refused.status_code == 422, refused.text
    assert refused.json()["what"]
    assert "memory:" not in refused.text
    assert "혈혈" not in refused.text


def test_an_answer_that_does_not_begin_in_time_is_504_and_its_place_is_kept_until_it_ends(
    serving: Serving, a: Tenant, b: Tenant
) -> None:
    held = threading.Event()
    slow = APIRouter()

    @slow.get("/wait")
    def wait(caller: Annotated[Caller, Depends(READS)]) -> dict[str, bool]:
        return {"ended": held.wait(60)}

    client = serving([App("slow", "", router=slow)], time_s=1, at_a_time=1)
    try:
        late = client.get("/api/slow/wait", headers=a.headers)
        assert (late.status_code, late.json()["error"]) == (504, "TimedOut")
        # The thread is still at work, so the key's one place is taken; nobody else's is.
        assert client.get("/api/slow/wait", headers=a.headers).status_code == 429
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/routes", headers=b.headers).status_code == 200
    finally:
        held.set()
    until = time.monotonic() + 30
    while (freed := client.get("/api/slow/wait", headers=a.headers).status_code) == 429 and time.monotonic() < until:
        threading.Event().wait(0.02)
    assert freed == 200


def test_a_bug_is_500_without_a_traceback_or_its_words(serving: Serving, a: Tenant, log: Log) -> None:
    faulty = APIRouter()

    @faulty.post("/fail")
    async def fail(request: Request, caller: Annotated[Caller, Depends(READS)]) -> None:
        raise RuntimeError(f"환자 홍길동: {await request.body()!r}")

    client = serving([App("faulty", "", router=faulty)])
    answered = client.post("/api/faulty/fail", json={"patient": "홍길동"}, headers=a.headers)
    assert answered.status_code == 500
    assert answered.json()["error"] == "Unexpected"
    assert "RuntimeError" not in answered.text
    assert "홍길동" not in answered.text + log.text
    event = next(event for event in log.events if event["event"] == "unexpected")
    assert event["request"] == answered.headers["X-Request-Id"]
    assert any("test_limits.py" in place for place in event["at"])


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"port": -1}, {"time_s": 0}, {"body_limit_bytes": -5}, {"burst": 0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Usage):
        Settings(**wrong)


@pytest.mark.parametrize(("tenant", "days"), [("", None), ("a b", None), ("a" * 101, None), ("a", 0), ("a", 10**9)])
def test_keys_that_cannot_be_are_refused(keys: Keys, tenant: str, days: int | None) -> None:
    with pytest.raises(Usage):
        keys.add(tenant, days=days)
    with pytest.raises(Usage):
        keys.remove("nosuch")
    assert keys.find("wherry_") is None
