"""The move: copied or made anew, proved, resumed; checkpoints, comparisons, and the end of the old side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wherry
from tests.apps.tutor.papers import EXAMPLE
from wherry import Conflict, Integrity, NotFound, NotVerified, Refused, SpaceMismatch, Usage
from wherry.testing.gemini_server import GeminiServer
from wherry.testing.model_server import Fault
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer
from wherry.testing.qdrant_server import QdrantServer
from wherry_apps.tutor.comparing import Bars, Comparing
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.points import Points
from wherry_apps.tutor.service import Tutor
from wherry_apps.tutor.switches import address_of

MEMORY = "memory:#moved"


def held(tutor: Tutor, store: str) -> dict[str, Any]:
    """Return what a store holds, by id, vectors left out."""
    opened = wherry.open_source(address_of(store, "questions", tutor.db))
    try:
        pages = [wherry.to_records(page.records) for page in opened.scan()]
    finally:
        opened.close()
    return {record.id: (record.text, record.metadata) for page in pages for record in page}


@pytest.mark.parametrize("target", ["qdrant", "chroma", "faiss"])
def test_a_move_is_proved_and_leaves_the_source_as_it_was(approved: Tutor, target: str) -> None:
    before = held(approved, "pgvector")
    found = approved.moving.move("pgvector", target)
    assert (found.copied, found.read, found.written, found.verified, found.equal) == (True, 70, 70, "deep", True)
    assert (found.dimension, found.zero, found.sample) == (1024, 0, 50)
    assert found.overlap is not None
    assert found.overlap >= 0.95
    assert found.exit_code == 0
    assert held(approved, "pgvector") == before
    assert held(approved, target) == before
    again = approved.moving.move("pgvector", target)
    assert (again.written, again.unchanged, again.equal, again.verified) == (0, 70, True, "deep")


def test_a_move_onto_a_server_of_qdrant(approved: Tutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QdrantServer(tmp_path, api_key="geheim") as server:
        monkeypatch.setenv("QDRANT_HOST", "127.0.0.1")
        monkeypatch.setenv("QDRANT_PORT", str(server.port))
        monkeypatch.setenv("QDRANT_API_KEY", "geheim")
        found = approved.moving.move("pgvector", "qdrant")
        assert (found.equal, found.verified) == (True, "deep")
        assert f"127.0.0.1:{server.port}" in found.target
        assert "geheim" not in str(found.to_dict())
        monkeypatch.setenv("WHERRY_TUTOR_STORE", "qdrant")
        hits = approved.searching.search("무릎관절", department="물리치료학과", threshold=-1)["hits"]
        assert len(hits) == 5
        assert approved.reject([1])["indexed"]
        assert "1" not in held(approved, "qdrant")


def test_points_of_questions_are_integers_for_qdrants_own_client(
    approved: Tutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qdrant_client import QdrantClient

    with QdrantServer(tmp_path) as server:
        monkeypatch.setenv("QDRANT_HOST", "127.0.0.1")
        monkeypatch.setenv("QDRANT_PORT", str(server.port))
        approved.moving.move("pgvector", "qdrant")
        client = QdrantClient(url=server.url, check_compatibility=False)
        [point] = client.retrieve("questions", [7], with_payload=True)
        assert point.payload is not None
        assert (point.id, point.payload["question_id"], point.payload["type"]) == (7, 7, "question")
        client.close()


def test_a_move_that_was_stopped_goes_on(approved: Tutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wherry.testing.qdrant_server import Failure

    with QdrantServer(tmp_path) as server:
        monkeypatch.setenv("QDRANT_HOST", "127.0.0.1")
        monkeypatch.setenv("QDRANT_PORT", str(server.port))
        server.fail(Failure(400, "made to fail", path="/points", method="PUT"))
        with pytest.raises(wherry.StoreError):
            approved.moving.move("pgvector", "qdrant")
        found = approved.moving.move("pgvector", "qdrant")
    assert (found.equal, found.read) == (True, 70)


def test_a_change_of_the_bank_follows(approved: Tutor) -> None:
    approved.moving.move("pgvector", MEMORY)
    approved.reject([1])
    approved.edit(2, {"content": "새 내용의 무릎 문항은?"})
    found = approved.moving.move("pgvector", MEMORY)
    assert (found.equal, found.written) == (True, 1)
    assert held(approved, MEMORY) == held(approved, "pgvector")


def test_damage_at_the_target_is_found_and_mended(approved: Tutor) -> None:
    approved.moving.move("pgvector", MEMORY)
    there = Points(address_of(MEMORY, "questions", approved.db), approved.resources.embedder("hash:1024"))
    vectors = there.vectors(["5", "6"])
    wherry.put([wherry.Record("5", vectors["6"], "vertauscht", {"type": "question"})], there.address, there.space)
    found = approved.moving.move("pgvector", MEMORY)
    assert found.equal
    assert held(approved, MEMORY) == held(approved, "pgvector")


def test_another_embedder_makes_every_vector_anew_in_a_new_collection(approved: Tutor) -> None:
    before = held(approved, "pgvector")
    found = approved.moving.move("pgvector", MEMORY, embedder="hash:384")
    assert (found.copied, found.dimension, found.written, found.equal) == (False, 384, 70, True)
    assert held(approved, MEMORY) == before == held(approved, "pgvector")
    again = approved.moving.move("pgvector", MEMORY, embedder="hash:384")
    assert (again.written, again.unchanged) == (0, 70)
    approved.moving.switch(store=MEMORY, embedder="hash:384")
    assert approved.searching.search("무릎관절", threshold=-1)["hits"]


def test_a_source_of_another_embedder_is_never_copied_unasked(approved: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", "hash:384")
    with pytest.raises(Refused, match="--embedder"):
        approved.moving.move("pgvector", MEMORY)


def test_a_target_of_another_size_is_an_error(approved: Tutor) -> None:
    approved.moving.move("pgvector", MEMORY, embedder="hash:384")
    with pytest.raises(SpaceMismatch):
        approved.moving.move("pgvector", MEMORY)


def test_a_text_that_fails_is_named_and_the_others_are_there(approved: Tutor) -> None:
    with OllamaServer("nomic-embed-text:latest", poison="(사례 2)") as server:
        spec = f"ollama:nomic-embed-text?base_url={server.url}"
        found = approved.moving.move("pgvector", MEMORY, embedder=spec)
        assert (list(found.failed), found.written, found.exit_code) == (["2"], 69, 5)
        there = Points(address_of(MEMORY, "questions", approved.db), approved.resources.embedder(spec))
        assert there.ids() == {str(n) for n in range(1, 71)} - {"2"}
        texts = {i: text for i, (text, _) in held(approved, MEMORY).items()}
        for number, vector in there.vectors(["1", "3"]).items():
            right = there.embedder.embed([texts[number]])[0]
            np.testing.assert_allclose(vector, right / np.linalg.norm(right), atol=1e-5)


def test_a_checkpoint_returns_collection_and_switches(approved: Tutor) -> None:
    before = held(approved, "pgvector")
    made = approved.moving.checkpoint("week-1", "before the move")
    assert (made["points"], made["revision"], made["settings"]["llm"]) == (70, "0001", "offline")
    approved.moving.move("pgvector", MEMORY)
    approved.moving.switch(store=MEMORY, llm="ollama:llama3.1:8b")
    approved.resources.points("pgvector").remove([str(n) for n in range(1, 30)])
    found = approved.moving.rollback("week-1")
    assert (found["verified"], found["points"], found["settings"]["store"]) == ("verified", 70, "pgvector")
    assert approved.resources.switches().llm == "offline"
    assert held(approved, "pgvector") == before
    assert [one["name"] for one in approved.moving.checkpoints()] == ["week-1"]


def test_a_rollback_mends_what_was_changed_behind_its_back(approved: Tutor) -> None:
    approved.moving.move("pgvector", MEMORY)
    approved.moving.switch(store=MEMORY)
    approved.moving.checkpoint("week-2")
    before = held(approved, MEMORY)
    approved.moving.rollback("week-2")
    points = approved.resources.points()
    wherry.put([wherry.Record("5", points.vectors(["6"])["6"], "fremd", {})], points.address, points.space)
    assert approved.moving.rollback("week-2")["verified"] == "verified"
    assert held(approved, MEMORY) == before


def test_a_checkpoint_of_nothing_returns_to_nothing(tutor: Tutor) -> None:
    tutor.moving.checkpoint("start")
    tutor.import_paper(read_paper({"meta": {}, "questions": [EXAMPLE]}, "a.json"))
    tutor.approve([1], "prof")
    assert tutor.moving.rollback("start")["points"] == 0
    assert tutor.resources.points().ids() == set()


def test_a_damaged_checkpoint_changes_nothing(approved: Tutor) -> None:
    made = approved.moving.checkpoint("week-1")
    data = bytearray(Path(made["archive"]).read_bytes())
    data[len(data) // 2] ^= 1
    Path(made["archive"]).write_bytes(data)
    approved.moving.switch(llm="ollama:llama3.1:8b")
    with pytest.raises(Integrity):
        approved.moving.rollback("week-1")
    assert approved.resources.switches().llm == "ollama:llama3.1:8b"
    assert len(held(approved, "pgvector")) == 70


def test_names_of_checkpoints(approved: Tutor) -> None:
    approved.moving.checkpoint("a")
    with pytest.raises(Conflict):
        approved.moving.checkpoint("a")
    for name in ("", "../x", "a/b", ".hidden", "x" * 61):
        with pytest.raises(Usage):
            approved.moving.checkpoint(name)
    with pytest.raises(NotFound):
        approved.moving.rollback("nosuch")


def test_a_checkpoint_of_other_tables_is_refused(approved: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    approved.moving.checkpoint("a")
    monkeypatch.setattr(type(approved.db), "revision", lambda self: "0002")
    with pytest.raises(Refused, match="revision 0002"):
        approved.moving.rollback("a")


def test_what_the_environment_says_overrules_and_is_told(approved: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    approved.moving.switch(llm="ollama:llama3.1:8b")
    monkeypatch.setenv("WHERRY_TUTOR_LLM", "offline")
    now = approved.resources.switches()
    assert (now.llm, now.overruled) == ("offline", ("llm",))


def test_nothing_to_switch_and_unknown_things_are_said(approved: Tutor) -> None:
    with pytest.raises(Usage):
        approved.moving.switch()
    with pytest.raises(Usage):
        approved.moving.switch(llm="nosuch:model")
    with pytest.raises(SpaceMismatch):
        approved.moving.switch(embedder="hash:384")
    assert approved.resources.switches().embedder == "hash:1024"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OpenAIServer, OllamaServer]]:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with OpenAIServer(key="k") as old, OllamaServer("llama3.1:8b") as new:
        yield old, new


def specs(old: OpenAIServer, new: OllamaServer) -> tuple[str, str]:
    return (
        f"openai:gpt-4o-mini?base_url={old.url}/v1&deadline=3",
        f"ollama:llama3.1:8b?base_url={new.url}&deadline=3",
    )


def answering(server: Any, wrong: bool = False) -> None:
    """Let a server answer each question it is asked with its key."""

    def spoken(messages: Any) -> str:
        text = str(messages[-1])
        # The key of a question of `papers.exam` follows from its number, which the text holds.
        number = text.partition("사례 ")[2].partition(")")[0]
        if not number:
            return '{"answer": "1"}'
        key = int(number) % 5 + 1
        return f'{{"answer": "{key % 5 + 1 if wrong else key}"}}'

    server.spoken = spoken


def test_two_models_are_measured_on_the_same_questions(
    approved: Tutor, models: tuple[OpenAIServer, OllamaServer], tmp_path: Path
) -> None:
    answering(models[0])
    answering(models[1])
    old, new = specs(*models)
    comparing = Comparing(approved.resources, approved.moving)
    report = tmp_path / "llm.html"
    found = comparing.llm(old, new, count=10, explained=2, per_month=1000, bills=(900_000, 70_000), report=report)
    assert (found["passed"], found["missed"], found["questions"]) == (True, [], 10)
    for side in ("old", "new"):
        assert (found[side]["agreement"], found[side]["parseable"], found[side]["answered"]) == (1.0, 1.0, 10)
        assert found[side]["median_s"] > 0
        assert found[side]["p95_s"] >= found[side]["median_s"]
    assert found["old"]["cost_usd"] is not None
    assert found["given"] == {"old_won_per_month": 900_000, "new_won_per_month": 70_000}
    assert found["explanations"]["questions"] == 2
    assert "<html" in report.read_text(encoding="utf-8")


def test_a_model_that_falls_behind_does_not_pass(approved: Tutor, models: tuple[OpenAIServer, OllamaServer]) -> None:
    answering(models[0])
    answering(models[1], wrong=True)
    old, new = specs(*models)
    found = Comparing(approved.resources, approved.moving).llm(old, new, count=10, explained=0)
    assert not found["passed"]
    assert [line.split()[0] for line in found["missed"]] == ["agreement"]
    assert found["explanations"] is None


def test_answers_that_name_no_option_are_not_parseable(
    approved: Tutor, models: tuple[OpenAIServer, OllamaServer]
) -> None:
    answering(models[0])
    said = iter(
        ["warm", '{"answer": "2"}', "2", "(2)", "정답은 2번", '{"answer": 9}', "{", "[]", '{"answer": 2}', "", "2."]
    )
    models[1].spoken = lambda messages: next(said)  # type: ignore[method-assign]
    old, new = specs(*models)
    found = Comparing(approved.resources, approved.moving).llm(old, new, count=10, explained=0)
    assert found["new"]["parseable"] == 0.5
    assert any(line.startswith("parseable") for line in found["missed"])


def test_errors_are_counted_and_a_slow_model_can_miss_a_bar(
    approved: Tutor, models: tuple[OpenAIServer, OllamaServer]
) -> None:
    answering(models[0])
    answering(models[1])
    models[1].fail(Fault(400, path="/api/chat", skip=3, times=2))
    old, new = specs(*models)
    found = Comparing(approved.resources, approved.moving).llm(old, new, count=10, explained=0, bars=Bars(p95_s=1e-6))
    assert sum(found["new"]["errors"].values()) == 2
    assert found["new"]["answered"] == 8
    assert [line.split()[0] for line in found["missed"]] == ["errors", "agreement", "p95"]


def test_gemini_is_measured_too(approved: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    with GeminiServer(key="k") as old, OllamaServer("qwen2.5:7b") as new:
        answering(old)
        answering(new)
        pair = (f"gemini:gemini-2.0-flash?base_url={old.url}", f"ollama:qwen2.5:7b?base_url={new.url}")
        found = Comparing(approved.resources, approved.moving).llm(*pair, count=5, explained=0)
    assert (found["passed"], found["old"]["answered"]) == (True, 5)


def test_a_model_that_is_not_there_is_an_error_and_no_comparison(
    approved: Tutor, models: tuple[OpenAIServer, OllamaServer]
) -> None:
    answering(models[0])
    old, _ = specs(*models)
    with pytest.raises(wherry.StoreError):
        Comparing(approved.resources, approved.moving).llm(
            old, "ollama:llama3.1:8b?base_url=http://127.0.0.1:9&deadline=1"
        )
    with pytest.raises(NotVerified, match="was not made"):
        approved.moving.retire(old)


def test_the_old_model_is_retired_only_by_figures(approved: Tutor, models: tuple[OpenAIServer, OllamaServer]) -> None:
    answering(models[0])
    answering(models[1], wrong=True)
    old, new = specs(*models)
    comparing = Comparing(approved.resources, approved.moving)
    approved.moving.switch(llm=old)
    with pytest.raises(Refused, match="in use"):
        approved.moving.retire(old)
    approved.moving.checkpoint("before")
    approved.moving.switch(llm=new)
    with pytest.raises(NotVerified, match="was not made"):
        approved.moving.retire(old)
    comparing.llm(old, new, count=10, explained=0)
    with pytest.raises(NotVerified, match="was not passed"):
        approved.moving.retire(old)
    answering(models[1])
    number = comparing.llm(old, new, count=10, explained=0)["comparison"]
    assert approved.moving.retire(old)["comparison"] == number
    with pytest.raises(Refused, match="retired"):
        approved.moving.switch(llm=old)
    with pytest.raises(Refused, match="retired"):
        approved.resources.chat(old)
    assert approved.moving.rollback("before")["settings"]["llm"] == old
    assert approved.resources.switches().retired == ()


def test_stores_are_measured_and_the_old_one_retired(approved: Tutor) -> None:
    approved.moving.move("pgvector", "qdrant")
    comparing = Comparing(approved.resources, approved.moving)
    found = comparing.stores("pgvector", "qdrant")
    assert (found["passed"], found["questions"]) == (True, 50)
    assert found["new"]["recall"]["mean"] >= 0.95
    assert found["measured"]["b"]["search_ms"]["p95"]["mean"] > 0
    approved.moving.switch(store="qdrant")
    before = held(approved, "pgvector")
    assert approved.moving.retire("pgvector")["in_use"] == "qdrant"
    with pytest.raises(Refused, match="retired"):
        approved.resources.points("pgvector")
    with pytest.raises(Refused, match="retired"):
        approved.moving.move("pgvector", MEMORY)
    assert held(approved, "pgvector") == before
    assert approved.searching.search("무릎관절", threshold=-1)["hits"]


def test_a_comparison_of_nothing_is_refused(tutor: Tutor, models: tuple[OpenAIServer, OllamaServer]) -> None:
    comparing = Comparing(tutor.resources, tutor.moving)
    with pytest.raises(Refused, match="no approved question"):
        comparing.llm(*specs(*models))
    with pytest.raises(wherry.StoreError):
        comparing.stores("pgvector", "qdrant")


def test_moving_a_collection_that_is_not_there_makes_nothing(tutor: Tutor, wherry_home: Path) -> None:
    with pytest.raises(wherry.StoreError):
        tutor.moving.move("pgvector", "qdrant")
    assert not (wherry_home / "tutor" / "qdrant").exists()


def test_what_moves_is_the_text_hash_by_hash(approved: Tutor) -> None:
    approved.moving.move("pgvector", MEMORY)
    hashes = [
        {i: hashlib.sha256((text or "").encode()).hexdigest() for i, (text, _) in held(approved, store).items()}
        for store in ("pgvector", MEMORY)
    ]
    assert hashes[0] == hashes[1]


def test_a_password_in_an_address_is_neither_printed_nor_written_down(
    approved: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://kim:geheim@127.0.0.1:9/db#questions"
    with pytest.raises(Usage) as caught:
        approved.moving.switch(store=secret)
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("WHERRY_TUTOR_STORE", secret)
    assert "geheim" not in str(approved.resources.switches().stored())
    for act in (
        lambda: approved.moving.checkpoint("x"),
        lambda: approved.moving.move("pgvector", secret),
        lambda: approved.moving.retire(secret),
        lambda: Comparing(approved.resources, approved.moving).stores("pgvector", secret),
        approved.index,
    ):
        with pytest.raises(wherry.WherryError) as failed:
            act()
        assert "geheim" not in str(failed.value)
    with approved.db.begin() as connection:
        for table in ("tutor_settings", "tutor_checkpoints", "tutor_comparisons", "question_vectors"):
            rows = connection.exec_driver_sql(f"SELECT t::text FROM {table} t").all()
            assert "geheim" not in str(rows)
