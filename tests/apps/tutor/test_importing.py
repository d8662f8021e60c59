"""Files: three shapes, and every fault named by its question."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.apps.tutor.papers import DEPARTMENT, EXAMPLE, diag_file, diag_question, exam, listed, question
from wherry import BadRecord, Refused
from wherry_apps.tutor.importing import Paper, question_type, read_file, read_paper


def values(paper: Paper, place: int = 0) -> dict[str, Any]:
    return paper.items[place].values


def test_an_exam_file_whose_subject_is_the_department() -> None:
    paper = read_paper({"meta": {"total_questions": 1}, "questions": [EXAMPLE]}, "a.json")
    found = values(paper)
    assert (paper.shape, found["department"], found["subject"], found["area"]) == ("exam", DEPARTMENT, None, "관절계통")
    assert (found["difficulty"], found["year"], found["correct_answer"]) == (2, 2030, "1")
    assert found["description"] is None
    assert paper.warnings == ()


def test_what_a_model_said_is_kept_apart() -> None:
    row = question(1, ai_difficulty="상", ai_question_type="객관식", ai_confidence=0.9, ai_reasoning="긴 지문")
    del row["difficulty"]
    found = values(read_paper({"meta": {}, "questions": [row]}, "a.json"))
    assert (found["difficulty"], found["difficulty_source"]) == (4, "ai")
    assert found["ai_integration"]["ai_confidence"] == 0.9


def test_a_test_file_has_points_and_a_scale_of_ten() -> None:
    paper = read_paper(diag_file(), "d.json")
    assert (paper.shape, paper.declared, len(paper.items)) == ("test", 30, 30)
    assert paper.test is not None
    assert paper.test["time_limit"] == 60
    assert {item.values["difficulty"] for item in paper.items} == {2, 3, 4}
    assert values(paper)["source_info"]["question_id"] == "DIAG_001"


def test_points_come_from_the_criteria_where_a_question_has_none() -> None:
    row = diag_question(1)
    del row["points"]
    paper = read_paper({**diag_file(1), "questions": [row]}, "d.json")
    assert paper.items[0].points == Decimal("3.3")


def test_a_bare_list_counts_its_choices_from_one() -> None:
    paper = read_paper(listed(5), "l.json", department="간호학과")
    assert paper.shape == "list"
    assert values(paper)["options"] == {str(n): f"보기 {n}-1" for n in range(1, 5)}
    assert (values(paper)["correct_answer"], values(paper)["department"]) == ("2", "간호학과")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"correct_answer": "6"}, "is no option"),
        ({"correct_answer": None}, "correct_answer is missing"),
        ({"options": {"1": "가", "2": "나", "3": None}}, "an option is missing"),
        ({"options": {"1": "가", "2": "나", "3": " "}}, "an option is missing"),
        ({"options": {"1": "가", "2": "가 ", "3": "다"}}, "say the same"),
        ({"options": None}, "options are missing"),
        ({"content": "  "}, "content is missing"),
        ({"content": "a\x00b"}, "character that is none"),
        ({"content": "\ud800"}, "character that is none"),
        ({"difficulty": "아주"}, "no difficulty"),
        ({"difficulty": 7}, "no difficulty"),
        ({"difficulty": None}, "difficulty is missing"),
        ({"year": 12}, "year 12 cannot be"),
        ({"points": 0}, "not positive"),
        ({"points": -1}, "not positive"),
        ({"points": "viel"}, "not positive"),
        ({"points": float("nan")}, "not positive"),
        ({"points": True}, "not positive"),
        ({"question_type": "Quiz"}, "no question type"),
        ({"description": [1]}, "no list of texts"),
        ({"area_name": 7}, "area_name is no text"),
    ],
)
def test_one_bad_question_is_named_and_nothing_else_is_taken(change: dict[str, Any], words: str) -> None:
    paper = exam(3)
    paper["questions"][1] |= change
    with pytest.raises(BadRecord, match=words) as caught:
        read_paper(paper, "2030.json")
    assert "2030.json" in caught.value.what
    assert caught.value.fields == ["question 2"]
    assert "nothing" in caught.value.left


def test_every_bad_question_is_named() -> None:
    paper = exam(12)
    for place in (0, 4, 11):
        paper["questions"][place]["correct_answer"] = "9"
    with pytest.raises(BadRecord) as caught:
        read_paper(paper, "f.json")
    assert caught.value.fields == ["question 1", "question 5", "question 12"]


def test_a_question_id_that_comes_twice_is_bad() -> None:
    rows = [diag_question(1), diag_question(2, question_id="DIAG_001")]
    with pytest.raises(BadRecord, match="question_id comes 2 times"):
        read_paper({**diag_file(2), "questions": rows}, "d.json")


def test_thirty_declared_and_one_there_is_refused_unless_it_is_allowed() -> None:
    paper = {**diag_file(30), "questions": [diag_question(1)]}
    with pytest.raises(BadRecord, match="declares 30 questions and holds 1"):
        read_paper(paper, "placeholder.json")
    assert read_paper(paper, "placeholder.json", allow_incomplete=True).declared == 30


def test_skewed_keys_are_a_warning_that_must_be_accepted() -> None:
    paper = exam(10)
    for place, row in enumerate(paper["questions"]):
        row["correct_answer"] = "1" if place < 7 else "2"
    found = read_paper(paper, "skewed.json")
    assert [code for code, _ in found.warnings] == ["answer_key_skew"]
    with pytest.raises(Refused, match="7 of 10 questions have the answer 1"):
        found.require_accepted(False)
    found.require_accepted(True)
    nine = {"meta": {}, "questions": paper["questions"][:9]}
    assert read_paper(nine, "few.json").warnings == ()
    paper["questions"][0]["correct_answer"] = "3"
    assert read_paper(paper, "six.json").warnings == ()


def test_a_number_and_a_word_that_disagree_are_told() -> None:
    paper = read_paper({**diag_file(1), "questions": [diag_question(1, difficulty=9)]}, "d.json")
    assert [code for code, _ in paper.warnings] == ["difficulty_label"]
    paper.require_accepted(False)


@pytest.mark.parametrize("data", [{}, {"questions": []}, 7, None, "x", {"meta": {}, "questions": {}}, {"test_info": 1}])
def test_what_has_none_of_the_shapes_is_said(data: Any) -> None:
    with pytest.raises(BadRecord, match="three shapes"):
        read_paper(data, "x.json")


@pytest.mark.parametrize("data", [[], {"meta": {}, "questions": []}])
def test_a_file_without_questions_is_bad(data: Any) -> None:
    with pytest.raises(BadRecord, match="no question"):
        read_paper(data, "x.json")


@pytest.mark.parametrize("rows", [[None], [[]], ["q"], [{"question_number": {}}]])
def test_what_is_no_question_is_named_by_its_place(rows: list[Any]) -> None:
    with pytest.raises(BadRecord, match="question 1"):
        read_paper({"meta": {}, "questions": rows}, "x.json")


@pytest.mark.parametrize("levels", [{"상": {}}, {"상": {"min_score": "80"}}, {"상": {"min_score": 120}}, [1]])
def test_levels_need_a_least_percentage(levels: Any) -> None:
    paper = diag_file(1)
    paper["scoring_criteria"]["level_classification"] = levels
    with pytest.raises(BadRecord, match="min_score"):
        read_paper(paper, "d.json")


@pytest.mark.parametrize("limit", [0, -5, "60", 1.5, True])
def test_a_time_limit_is_a_number_of_minutes(limit: Any) -> None:
    with pytest.raises(BadRecord, match="time_limit"):
        read_paper(diag_file(1, time_limit=limit), "d.json")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("객관식", "multiple_choice"), ("주관식", "short_answer"), ("MULTIPLE_CHOICE", "multiple_choice"), ("O/X", None),
     ("참거짓", "true_false"), ("ESSAY", "essay"), (None, "multiple_choice"), ("", "multiple_choice")],
)  # fmt: skip
def test_question_types_have_one_name(said: str | None, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(BadRecord):
            question_type(said)
    else:
        assert question_type(said) == meant


def test_a_file_that_is_no_json_is_bad(tmp_path: Path) -> None:
    for name, data in (("a.json", b"{"), ("b.json", b"\xff\xfe"), ("c.json", json.dumps([]).encode()[:1])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadRecord, match="cannot be read"):
            read_file(tmp_path / name)
    with pytest.raises(BadRecord, match="FileNotFoundError"):
        read_file(tmp_path / "nosuch.json")
