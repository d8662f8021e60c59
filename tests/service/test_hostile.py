"""Bodies that nobody means well with: told in words with 4xx, or searched for; never a bug, and nothing is touched."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from tests.routing.kit import TEXTS, made, put
from tests.service.conftest import Tenant, bearing
from wherry.service.keys import Keys

_DEEP = '{"$and":[' * 20_000 + "{}" + "]}" * 20_000
HOSTILE = {
    "not JSON": "{",
    "not UTF-8": b'{"query": "\xff\xfe"}',
    "a list": "[]",
    "nothing": "",
    "NaN in a vector": '{"query": [NaN' + ", 1.0" * 63 + "]}",
    "an endless number": '{"query": [1e999' + ", 1.0" * 63 + "]}",
    "no single precision": '{"query": [1e300' + ", 1.0" * 63 + "]}",
    "a zero vector": json.dumps({"query": [0.0] * 64}),
    "a deep condition": f'{{"query": "혈당", "where": {_DEEP}}}',
    "half a character": '{"query": "혈당 \\ud800"}',
    "half a character in a condition": '{"query": "혈당", "where": {"page": "\\ud800"}}',
    "half a character as a key": '{"query": "혈당", "where": {"\\ud800": 1}}',
    "NUL": '{"query": "혈\\u0000당"}',
    "NUL in a condition": '{"query": "혈당", "where": {"page": "\\u0000"}}',
    "SQL": json.dumps({"query": "'; DROP TABLE wherry.api_keys; --", "where": {"a' OR '1'='1": "x"}}),
    "a huge number": '{"query": "혈당", "where": {"page": ' + "9" * 4_000 + "}}",
    "a list of nothing": '{"query": "혈당", "where": {"page": {"$in": []}}}',
    "a wrong kind": '{"query": {"$ne": null}, "k": "many"}',
    "true for a number": '{"query": "혈당", "k": true}',
    "another key twice": '{"query": "혈당", "query": "혈압"}',
}


@pytest.fixture(params=["memory", "pgvector"])
def reader(request: pytest.FixtureRequest, keys: Keys, name: str) -> Tenant:
    address = f"{request.param}:#{name}"
    put(address, TEXTS)
    made(name, address)
    keys.grant(name, name)
    return Tenant(name, name, keys.add(name))


def test_hostile_bodies_are_no_bug(client: TestClient, reader: Tenant) -> None:
    found = {}
    headers = {**reader.headers, "Content-Type": "application/json"}
    for what, body in HOSTILE.items():
        for act in ("search", "ask"):
            sent = body.replace('"query"', '"question"') if act == "ask" and isinstance(body, str) else body
            answered = client.post(f"/api/v1/routes/{reader.route}/{act}", content=sent, headers=headers)
            found[what, act] = answered.status_code
            assert "Traceback" not in answered.text
    assert {one: status for one, status in found.items() if status not in (200, 400, 413, 422)} == {}
    assert client.get(f"/api/v1/collections/{reader.route}", headers=reader.headers).json()["count"] == len(TEXTS)


@pytest.mark.parametrize("key", ["", "wherry_x", "wherry_" + "0" * 16 + "_" + "0" * 64])
def test_without_a_key_nothing_is_told_of_a_body(client: TestClient, a: Tenant, key: str) -> None:
    path = f"/api/v1/routes/{a.route}/search"
    headers = {**bearing(key), "Content-Type": "application/json"}
    for body in ("{", "{}", '{"query": 1}'):
        assert client.post(path, content=body, headers=headers).status_code == 401
    mine = {**a.headers, "Content-Type": "application/json"}
    assert client.post(path, content="{", headers=mine).status_code == 422
