"""The bank: stored whole or not at all, approved, edited, indexed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

import wherry
from tests.apps.tutor.papers import DEPARTMENT, EXAMPLE, diag_file, diag_question, exam, listed, question
from wherry import BadRecord, Conflict, NotFound, SpaceMismatch
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.points import Points, indexed_text
from wherry_apps.tutor.service import Tutor, open_service
from wherry_apps.tutor.switches import address_of
from wherry_apps.tutor.tables import DiagnosisTest, Question, QuestionVector


def count(tutor: Tutor, table: type) -> int:
    with tutor.db.session() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_tables_and_models_agree(tutor: Tutor) -> None:
    assert tutor.db.drift() == []
    assert tutor.db.check()["missing_indexes"] == []


def test_importing_again_changes_nothing(tutor: Tutor) -> None:
    for data, name in ((exam(5), "e.json"), (diag_file(4), "d.json"), (listed(3), "l.json")):
        first = tutor.import_paper(read_paper(data, name))
        again = tutor.import_paper(read_paper(data, name))
        assert (again["added"], again["unchanged"]) == (0, first["added"])
        assert (again["questions"], again["test"]) == (first["questions"], first["test"])
    assert count(tutor, Question) == 12


def test_a_question_that_is_there_and_says_something_else_stays(tutor: Tutor) -> None:
    [number] = tutor.import_paper(read_paper(exam(1), "a.json"))["questions"]
    other = {"meta": {}, "questions": [question(1, correct_answer="5")]}
    assert tutor.import_paper(read_paper(other, "b.json"))["differs"] == [number]
    assert tutor.bank.get(number)["correct_answer"] == "2"


def test_another_test_of_the_same_title_is_refused_and_leaves_nothing(tutor: Tutor) -> None:
    tutor.import_paper(read_paper(diag_file(3), "d.json"))
    held = count(tutor, Question)
    with pytest.raises(Conflict, match="with other questions"):
        tutor.import_paper(read_paper(diag_file(4), "other.json"))
    assert (count(tutor, Question), count(tutor, DiagnosisTest)) == (held, 1)


def test_tests_of_one_department_are_numbered(tutor: Tutor) -> None:
    for title in ("하나", "둘"):
        tutor.import_paper(read_paper(diag_file(2, title=title), f"{title}.json"))
    assert [test["round"] for test in tutor.diagnosis.tests()] == [1, 2]


def test_the_answer_is_no_part_of_what_is_indexed(tutor: Tutor) -> None:
    [number] = tutor.import_paper(read_paper({"meta": {}, "questions": [EXAMPLE]}, "a.json"))["questions"]
    tutor.approve([number], "prof")
    [hit] = tutor.resources.points().search("무릎관절", 5, {})
    assert hit.text == "무릎관절의 주된 움직임은?\n1. 굽힘\n2. 회전\n3. 벌림\n4. 모음\n5. 휘돌림"
    assert "correct_answer" not in hit.metadata
    assert indexed_text("가", ["나", " "], {"1": "다"}) == "가\n나\n1. 다"


def test_the_payload_is_what_filters_need(tutor: Tutor) -> None:
    tutor.import_paper(read_paper(exam(1), "2030.json"))
    tutor.approve([1], "prof")
    [hit] = tutor.resources.points().search("관절", 1, {})
    assert hit.id == "1"
    known = {key: hit.metadata[key] for key in ("question_id", "type", "department", "difficulty", "year", "source")}
    assert known == {
        "question_id": 1, "type": "question", "department": DEPARTMENT, "difficulty": 3, "year": 2030,
        "source": "2030.json",
    }  # fmt: skip
    assert {"approved_at", "created_at", "question_type", "area"} <= hit.metadata.keys()


def test_indexing_twice_keeps_the_count_and_pays_once(approved: Tutor) -> None:
    before = approved.resources.points().check()
    found = approved.index()
    assert (found.embedded, found.unchanged, found.removed) == (0, 70, 0)
    assert approved.resources.points().check() == before == 70


def test_a_point_that_was_lost_comes_back_and_a_strange_one_goes(approved: Tutor) -> None:
    points = approved.resources.points()
    points.remove(["3"])
    wherry.put([wherry.Record("9999", np.ones(1024, np.float32), "fremd", {"type": "question"})], points.address,
               points.space)  # fmt: skip
    found = approved.index()
    assert (found.embedded, found.removed) == (1, 1)
    assert points.ids() == {str(n) for n in range(1, 71)}


def test_what_the_store_holds_counts_and_not_what_was_noted(approved: Tutor) -> None:
    points = approved.resources.points()
    vector = points.vectors(["4"])["4"]
    wherry.put([wherry.Record("4", vector, "fremder Text", {"type": "question"})], points.address, points.space)
    assert approved.index().embedded == 1
    assert points.held()["4"][0] != "fremder Text"
    assert approved.index().embedded == 0


def test_after_a_move_nothing_is_embedded_again(approved: Tutor) -> None:
    approved.moving.move("pgvector", "memory:#moved")
    approved.moving.switch(store="memory:#moved")
    found = approved.index()
    assert (found.embedded, found.unchanged) == (0, 70)
    with approved.db.session() as session:
        assert {row.store for row in session.scalars(select(QuestionVector))} == {"memory:#moved"}


def test_rejecting_or_putting_out_of_use_removes_the_point(approved: Tutor) -> None:
    assert approved.reject([1])["indexed"]
    approved.reject([2], "archived")
    approved.edit(3, {"is_active": False})
    assert {"1", "2", "3"}.isdisjoint(approved.resources.points().ids())
    with pytest.raises(Conflict, match="not active"):
        approved.approve([3], "prof")
    approved.edit(3, {"is_active": True})
    assert "3" in approved.resources.points().ids()


def test_approving_needs_every_question_to_be_there(tutor: Tutor) -> None:
    tutor.import_paper(read_paper(exam(2), "a.json"))
    with pytest.raises(NotFound, match="999"):
        tutor.approve([1, 999], "prof")
    assert tutor.bank.get(1)["approval_status"] == "pending"


def test_an_edit_replaces_objects_whole_and_is_there_after_reloading(tutor: Tutor) -> None:
    tutor.import_paper(read_paper(exam(1), "a.json"))
    changed = {"options": {"1": "하나", "2": "둘", "3": "셋", "4": "넷"}, "question_metadata": {"note": {"by": "prof"}}}
    tutor.edit(1, changed)
    found = tutor.bank.get(1)
    assert (found["options"], found["question_metadata"]) == (changed["options"], changed["question_metadata"])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"correct_answer": "9"}, "is no option"), ({"options": {"1": "가"}}, "is no option"),
     ({"content": ""}, "content"), ({"id": 7}, "cannot be changed"),
     ({"approval_status": "approved"}, "cannot be changed"),
     ({"difficulty": 9}, "no difficulty")],
)  # fmt: skip
def test_an_edit_that_breaks_a_question_changes_nothing(tutor: Tutor, change: dict, words: str) -> None:
    tutor.import_paper(read_paper(exam(1), "a.json"))
    before = tutor.bank.get(1)
    with pytest.raises(BadRecord, match=words):
        tutor.edit(1, change)
    assert tutor.bank.get(1) == before


def test_an_embedder_that_is_down_leaves_the_approval_and_says_not_indexed(
    tutor: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tutor.import_paper(read_paper(exam(2), "a.json"))
    monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", "ollama:nomic-embed-text?base_url=http://127.0.0.1:9&deadline=1")
    found = tutor.approve([1, 2], "prof")
    assert (found["indexed"], sorted(found["errors"])) == (False, ["1", "2"])
    assert tutor.bank.get(1)["approval_status"] == "approved"
    with tutor.db.session() as session:
        row = session.get(QuestionVector, 1)
        assert row is not None
        assert (row.indexed_at, bool(row.error)) == (None, True)
    monkeypatch.delenv("WHERRY_TUTOR_EMBEDDER")
    assert tutor.index().embedded == 2


def test_the_middle_text_that_fails_is_skipped_and_its_neighbours_keep_their_vectors(
    tutor: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tutor.import_paper(read_paper(exam(3), "a.json"))
    with OllamaServer("nomic-embed-text:latest", poison="(사례 2)") as server:
        monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", f"ollama:nomic-embed-text?base_url={server.url}")
        found = tutor.approve([1, 2, 3], "prof")
        points = tutor.resources.points()
        held = points.vectors(["1", "2", "3"])
        own = points.embedder.embed([hit.text or "" for hit in points.search("x", 5, {})])
        by_text = {hit.id: row for hit, row in zip(points.search("x", 5, {}), own, strict=True)}
    assert (found["indexed"], list(found["errors"])) == (False, ["2"])
    assert held.keys() == {"1", "3"}
    for number in ("1", "3"):
        np.testing.assert_allclose(held[number], by_text[number], atol=1e-6)


def test_another_embedder_in_the_same_collection_is_refused(approved: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", "hash:384")
    with pytest.raises(SpaceMismatch, match="dimension"):
        approved.index()
    assert approved.bank.get(1)["approval_status"] == "approved"


def test_a_vector_of_another_size_is_refused(approved: Tutor) -> None:
    points = approved.resources.points()
    record = wherry.Record("1", np.ones(8, np.float32), "kurz", {})
    with pytest.raises(SpaceMismatch, match="dimension: 1024 / 8"):
        wherry.put([record], points.address, wherry.Space(dimension=8, metric=wherry.Metric.COSINE))
    assert points.check() == 70


def test_changing_the_embedder_means_making_every_vector_anew(approved: Tutor, tmp_path: Path) -> None:
    old = approved.resources.points()
    target = wherry.Address("qdrant", str(tmp_path / "q"), "questions")
    new = Points(target, approved.resources.embedder("hash:384"))
    assert new.check() == 0
    assert new.space.dimension == 384
    assert old.space.dimension == 1024


def test_a_closed_port_shows_at_the_start(tutor: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_STORE", "qdrant")
    monkeypatch.setenv("QDRANT_HOST", "127.0.0.1")
    monkeypatch.setenv("QDRANT_PORT", "9")
    with pytest.raises(wherry.StoreError):
        open_service()


def test_settings_of_qdrant_are_read(tutor: Tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("QDRANT_HOST", "qdrant.example"), ("QDRANT_PORT", "7333")):
        monkeypatch.setenv(name, value)
    assert str(address_of("qdrant", "fragen", tutor.db)).startswith("qdrant+http://qdrant.example:7333?")
    monkeypatch.setenv("QDRANT_HOST", "https://q.example:443/")
    assert str(address_of("qdrant", "fragen", tutor.db)).startswith("qdrant+https://q.example:443?")
    monkeypatch.setenv("QDRANT_COLLECTION_NAME", "andere")
    monkeypatch.setenv("EMBEDDING_BATCH_SIZE", "7")
    now = tutor.resources.switches()
    assert (now.collection, now.batch) == ("andere", 7)
    monkeypatch.setenv("EMBEDDING_BATCH_SIZE", "viele")
    with pytest.raises(wherry.Usage, match="EMBEDDING_BATCH_SIZE"):
        tutor.resources.switches()


def test_a_test_keeps_its_questions_in_order(tutor: Tutor) -> None:
    rows = [diag_question(n) for n in (5, 2, 9)]
    made = tutor.import_paper(read_paper({**diag_file(3), "questions": rows}, "d.json"))
    tutor.approve(made["questions"], "prof")
    tutor.diagnosis.activate(made["test"])
    sheet = tutor.diagnosis.start(made["test"], "kim")["questions"]
    assert [(q["position"], q["question_number"]) for q in sheet] == [(1, 5), (2, 2), (3, 9)]
