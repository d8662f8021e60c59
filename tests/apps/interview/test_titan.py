"""Titan over a real socket, by its official client: five at a time, retried, partial when the network goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apps.interview.conftest import POST, Shop
from tests.models.kit import KEYS
from wherry.testing.bedrock_server import BedrockServer
from wherry.testing.model_server import Fault
from wherry_apps.interview.service import jobs, records
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.searching import search

pytestmark = pytest.mark.usefixtures("no_waiting")
TEXT = "\n\n".join(f"{n}번 항목. " + "배차 경험. " * 130 for n in range(9))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BedrockServer]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with BedrockServer(dimension=1024) as opened:
        yield opened


@pytest.fixture
def titan(shop: Shop, server: BedrockServer) -> Iterator[Shop]:
    spec = f"bedrock:amazon.titan-embed-text-v2:0?dim=1024&probe=quick&deadline=2&base_url={server.url}"
    on = Interview(embedder=spec)
    yield Shop(on, shop.owner, shop.company_id, shop.applicant_id)
    on.close()


def test_titan_is_asked_for_1024_components_of_unit_length(titan: Shop, server: BedrockServer) -> None:
    found = titan.upload(POST)
    assert (found.failed, found.index_status) == (0, "complete")
    bodies = [asked.body for asked in server.asked if asked.body.get("inputText") == POST.strip()]
    assert [(body["dimensions"], body["normalize"]) for body in bodies] == [(1024, True)]
    hit = search(titan.on, titan.owner, "배차")[0]
    assert hit.job_id == found.job_id
    assert -1 <= hit.to_dict()["similarity"] <= 1


def test_throttling_is_waited_out(titan: Shop, server: BedrockServer) -> None:
    titan.upload("warm up")
    server.fail(Fault(429, "ThrottlingException"))
    assert titan.upload(POST, title="two").failed == 0


def test_a_network_that_goes_leaves_a_partial_job_that_is_completed_later(titan: Shop, server: BedrockServer) -> None:
    titan.upload("warm up")
    server.fail(Fault(None, path="/invoke", skip=5, times=10_000))
    found = titan.upload(TEXT, title="gone")
    assert found.index_status == "partial"
    assert 0 < found.embedded < found.chunks
    assert found.exit_code == 5
    assert all(one["error"] for one in found.errors)
    told = records.one(titan.on, titan.owner, "jobs", found.job_id)
    assert told["description"].startswith("0번 항목")
    server._faults.clear()
    assert jobs.reembed(titan.on, titan.owner)["complete"]
    assert records.one(titan.on, titan.owner, "jobs", found.job_id)["index_status"] == "complete"
