"""Sheets in every shape: the same person gets the same types, and what is wrong is listed, all of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wherry
from tests.apps.body.sheets_kit import ENGLISH, EXAMPLE_C, FLAT, NESTED, shapes
from wherry_apps.body.rules import FAT, MUSCLE
from wherry_apps.body.sheets import corrected, read_sheet

SEGMENTS = ("왼팔", "오른팔", "몸통", "왼다리", "오른다리")


def _without(sheet: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in sheet.items() if name != key}


def _wrong(sheet: Any) -> list[str]:
    with pytest.raises(wherry.BadRecord) as caught:
        read_sheet(sheet)
    return caught.value.fields


def test_every_shape_of_one_person_gives_the_same_types() -> None:
    found = {name: read_sheet(sheet).measurements for name, sheet in shapes().items()}
    types = {(m["body_type1"], m["body_type2"]) for m in found.values()}
    assert types == {("고근육체형", "하체발달형")}
    assert found["B"] | {"_raw": 0} == found["B2"] | {"_raw": 0}
    for key in ("성별", "나이", "신장", "체중", "골격근량", "BMI", "체지방률", MUSCLE, FAT):
        assert all(measured[key] == FLAT[key] for measured in found.values())


def test_the_original_is_kept_untouched() -> None:
    before = copy.deepcopy(NESTED)
    sheet = read_sheet(NESTED)
    assert before == NESTED
    assert sheet.measurements["_raw"] == before


def test_the_example_in_english() -> None:
    found = read_sheet(EXAMPLE_C).measurements
    assert (found["성별"], found["체중"], found["골격근량"]) == ("여성", 58.4, 23.0)
    assert (found["body_type1"], found["body_type2"]) == ("표준형", "하체발달형")


def test_weights_of_segments_become_grades() -> None:
    sheet = {**ENGLISH, "muscle_seg": dict(zip(SEGMENTS, (3, 3, 22, 11, 11), strict=True))}
    found = read_sheet(_without(sheet, "fat_seg")).measurements
    assert found["body_type2"] == "하체발달형"
    assert found[MUSCLE]["왼다리"] == "표준이상"


def test_a_lone_weight_beside_grades_needs_confirmation() -> None:
    assert _wrong({**ENGLISH, "muscle_seg": {**ENGLISH["muscle_seg"], "왼팔": 2.9, "오른팔": "3.0"}}) == [
        f"{MUSCLE}.왼팔",
        f"{MUSCLE}.오른팔",
    ]


def test_names_of_earlier_versions_are_known() -> None:
    old = {**_without(_without(FLAT, "신장"), "나이"), "키": 175, "연령": 34, "stage2_근육보정체형": "근육부족형",
           "stage3_상하체밸런스": "표준형"}  # fmt: skip
    found = read_sheet(old).measurements
    assert (found["신장"], found["나이"]) == (175, 34)
    assert found["body_type_supplied"] == {"body_type1": "근육부족형", "body_type2": "표준형"}
    assert found["body_type1"] != "근육부족형"


@pytest.mark.parametrize(
    ("word", "grade"), [("표준이하", "표준미만"), ("부족", "표준미만"), ("과다", "표준이상"), ("우수", "표준이상")]
)
def test_grades_in_other_words(word: str, grade: str) -> None:
    sheet = {**FLAT, MUSCLE: {**FLAT[MUSCLE], "왼팔": word}}
    assert read_sheet(sheet).measurements[MUSCLE]["왼팔"] == grade


def test_an_unknown_grade_and_a_null_required_field_are_listed_together() -> None:
    assert _wrong({**FLAT, "체지방률": None, MUSCLE: {**FLAT[MUSCLE], "몸통": "보통"}}) == [
        "체지방률",
        f"{MUSCLE}.몸통",
    ]


def test_optional_nulls_are_listed_and_stored() -> None:
    sheet = read_sheet({**FLAT, "무기질": None, "단백질": None, FAT: None})
    assert sheet.nulls == ("무기질", "단백질", FAT)
    assert sheet.measurements["무기질"] is None
    assert FAT in sheet.measurements


@pytest.mark.parametrize("field", ["성별", "나이", "신장", "체중", "골격근량", "BMI", "체지방률", MUSCLE])
def test_every_required_field_is_asked_for(field: str) -> None:
    assert _wrong(_without(FLAT, field)) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("나이", 0),
        ("나이", 121),
        ("나이", 30.5),
        ("신장", 99.9),
        ("신장", 251),
        ("체중", 19),
        ("체중", 301),
        ("BMI", 9.9),
        ("BMI", 101),
        ("체지방률", -1),
        ("체지방률", 100.1),
        ("내장지방레벨", 21),
        ("내장지방레벨", 0),
        ("골격근량", -1),
        ("골격근량", 0),
        ("골격근량", 90),
        ("체중", "NaN"),
        ("체중", float("nan")),
        ("체중", float("inf")),
        ("체중", True),
        ("체중", [78]),
        ("체중", "78 파운드"),
        ("체중", "1e2"),
        ("성별", "x"),
        ("성별", 1),
        (MUSCLE, "표준"),
        (MUSCLE, []),
        (MUSCLE, {}),
        ("체중", 10**400),
        ("체수분", "많음"),
        ("body_type1", 3),
        ("체지방", 90),
        ("제지방량", 90),
    ],
)
def test_a_value_that_cannot_be_is_named(field: str, value: Any) -> None:
    assert field in [name.partition(".")[0] for name in _wrong({**FLAT, field: value})]


@pytest.mark.parametrize("sheet", [None, [], "x", 3, {}, {"기본정보": 3}, {"기본정보": {"신장": {"a": 1}}}])
def test_what_is_no_sheet_at_all_is_refused(sheet: Any) -> None:
    assert _wrong(sheet)


def test_a_field_that_is_given_twice_must_say_the_same() -> None:
    assert _wrong({**FLAT, "키": 180}) == ["신장"]
    assert read_sheet({**FLAT, "키": 175}).measurements["신장"] == 175


def test_what_postgresql_cannot_keep_is_refused_by_name() -> None:
    assert _wrong({**FLAT, "메모": "a\x00b"}) == ["메모"]
    assert _wrong({**FLAT, "메모": "\ud800"}) == ["메모"]


def test_keys_that_mean_nothing_stay_in_the_original_alone() -> None:
    sheet = read_sheet({**FLAT, "검사실": "2층"})
    assert sheet.ignored == ("검사실",)
    assert "검사실" not in sheet.measurements
    assert sheet.measurements["_raw"]["검사실"] == "2층"


def test_numbers_that_contradict_each_other_are_warnings() -> None:
    assert read_sheet(FLAT).warnings == ()
    assert len(read_sheet({**FLAT, "BMI": 27.0}).warnings) == 1
    assert len(read_sheet({**FLAT, "체중조절": -1.0}).warnings) == 1
    assert len(read_sheet({**FLAT, "기초대사량": 1500}).warnings) == 1


def test_a_correction_changes_one_field_and_keeps_the_first_original() -> None:
    first = read_sheet({**NESTED, "body_type1": "근육부족형"})
    second = corrected(first.measurements, {"체지방률": 27.0})
    assert second.measurements["체지방률"] == 27.0
    assert second.measurements["_raw"] == first.measurements["_raw"]
    assert second.measurements["body_type_supplied"] == {"body_type1": "근육부족형"}
    assert second.measurements["body_type1"] != first.measurements["body_type1"]
    with pytest.raises(wherry.BadRecord) as caught:
        corrected(first.measurements, {"체지방율": 27.0})
    assert caught.value.fields == ["체지방율"]
    with pytest.raises(wherry.BadRecord) as caught:
        corrected(first.measurements, {"체중": None})
    assert caught.value.fields == ["체중"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FLAT, *NESTED, "sex", "왼쪽팔 근육"]), _JSON, max_size=3))
def test_no_value_whatsoever_breaks_the_reader(changes: dict[str, Any]) -> None:
    try:
        sheet = read_sheet({**FLAT, **changes})
    except wherry.BadRecord as error:
        fields = error.fields
    else:
        fields = ["none"]
        assert sheet.measurements["body_type1"]
    assert fields
