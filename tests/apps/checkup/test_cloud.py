"""A live cloud index: exported, compared, left, and asked again when the variable says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry
from tests.apps.checkup import kit
from wherry.testing.llamacloud_server import LlamaCloudServer
from wherry_apps.checkup import phases
from wherry_apps.checkup.exports import read_export
from wherry_apps.checkup.places import places
from wherry_apps.checkup.runs import Runs
from wherry_apps.checkup.service import Checkup

ONLY_THERE = "구름에만 있는 글: 갑상선 검사는 목을 봅니다."


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMAINDEX_API_KEY", "llx-test")
    with LlamaCloudServer() as server:
        yield server


def _address(server: LlamaCloudServer) -> str:
    return f"llamacloud+http://127.0.0.1:{server.port}#Dr.Welno?metric=cosine&rate=5000"


def _led_back_by_itself(runs: Runs) -> None:
    """Watch with a condition that every answer breaks: readers are back at the cloud at the end."""
    with wherry.route(runs.places.route) as reader:

        def asked(look: object) -> None:
            for _ in range(10):
                reader.search("공복혈당", k=1, mode="vector")

        seen = phases.watch(runs, 30.0, 0.5, "p50>0ms", asked)
        assert (seen["verdict"], seen["rolled_back"], seen["exit_code"]) == ("rolled back", True, 1)
        assert reader.search("공복혈당", k=1, mode="vector").address.startswith("llamacloud+http")


def test_the_cloud_is_left_and_answers_again_when_the_variable_says_so(
    cloud: LlamaCloudServer, database: wherry.AppDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = cloud.pipeline("Dr.Welno", dimension=kit.DIMENSION)
    pipeline.add("지침", list(kit.TEXTS))
    runs = Runs(database, places(tmp_path / "s"))
    report = phases.extract(runs, None, _address(cloud), kit.MODEL)
    assert (report["documents"], report["verified"]) == (len(kit.TEXTS), "verified")
    phases.verify(runs)
    phases.init(runs, None, kit.MODEL, None, None)
    assert phases.migrate(runs)["vectors"] == "copied"
    (tmp_path / "q.txt").write_text("\n".join(kit.QUESTIONS))
    compared = phases.compare(runs, str(tmp_path / "q.txt"))
    assert (compared["overlap@10"], compared["ok"]) == (1.0, True)
    phases.switch(runs, "local")
    _led_back_by_itself(runs)
    phases.switch(runs, "local")
    pipeline.add("새 지침", [ONLY_THERE])
    asked = cloud.asked("/retrieve")
    with Checkup(places(tmp_path / "s")) as service:
        local = service.search("갑상선 검사는?")
        assert (local["backend"], local["offline"]) == ("local", True)
        assert cloud.asked("/retrieve") == asked
        assert service.diagnose()["backend"] == "local"
    monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "false")
    with Checkup(places(tmp_path / "s")) as service:
        found = service.search("갑상선 검사는?")
        assert (found["backend"], found["offline"]) == ("cloud", False)
        assert found["passages"][0]["text"] == ONLY_THERE
        assert service.diagnose()["offline"] is False
    assert cloud.asked("/retrieve") == asked + 1
    monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "maybe")
    with pytest.raises(wherry.Usage, match="neither true nor false"):
        places(tmp_path / "s")
    monkeypatch.delenv("USE_LOCAL_VECTOR_DB")
    assert phases.rollback(runs)["leads_to"].startswith("llamacloud+http:")
    # Nothing was ever written there.
    assert {method for method, path, _ in cloud.seen if not path.endswith("/retrieve")} == {"GET"}


def test_chunks_without_vectors_are_taken_with_their_texts(
    cloud: LlamaCloudServer, database: wherry.AppDatabase, tmp_path: Path
) -> None:
    pipeline = cloud.pipeline("Dr.Welno", dimension=kit.DIMENSION)
    pipeline.add("없음", list(kit.TEXTS[:3]), vectors=False)
    pipeline.add("있음", list(kit.TEXTS[3:5]))
    runs = Runs(database, places(tmp_path / "s"))
    report = phases.extract(runs, None, _address(cloud), None)
    assert (report["shape"], report["without_vector"]) == ("L2", 3)
    assert report["made_by"] == "openai:text-embedding-3-small"
    assert sorted(i.text for i in read_export(runs.places.export).items) == sorted(kit.TEXTS[:5])
    phases.verify(runs)
    phases.init(runs, None, kit.MODEL, None, None)
    assert phases.migrate(runs)["vectors"] == "re-embedded"


def test_a_cloud_that_fails_is_not_replaced_by_the_other_side(
    cloud: LlamaCloudServer, moved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: wherry.AppDatabase
) -> None:
    cloud.pipeline("Dr.Welno", dimension=kit.DIMENSION).add("지침", list(kit.TEXTS))
    runs = Runs(database, places(tmp_path / "s"))
    phases.extract(runs, None, _address(cloud), kit.MODEL)
    monkeypatch.delenv("LLAMAINDEX_API_KEY")
    with Checkup(places(tmp_path / "s")) as service, pytest.raises(wherry.StoreError, match="no key"):
        service.search("공복혈당")


def test_recorded_replies_can_be_one_side(database: wherry.AppDatabase, tmp_path: Path) -> None:
    import json

    runs = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path), "faiss")
    asked = []
    for question in kit.QUESTIONS[:3]:
        hits = wherry.search(question, in_=str(runs.places.prepared), k=10, mode="vector")
        nodes = [{"node": {"id_": hit.id, "text": hit.text}, "score": hit.similarity} for hit in hits]
        asked.append({"query": question, "retrieval_nodes": nodes, "seconds": 0.8})
    (tmp_path / "log.json").write_text(json.dumps(asked, ensure_ascii=False))
    report = phases.compare(runs, str(tmp_path / "log.json"), left="recorded")
    assert (report["overlap@10"], report["left"]["times"]["search_ms"]["p50"]["mean"]) == (1.0, 800.0)
