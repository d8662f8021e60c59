"""The rules that need no store."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import wherry
from wherry_apps.checkup import rules
from wherry_apps.checkup.rules import Passage

TODAY = date(2026, 3, 15)


@pytest.mark.parametrize(("item", "sex", "value", "status"), [
    ("systolic_bp", None, 119, "normal"), ("systolic_bp", None, 120, "borderline"),
    ("systolic_bp", None, 139, "borderline"), ("systolic_bp", None, 140, "suspected"),
    ("diastolic_bp", None, 79, "normal"), ("diastolic_bp", None, 80, "borderline"),
    ("diastolic_bp", None, 89, "borderline"), ("diastolic_bp", None, 90, "suspected"),
    ("fasting_glucose", None, 99, "normal"), ("fasting_glucose", None, 100, "borderline"),
    ("fasting_glucose", None, 125, "borderline"), ("fasting_glucose", None, 126, "suspected"),
    ("total_cholesterol", None, 199, "normal"), ("total_cholesterol", None, 239, "borderline"),
    ("total_cholesterol", None, 240, "suspected"), ("ldl_cholesterol", None, 129, "normal"),
    ("ldl_cholesterol", None, 159, "borderline"), ("ldl_cholesterol", None, 160, "suspected"),
    ("triglycerides", None, 149, "normal"), ("triglycerides", None, 199, "borderline"),
    ("triglycerides", None, 200, "suspected"), ("hdl_cholesterol", None, 60, "normal"),
    ("hdl_cholesterol", None, 40, "borderline"), ("hdl_cholesterol", None, 59, "borderline"),
    ("hdl_cholesterol", None, 39, "suspected"), ("sgot_ast", None, 40, "normal"), ("sgot_ast", None, 50, "borderline"),
    ("sgot_ast", None, 51, "suspected"), ("sgpt_alt", None, 35, "normal"), ("sgpt_alt", None, 45, "borderline"),
    ("sgpt_alt", None, 46, "suspected"), ("gamma_gtp", "M", 63, "normal"), ("gamma_gtp", "M", 77, "borderline"),
    ("gamma_gtp", "M", 78, "suspected"), ("gamma_gtp", "F", 35, "normal"), ("gamma_gtp", "F", 45, "borderline"),
    ("gamma_gtp", "F", 46, "suspected"), ("hemoglobin", "M", 13.0, "normal"), ("hemoglobin", "M", 12.9, "borderline"),
    ("hemoglobin", "M", 11.9, "suspected"), ("hemoglobin", "M", 16.6, ""), ("hemoglobin", "F", 12.0, "normal"),
    ("hemoglobin", "F", 10.0, "borderline"), ("hemoglobin", "F", 9.9, "suspected"),
    ("creatinine", None, 1.5, "normal"), ("creatinine", None, 1.6, "suspected"), ("gfr", None, 60, "normal"),
    ("gfr", None, 59, "suspected"), ("bmi", None, 18.4, "borderline"), ("bmi", None, 18.5, "normal"),
    ("bmi", None, 24.9, "normal"), ("bmi", None, 25, "borderline"), ("bmi", None, 29.9, "borderline"),
    ("bmi", None, 30, "suspected"),
])  # fmt: skip
def test_a_value_lies_in_its_band(item: str, sex: str | None, value: float, status: str) -> None:
    [found] = rules.findings({item: value}, sex)
    assert found.status == status


def test_the_sex_of_a_band_is_needed() -> None:
    [found] = rules.findings({"hemoglobin": 11.0}, None)
    assert (found.status, found.abnormal) == ("", False)
    assert "성별" in found.line()


def test_either_pressure_decides() -> None:
    assert rules.worst(rules.findings({"systolic_bp": 118, "diastolic_bp": 92}, None)) == "suspected"
    assert rules.worst(rules.findings({"systolic_bp": 118, "diastolic_bp": 79}, None)) == "normal"
    assert rules.worst([]) == ""


@pytest.mark.parametrize("value", [0, 0.0, None, "", "0", -1, "없음", float("nan"), float("inf"), True])
def test_what_was_not_measured_is_never_compared(value: object) -> None:
    assert rules.findings({"fasting_glucose": value}, None) == []
    assert rules.not_measured({"fasting_glucose": value}) == ["공복혈당"]


def test_the_bands_can_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "bands.toml"
    other.write_text(
        'source = "다른 기준"\nversion = "7"\n[[item]]\nkey = "fasting_glucose"\nname = "공복혈당"\nunit = "mg/dL"\n'
        'group = "혈당"\nnormal = [{ below = 110 }]\nsuspected = [{ from = 110 }]\n'
    )
    monkeypatch.setenv("CHECKUP_BANDS", str(other))
    assert rules.findings({"fasting_glucose": 108}, None)[0].status == "normal"
    assert (rules.bands().source, rules.bands().version) == ("다른 기준", "7")
    other.write_text("source = ")
    monkeypatch.setenv("CHECKUP_BANDS", str(tmp_path / "absent.toml"))
    with pytest.raises(wherry.Usage, match="bands"):
        rules.bands()


@pytest.mark.parametrize(("birth", "age"), [
    ("1980-03-15", 46), ("1980-03-16", 45), ("19800316", 45), ("1900-01-01", None), ("1899-05-05", None),
    ("1905-01-01", None), ("1906-03-16", 119), ("2030-01-01", None), ("", None), (None, None), ("모름", None),
])  # fmt: skip
def test_an_age_that_cannot_be_is_unknown(birth: object, age: int | None) -> None:
    assert rules.age_of(birth, TODAY) == age


@pytest.mark.parametrize(("text", "hidden"), [
    ("제 번호는 900101-1234567 입니다", True), ("9001011234567", True), ("카드 4111 1111 1111 1111", True),
    ("4111-1111-1111-1111로 결제", True), ("4111111111111112", False), ("혈당 108, 혈압 130/85", False),
    ("전화 010-1234-5678", False), ("번호 900101-123456", False),
])  # fmt: skip
def test_numbers_of_people_and_cards_are_masked(text: str, hidden: bool) -> None:
    shown, warnings = rules.masked(text)
    assert bool(warnings) == hidden
    assert (shown != text) == hidden
    if hidden:
        assert "1234567" not in shown
        assert "1111" not in shown


def test_records_of_the_last_36_months_are_used() -> None:
    given = [{"exam_date": d} for d in ("2023-03-14", "2023-03-15", "2025-06-01", "2026-03-16")] + [{}]
    kept = rules.recent(given, TODAY)
    assert [r.get("exam_date") for r in kept] == ["2025-06-01", "2023-03-15", None]


def test_an_exam_two_years_back_is_stale() -> None:
    assert [rules.stale({"exam_date": d}, TODAY) for d in ("2024-12-31", "2025-01-01", "", None)] == [
        True, False, False, False,
    ]  # fmt: skip


def test_a_squared_distance_becomes_a_cosine() -> None:
    assert [rules.of_squared_l2(d) for d in (0.0, 2.0, 4.0)] == [1.0, 0.0, -1.0]
    assert [rules.label(s) for s in (0.5, 0.49, 0.35, 0.34)] == ["high", "medium", "medium", "low"]


def _passage(name: str, similarity: float, source: str = "global", **data: object) -> Passage:
    return Passage(name, f"글 {name}", similarity, source, data)


def test_the_hospital_comes_first_and_repeats_go() -> None:
    found = [
        _passage("a", 0.9, file_name="x.pdf", page_label="1"),
        _passage("b", 0.8, file_name="x.pdf", page_label="1"),
        _passage("c", 0.7, file_name="x.pdf", page_label="2"),
        _passage("h", 0.4, "hospital", file_name="x.pdf", page_label="1"),
        Passage("t", "글 a", 0.6, "global", {"file_name": "y.pdf", "page_label": "9"}),
        _passage("low", 0.29),
        _passage("m", 0.5, file_name="note.md"),
        _passage("n", 0.45, file_name="note.md"),
    ]
    assert [p.id for p in rules.merged(found, 10)] == ["h", "a", "c", "m", "n"]
    assert [p.id for p in rules.merged(found, 2)] == ["h", "a"]


def test_evidence_says_nothing_its_source_does_not_say() -> None:
    bare = _passage("a", 0.5, source="지침.pdf", page=3).evidence()
    assert (bare["organization"], bare["year"]) == (None, None)
    stated = _passage("a", 0.5, publisher="학회", published_year=2023).evidence()
    assert (stated["organization"], stated["year"]) == ("학회", 2023)
    assert set(bare) == {"source_document", "page", "citation", "full_text", "similarity", "organization", "year"}


def test_the_question_for_evidence_has_a_line_for_each() -> None:
    found = rules.findings({"fasting_glucose": 108, "ldl_cholesterol": 100}, "M")
    assert rules.evidence_query(found, ["아버지 당뇨병", " "], ["체중"], 46, "M").splitlines() == [
        "46세 남성", "공복혈당 108 mg/dL 경계", "가족력: 아버지 당뇨병", "걱정: 체중",
    ]  # fmt: skip
    assert rules.evidence_query([], [], [], None, None) == ""
