"""Grading: difficulty, score, levels, areas."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apps.tutor.papers import diag_file
from wherry import BadRecord
from wherry_apps.tutor import rules
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.rules import Graded


def graded(correct: bool, difficulty: int = 3, points: str = "1", **more: Any) -> Graded:
    return Graded(correct, Decimal(points), difficulty, **more)


@pytest.mark.parametrize(
    ("said", "scale", "meant"),
    [
        ("쉬움", 5, 2), ("하", 5, 2), ("기본", 5, 2), ("EASY", 5, 2), ("low", 5, 2), ("보통", 5, 3), ("중", 5, 3),
        ("MEDIUM", 5, 3), ("어려움", 5, 4), ("상", 5, 4), ("HARD", 5, 4), ("HIGH", 5, 4), ("매우어려움", 5, 5),
        ("매우 어려움", 5, 5), ("VERY_HARD", 5, 5), ("expert", 5, 5), ("beginner", 5, 1),
        (1, 5, 1), (5, 5, 5), ("3", 5, 3),
        *((n, 10, (n + 1) // 2) for n in range(1, 11)), ("7", 10, 4), ("쉬움", 10, 2),
    ],
)  # fmt: skip
def test_a_difficulty_is_one_to_five(said: Any, scale: int, meant: int) -> None:
    assert rules.difficulty(said, scale) == meant


@pytest.mark.parametrize(("numbers", "word"), [((3, 4), "쉬움"), ((5, 6), "보통"), ((7, 8), "어려움")])
def test_the_scale_of_ten_agrees_with_its_labels(numbers: tuple[int, int], word: str) -> None:
    assert {rules.difficulty(n, 10) for n in numbers} == {rules.difficulty(word)}


@pytest.mark.parametrize(
    ("said", "scale"),
    [(6, 5), (0, 5), (-1, 10), (11, 10), (2.5, 5), (True, 5), (None, 5), ("몰라", 5), ("", 5), ("²", 5)],
)
def test_anything_else_is_bad_input_and_never_the_easiest(said: Any, scale: int) -> None:
    with pytest.raises(BadRecord, match="no difficulty"):
        rules.difficulty(said, scale)


def test_all_correct_is_a_hundred_percent_whatever_the_points_add_up_to() -> None:
    paper = read_paper(diag_file(), "diag.json")
    total = sum(item.points for item in paper.items)
    assert total not in (99, 100)
    found = rules.outcome([Graded(True, i.points, i.values["difficulty"]) for i in paper.items])
    assert (found.percentage, found.level, found.raw) == (100.0, "상급", total)
    assert found.learning_level == found.adjusted_level == 1.0


def test_unanswered_is_wrong_and_points_weigh() -> None:
    found = rules.outcome([graded(True, points="1"), graded(False, points="3")])
    assert (found.percentage, found.level) == (25.0, "미흡")


@pytest.mark.parametrize(
    ("percentage", "level"), [(100, "상급"), (80, "상급"), (79.99, "중급"), (65, "중급"), (50, "하급"), (49.9, "미흡")]
)
def test_the_usual_levels(percentage: float, level: str) -> None:
    assert rules.level_of(percentage) == level


def test_levels_of_a_file_count_whatever_their_order() -> None:
    levels = {"기초": {"min_score": 0}, "최상": {"min_score": 90}, "중간": {"min_score": 40}}
    assert [rules.level_of(p, levels) for p in (95, 90, 89, 40, 39, 0)] == [
        "최상",
        "최상",
        "중간",
        "중간",
        "기초",
        "기초",
    ]
    assert rules.level_of(10, {"상": {"min_score": 60}}) == "미흡"


def test_the_learning_level_weighs_by_difficulty() -> None:
    assert rules.learning_level([graded(True, 5), graded(False, 1)]) == pytest.approx(5 / 6)
    assert rules.learning_level([]) == 0


@pytest.mark.parametrize(
    ("seconds", "weight"), [(60, 1.2), (61, 1.1), (96, 1.1), (97, 1.0), (144, 1.0), (145, 0.9), (240, 0.9), (241, 0.8)]
)
def test_time_weighs_against_what_is_expected(seconds: int, weight: float) -> None:
    assert rules.pace(graded(True, 3, seconds=seconds)) == weight
    assert rules.pace(graded(True, 3)) == 1.0


def test_the_adjusted_level_never_exceeds_one() -> None:
    assert rules.adjusted_level([graded(True, 2, seconds=1)] * 5) == 1.0
    slow = rules.adjusted_level([graded(True, 1, seconds=1000), graded(True, 1)])
    assert slow == pytest.approx(0.9)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.integers(0, 2000)), max_size=30))
def test_levels_stay_between_zero_and_one(rows: list[tuple[bool, int, int]]) -> None:
    some = [graded(correct, hard, seconds=taken) for correct, hard, taken in rows]
    assert 0 <= rules.learning_level(some) <= 1
    assert 0 <= rules.adjusted_level(some) <= 1
    assert 0 <= rules.outcome(some).percentage <= 100


@pytest.mark.parametrize(
    ("learned", "wanted"), [(1, 5), (0.8, 5), (0.79, 4), (0.6, 4), (0.4, 3), (0.2, 2), (0.19, 1), (0, 1)]
)
def test_the_recommended_difficulty(learned: float, wanted: int) -> None:
    assert rules.recommended_difficulty(learned) == wanted


def test_areas_are_weak_strong_fair_or_too_few() -> None:
    rows = [graded(n < 1, area="무릎", subject="운동") for n in range(3)]
    rows += [graded(True, 4, area="어깨", subject="운동") for _ in range(3)]
    rows += [graded(True, 1, area="척추"), graded(False, 1, area="척추")]
    found = {(a.kind, a.name): (a.items, a.verdict) for a in rules.areas_of(rows)}
    assert found["area", "무릎"] == (3, "weak")
    assert found["area", "어깨"] == (3, "strong")
    assert found["area", "척추"] == (2, "too few")
    assert found["subject", "운동"] == (6, "fair")
    assert found["difficulty", "4"] == (3, "strong")
    assert [a.kind for a in rules.areas_of(rows)] == ["subject"] + ["area"] * 3 + ["difficulty"] * 3
