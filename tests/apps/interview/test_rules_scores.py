"""Means, bands, weights, criteria, the way of a session."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry_apps.interview.rules import scores
from wherry_apps.interview.rules.statuses import STATUSES, follow_up_due, may_move
from wherry_apps.interview.rules.weights import COMPETENCIES, DEFAULTS, criteria, skills, weights

GIVEN = {
    "job_expertise": 0.35,
    "analytical": 0.15,
    "execution": 0.2,
    "relationship": 0.1,
    "resilience": 0.1,
    "influence": 0.1,
}


def test_the_overall_score_is_the_mean_of_what_was_scored() -> None:
    four = {"logic_score": 85.5, "relevance_score": 90.0, "technical_score": 88.0, "communication_score": 82.0}
    assert scores.overall(four) == 86.375
    assert scores.overall({**four, "technical_score": None, "depth": 75}) == 83.125
    assert scores.overall({"logic_score": None}) is None
    assert scores.overall({"a": 0, "b": 100}) == 50


def test_weights_of_dimensions_count_over_scored_ones() -> None:
    found = {"logic_score": 80.0, "relevance_score": 60.0, "technical_score": None}
    assert scores.overall(found, {"logic_score": 3, "relevance_score": 1, "technical_score": 6}) == 75
    assert scores.overall(found, {"technical_score": 1}) == 70


def test_what_was_not_scored_is_no_zero() -> None:
    assert scores.mean([80, None, 60]) == 70
    assert scores.mean([None, None]) is None


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (100, "90+"),
        (90, "90+"),
        (89.999, "80+"),
        (80, "80+"),
        (70, "70+"),
        (60, "60+"),
        (59.9, "below 60"),
        (None, None),
    ],
)
def test_bands(score: float | None, band: str | None) -> None:
    assert scores.band(score) == band


def test_strengths_from_70_weaknesses_to_60_three_of_each() -> None:
    found = {
        "a": 70.0,
        "b": 99.0,
        "c": 80.0,
        "d": 75.0,
        "e": 60.0,
        "f": 10.0,
        "g": 69.9,
        "h": None,
        "i": 0.0,
        "j": 60.1,
    }
    assert scores.strongest(found) == ["b", "c", "d"]
    assert scores.weakest(found) == ["i", "f", "e"]


def test_weights_that_sum_to_one_stay() -> None:
    assert (weights(GIVEN).values, weights(GIVEN).source) == (GIVEN, "given")
    assert weights({**GIVEN, "influence": 0.11}).source == "given"


def test_other_sums_are_divided() -> None:
    doubled = weights({key: value * 2 for key, value in GIVEN.items()})
    assert (doubled.values, doubled.source) == (GIVEN, "scaled")
    assert weights({**GIVEN, "influence": 0.2}).source == "scaled"


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        dict.fromkeys(COMPETENCIES, 0),
        {**GIVEN, "influence": -0.1},
        {**GIVEN, "influence": math.nan},
        {**GIVEN, "influence": "0.1"},
        {**GIVEN, "influence": True},
        {key: value for key, value in GIVEN.items() if key != "influence"},
    ],
)
def test_what_cannot_be_weights_gives_the_defaults(given: dict | None) -> None:
    assert (weights(given).values, weights(given).source) == (DEFAULTS, "default")


@given(st.dictionaries(st.sampled_from(COMPETENCIES), st.floats(0, 1e6)))
def test_weights_always_sum_to_one(given: dict) -> None:
    found = weights(given)
    assert list(found.values) == list(COMPETENCIES)
    assert abs(sum(found.values.values()) - 1) <= 0.0101


@given(st.lists(st.sampled_from(["협업", " 협업 ", "실행력", "문제해결", "설계", "A", "a", "B", "C", ""]), max_size=12))
def test_criteria_are_always_five_and_distinct(given: list[str]) -> None:
    found = criteria(given)
    assert len(found) == 5
    assert len({"".join(one.split()).casefold() for one in found}) == 5


def test_criteria_that_were_given_come_first() -> None:
    assert criteria(["동시성", "협업", "동시성"])[:2] == ["동시성", "협업"]
    assert criteria([str(n) for n in range(9)]) == ["0", "1", "2", "3", "4"]


def test_skills_are_at_most_ten_and_five_without_overlap() -> None:
    must, nice = skills([f"s{n}" for n in range(12)], ["S1", "x", "X", "y", "z", "v", "w", "u"])
    assert must == [f"s{n}" for n in range(10)]
    assert nice == ["x", "y", "z", "v", "w"]


def test_a_session_goes_one_way() -> None:
    allowed = {("pending", "in_progress"), ("in_progress", "completed"), ("in_progress", "failed")}
    assert {pair for pair in itertools.product(STATUSES, STATUSES) if may_move(*pair)} == allowed


@pytest.mark.parametrize(
    ("answer", "weak", "due"),
    [
        ("가" * 99, False, True),
        ("가" * 100, False, False),
        ("잘 모르겠습니다" + "가" * 120, False, True),
        ("기억이 안 납니다" + "가" * 120, False, True),
        ("잘 모르겠습니다" + "가" * 150, False, False),
        ("가" * 500, True, True),
    ],
)
def test_when_a_follow_up_is_due(answer: str, weak: bool, due: bool) -> None:
    assert follow_up_due(answer, weak) is due
