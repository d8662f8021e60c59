"""Tests and sessions: graded once, over in time, each student's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.apps.tutor.papers import diag_file
from wherry import BadRecord, NotFound, Refused
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.service import Tutor
from wherry_apps.tutor.tables import DiagnosisResponse, DiagnosisSession

KEYS = {n: str(n % 5 + 1) for n in range(1, 31)}


def answers(sheet: dict[str, Any], wrong: set[int] = frozenset(), left_out: set[int] = frozenset()) -> dict[int, str]:
    """Return right answers, but for some question numbers of the file."""
    found = {}
    for question in sheet["questions"]:
        number = question["question_number"]
        key = KEYS[number]
        if number not in left_out:
            found[question["id"]] = str(int(key) % 5 + 1) if number in wrong else key
    return found


def responses(tutor: Tutor) -> int:
    with tutor.db.session() as session:
        return session.scalar(select(func.count()).select_from(DiagnosisResponse)) or 0


def age(tutor: Tutor, session_id: int, minutes: int) -> None:
    with tutor.db.session() as session:
        one = session.get(DiagnosisSession, session_id)
        assert one is not None
        one.started_at = datetime.now(UTC) - timedelta(minutes=minutes)


def test_all_correct_is_a_hundred_percent(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    found = approved.diagnosis.submit(sheet["session"], answers(sheet), "kim")
    assert (found["percentage"], found["level"], found["learning_level"]) == (100.0, "상급", 1.0)
    assert (found["weak"], found["missed"], found["status"]) == ([], [], "completed")


def test_wrong_and_unanswered_cost_the_same(approved: Tutor) -> None:
    first = approved.diagnosis.start(1, "kim")
    wrong = approved.diagnosis.submit(first["session"], answers(first, wrong={1, 2}), "kim")
    second = approved.diagnosis.start(1, "lee")
    left = approved.diagnosis.submit(second["session"], answers(second, left_out={1, 2}), "lee")
    assert wrong["percentage"] == left["percentage"] < 100
    assert wrong["missed"] == left["missed"]


def test_weak_areas_come_from_the_points(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    knees = {n for n in range(1, 31) if n % 8 == 0}
    found = approved.diagnosis.submit(sheet["session"], answers(sheet, wrong=knees), "kim")
    assert found["weak"] == ["무릎관절"]
    assert "어깨관절" in found["strong"]


def test_a_sheet_tells_no_answer(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    assert len(sheet["questions"]) == 30
    assert all("correct_answer" not in question for question in sheet["questions"])
    assert "correct_answer" not in str(approved.diagnosis.session(sheet["session"], "kim"))


def test_a_repeated_submit_changes_nothing(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    first = approved.diagnosis.submit(sheet["session"], answers(sheet, wrong={1}), "kim")
    again = approved.diagnosis.submit(sheet["session"], answers(sheet), "kim")
    assert again == first
    assert responses(approved) == 30


def test_two_submits_at_once_are_one(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    found: list[dict[str, Any]] = []

    def send(wrong: set[int]) -> None:
        found.append(approved.diagnosis.submit(sheet["session"], answers(sheet, wrong=wrong), "kim"))

    threads = [Thread(target=send, args=[{n}]) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(one == found[0] for one in found)
    assert responses(approved) == 30


def test_an_expired_session_is_refused_and_takes_no_answer(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    age(approved, sheet["session"], 61)
    for _ in range(2):
        with pytest.raises(Refused, match="expired"):
            approved.diagnosis.submit(sheet["session"], answers(sheet), "kim")
    assert approved.diagnosis.session(sheet["session"], "kim")["status"] == "expired"
    assert responses(approved) == 0
    next_one = approved.diagnosis.start(1, "kim")
    assert (next_one["attempt"], next_one["session"] != sheet["session"]) == (2, True)


def test_a_session_just_in_time_counts(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    age(approved, sheet["session"], 59)
    assert approved.diagnosis.submit(sheet["session"], answers(sheet), "kim")["percentage"] == 100


def test_starting_again_goes_on_with_the_session_that_runs(approved: Tutor) -> None:
    one = approved.diagnosis.start(1, "kim")
    assert approved.diagnosis.start(1, "kim")["session"] == one["session"]
    approved.diagnosis.submit(one["session"], {}, "kim")
    assert approved.diagnosis.start(1, "kim")["attempt"] == 2


def test_two_starts_at_once_are_one(approved: Tutor) -> None:
    found: list[int] = []
    threads = [Thread(target=lambda: found.append(approved.diagnosis.start(1, "kim")["session"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_draft_cannot_be_started_and_needs_approved_questions(tutor: Tutor) -> None:
    made = tutor.import_paper(read_paper(diag_file(3), "d.json"))
    with pytest.raises(Refused, match="not open"):
        tutor.diagnosis.start(made["test"], "kim")
    with pytest.raises(Refused, match="not approved: 1, 2, 3"):
        tutor.diagnosis.activate(made["test"])
    assert tutor.diagnosis.tests(student=True) == []
    tutor.approve(made["questions"], "prof")
    assert tutor.diagnosis.activate(made["test"])["status"] == "active"
    tutor.diagnosis.archive(made["test"])
    with pytest.raises(Refused, match="archived"):
        tutor.diagnosis.start(made["test"], "kim")


def test_what_is_not_there_is_not_found(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    for act in (
        lambda: approved.diagnosis.start(99, "kim"),
        lambda: approved.diagnosis.submit(99, {}, "kim"),
        lambda: approved.diagnosis.session(sheet["session"], "lee"),
        lambda: approved.diagnosis.submit(sheet["session"], {}, "lee"),
    ):
        with pytest.raises(NotFound):
            act()
    assert approved.diagnosis.sessions("lee") == []
    assert approved.diagnosis.counts("lee")["sessions"] == {}
    assert approved.diagnosis.session(sheet["session"], None)["user"] == "kim"


@pytest.mark.parametrize(
    ("given", "seconds", "words"),
    [({999: "1"}, {}, "question 999 is not in this test"), ({41: "9"}, {}, "no option '9'"),
     ({}, {999: 3}, "not in this test"), ({}, {41: -1}, "cannot be"), ({}, {41: 10**9}, "cannot be")],
)  # fmt: skip
def test_answers_that_cannot_be_are_listed_and_nothing_is_graded(
    approved: Tutor, given: dict[int, str], seconds: dict[int, int], words: str
) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    with pytest.raises(BadRecord, match=words):
        approved.diagnosis.submit(sheet["session"], given, "kim", seconds)
    assert approved.diagnosis.session(sheet["session"], "kim")["status"] == "in_progress"
    assert responses(approved) == 0


def test_time_makes_its_own_level(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    slow = {question["id"]: 1000 for question in sheet["questions"]}
    found = approved.diagnosis.submit(sheet["session"], answers(sheet), "kim", slow)
    assert (found["learning_level"], found["adjusted_level"]) == (1.0, 0.8)
    told = approved.diagnosis.session(sheet["session"], "kim")["responses"]
    assert len(told) == 30
    assert all(one["correct"] and one["seconds"] == 1000 and one["correct_answer"] for one in told)


def test_recommended_are_similar_same_department_near_in_difficulty_and_new(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    knees = {n for n in range(1, 31) if n % 8 == 0}
    approved.diagnosis.submit(sheet["session"], answers(sheet, wrong=knees), "kim")
    found = approved.searching.recommended("kim", k=5)
    assert found["difficulty"] == 5
    taken = {question["id"] for question in sheet["questions"]}
    assert found["recommended"]
    for one in found["recommended"]:
        assert one["id"] not in taken
        assert one["department"] == "물리치료학과"
        assert abs(one["difficulty"] - 5) <= 1
        assert "틀린" in one["reason"]
        assert "correct_answer" not in one
    similar = [one["similarity"] for one in found["recommended"]]
    assert similar == sorted(similar, reverse=True)
    assert found["recommended"][0]["area"] == "무릎관절"
    assert approved.searching.recommended("kim", k=5) == found


def test_without_misses_weak_areas_or_all_are_practised(approved: Tutor) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    approved.diagnosis.submit(sheet["session"], answers(sheet), "kim")
    approved.edit(3, {"difficulty": 5})
    found = approved.searching.recommended("kim")
    assert [one["id"] for one in found["recommended"]] == [3]
    assert "난이도 5" in found["recommended"][0]["reason"]


def test_nothing_is_recommended_before_a_test(approved: Tutor) -> None:
    with pytest.raises(Refused, match="no test was finished"):
        approved.searching.recommended("kim")
    sheet = approved.diagnosis.start(1, "kim")
    with pytest.raises(Refused, match="no test was finished"):
        approved.searching.recommended("kim", sheet["session"])
    approved.diagnosis.submit(sheet["session"], {}, "kim")
    with pytest.raises(NotFound):
        approved.searching.recommended("lee", sheet["session"])


def test_a_question_of_an_open_test_is_not_explained_before_it_is_over(approved: Tutor) -> None:
    with pytest.raises(Refused, match="open test"):
        approved.explain(41, "kim")
    sheet = approved.diagnosis.start(1, "kim")
    approved.diagnosis.submit(sheet["session"], {}, "kim")
    assert approved.explain(41, "kim")["question"] == 41
    approved.diagnosis.start(1, "kim")
    with pytest.raises(Refused, match="open test"):
        approved.explain(41, "kim")
    assert approved.explain(1, "kim")["question"] == 1
    assert approved.explain(41, None)["question"] == 41
