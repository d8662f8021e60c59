"""Body types: every line of the rules, and the defects that other programs had."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import wherry
from tests.apps.body.sheets_kit import EXAMPLE_C, FLAT
from wherry_apps.body.rules import (
    MUSCLE,
    PARTS,
    UNKNOWN,
    Limits,
    body_types,
    fat_class,
    grades_of,
    muscle_class,
    stage1,
    stage2,
    stage3,
)
from wherry_apps.body.sheets import read_sheet

LIMITS = Limits()
TABLE = """
마른형 마른형 마른형 마른근육형 근육형 근육형
표준형 마른형 표준형 근육형 근육형 근육형
근육형 비만형 비만형 근육형 고근육체형 고근육체형
비만형 비만형 비만형 고근육체형 고근육체형 고근육체형
고도비만형 고도비만형 고도비만형 비만형 고근육체형 고근육체형
마른비만형 마른비만형 마른비만형 표준형 근육형 고근육체형
"""


def _grades(arms: str = "표준", legs: str = "표준", trunk: str = "표준") -> dict[str, str]:
    return {"왼팔": arms, "오른팔": arms, "몸통": trunk, "왼다리": legs, "오른다리": legs}


def _person(**changes: Any) -> dict[str, Any]:
    return {**FLAT, **changes}


@pytest.mark.parametrize(
    ("bmi", "expected"),
    [
        (18.4, "저체중"),
        (18.5, "정상"),
        (22.9, "정상"),
        (23, "과체중"),
        (24.9, "과체중"),
        (24.99, "과체중"),
        (25, "비만1단계"),
        (29.9, "비만1단계"),
        (30, "비만2단계"),
        (34.9, "비만2단계"),
        (35, "고도비만"),
    ],
)
def test_a_class_of_weight_holds_its_own_printed_limit(bmi: float, expected: str) -> None:
    assert body_types(_person(BMI=bmi)).bmi_class == expected


@pytest.mark.parametrize(
    ("sex", "percent", "expected"),
    [
        ("남성", 9.9, "표준미만"),
        ("남성", 10, "표준"),
        ("남성", 20, "과체중"),
        ("남성", 24, "비만"),
        ("여성", 17.9, "표준미만"),
        ("여성", 18, "표준"),
        ("여성", 28, "과체중"),
        ("여성", 32, "비만"),
        ("", 20, UNKNOWN),
        (None, 20, UNKNOWN),
    ],
)
def test_fat_is_judged_by_the_bands_of_each_sex(sex: Any, percent: float, expected: str) -> None:
    assert fat_class(percent, sex, LIMITS) == expected


@pytest.mark.parametrize(
    ("ratio", "man", "woman"),
    [
        (0.55, "매우 많음", "매우 많음"),
        (0.50, "많음", "매우 많음"),
        (0.45, "충분", "많음"),
        (0.40, "보통", "충분"),
        (0.399, "적음", "보통"),
        (0.35, "적음", "보통"),
        (0.349, "적음", "적음"),
    ],
)
def test_muscle_is_judged_by_the_limits_of_each_sex(ratio: float, man: str, woman: str) -> None:
    assert muscle_class(ratio, "남성", LIMITS) == man
    assert muscle_class(ratio, "여성", LIMITS) == woman


@pytest.mark.parametrize(
    ("bmi", "fat", "muscle", "expected"),
    [
        ("저체중", "비만", "적음", "마른비만형"),
        ("저체중", "과체중", "적음", "마른비만형"),
        ("저체중", "표준", "적음", "마른형"),
        ("정상", "표준", "적음", "표준형"),
        ("정상", "표준미만", "적음", "마른형"),
        ("정상", "과체중", "적음", "마른비만형"),
        ("정상", "비만", "적음", "마른비만형"),
        ("과체중", "과체중", "적음", "비만형"),
        ("과체중", "비만", "적음", "비만형"),
        ("과체중", "표준", "적음", "근육형"),
        ("비만1단계", "표준미만", "충분", "근육형"),
        ("비만1단계", "표준미만", "보통", "비만형"),
        ("비만1단계", "표준", "많음", "비만형"),
        ("비만2단계", "표준미만", "충분", "비만형"),
        ("비만2단계", "표준미만", "많음", "근육형"),
        ("고도비만", "표준미만", "많음", "근육형"),
        ("고도비만", "표준미만", "충분", "고도비만형"),
        ("고도비만", "표준", "많음", "고도비만형"),
    ],
)
def test_stage_1(bmi: str, fat: str, muscle: str, expected: str) -> None:
    assert stage1(bmi, fat, muscle) == expected


def test_stage_2_is_the_table() -> None:
    for line in TABLE.split("\n")[1:-1]:
        first, *results = line.split()
        for muscle, expected in zip(("적음", "보통", "충분", "많음", "매우 많음"), results, strict=True):
            assert stage2(first, "표준", muscle) == expected


def test_much_fat_and_little_muscle_is_never_called_muscular() -> None:
    assert stage2("비만형", "비만", "충분") == "비만형"
    assert stage2("마른비만형", "비만", "충분") == "마른비만형"
    assert stage2("비만형", "비만", "많음") == "고근육체형"
    assert stage2("고도비만형", "비만", "충분") == "비만형"


def test_a_man_of_bmi_24_5_with_24_percent_fat_is_no_muscular_type() -> None:
    found = body_types(_person(BMI=24.5, 체지방률=24, 체중=75, 골격근량=35.025))
    assert (found.bmi_class, found.fat_class, found.muscle_class, found.body_type1) == (
        "과체중",
        "비만",
        "충분",
        "비만형",
    )


def test_a_woman_is_not_judged_by_the_limits_of_men() -> None:
    found = body_types(read_sheet(EXAMPLE_C).measurements)
    assert (found.body_type1, found.body_type2) == ("표준형", "하체발달형")


@pytest.mark.parametrize(
    ("muscle", "fat", "expected"),
    [
        (_grades(legs="표준이상"), None, "하체발달형"),
        (_grades(arms="표준이상"), None, "상체발달형"),
        (_grades(arms="표준이상", legs="표준이상"), None, "표준형"),
        (_grades(), None, "표준형"),
        (_grades(legs="표준이상"), _grades(arms="표준이상"), "상체비만형"),
        (_grades(arms="표준이상"), _grades(legs="표준이상"), "하체비만형"),
        (_grades(legs="표준이상"), _grades(), "하체발달형"),
        (_grades(legs="표준이상") | {"왼다리": "표준"}, None, "표준형"),
        (_grades() | {"왼팔": None}, None, UNKNOWN),
        (None, None, UNKNOWN),
        (_grades(), {"왼팔": "표준"}, UNKNOWN),
        (_grades() | {"몸통": None}, None, "표준형"),
    ],
)
def test_stage_3(muscle: Any, fat: Any, expected: str) -> None:
    assert stage3(muscle, fat) == expected


def test_kilograms_are_compared_with_all_five_parts() -> None:
    weighed = dict(zip(PARTS, (3, 3, 22, 11, 11), strict=True))
    grades = grades_of(weighed, LIMITS.muscle_share, LIMITS.spread)
    assert grades == {
        "왼팔": "표준",
        "오른팔": "표준",
        "몸통": "표준미만",
        "왼다리": "표준이상",
        "오른다리": "표준이상",
    }
    assert stage3(grades) == "하체발달형"


def test_a_part_at_the_limit_is_beyond_it() -> None:
    # 0.066 and 0.054 are 0.060 ten percent more and less.
    weighed = dict(zip(PARTS, (6.6, 5.4, 50.0, 19.0, 19.0), strict=True))
    grades = grades_of(weighed, LIMITS.muscle_share, LIMITS.spread)
    assert (grades["왼팔"], grades["오른팔"], grades["몸통"]) == ("표준이상", "표준미만", "표준")


@pytest.mark.parametrize("missing", ["성별", "체중", "골격근량", "BMI", "체지방률"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, "", True])
def test_what_is_missing_or_no_number_gives_no_type(missing: str, value: Any) -> None:
    assert body_types(_person(**{missing: value})).body_type1 == UNKNOWN


def test_an_unknown_limb_leaves_the_first_type_alone() -> None:
    found = body_types(_person(**{MUSCLE: {"왼팔": "표준"}}))
    assert (found.body_type1, found.body_type2) == ("고근육체형", UNKNOWN)


def test_limits_can_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    file.write_text(json.dumps({"fat_female": [18, 28, 30]}))
    assert fat_class(31, "여성", Limits.configured(str(file))) == "비만"
    assert fat_class(31, "여성", LIMITS) == "과체중"


@pytest.mark.parametrize(
    "values", [{"fat": [1]}, {"bmi": [1]}, {"fat_male": [20, 10, 24]}, {"spread": "much"}, {"bmi": "x"}]
)
def test_limits_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(wherry.Usage):
        Limits.of(values)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_of_limits_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "limits.json"
    file.write_text(text)
    with pytest.raises(wherry.Usage, match="limits"):
        Limits.configured(str(file))
