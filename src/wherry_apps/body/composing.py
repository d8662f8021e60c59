"""The report that rules write: seven headings, every number of the sheet, and nothing that prescribes.

    text = compose(sheet.measurements, types, sheet.warnings)

It begins with `[규칙 기반 분석]`, so that nobody takes it for a model's words. Zero is a value and is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry_apps.body.rules import ABOVE, BELOW, FAT, MUSCLE, PARTS, UNKNOWN, BodyTypes, number
from wherry_apps.body.sheets import fat_free_mass
from wherry_apps.body.sheets.fields import NUMBERS, SUPPLIED

MARK = "[규칙 기반 분석]"
HEADINGS = ("종합 평가", "체성분", "부위별 균형", "대사", "체형", "우선 과제 세 가지", "요약")
_COMPOSITION = (
    "체중",
    "골격근량",
    "체지방",
    "체지방률",
    "제지방량",
    "체수분",
    "단백질",
    "무기질",
    "복부지방률",
    "내장지방레벨",
    "비만도",
)
_METABOLISM = ("기초대사량", "권장섭취열량", "적정체중", "체중조절", "지방조절", "근육조절")
_MEANINGS = {
    "마른형": "체중과 체지방이 모두 적은 체형",
    "마른근육형": "체중은 적지만 근육 비율이 충분한 체형",
    "표준형": "체중과 체지방이 표준 범위에 있는 체형",
    "근육형": "체지방에 비해 근육이 많은 체형",
    "고근육체형": "근육 비율이 두드러지게 높은 체형",
    "비만형": "체중에 비해 체지방이 많은 체형",
    "고도비만형": "체중과 체지방이 모두 매우 많은 체형",
    "마른비만형": "체중은 많지 않지만 체지방 비율이 높은 체형",
    UNKNOWN: "값이 모자라 판정하지 않은 체형",
}


def compose(measurements: Mapping[str, Any], types: BodyTypes, warnings: Sequence[str] = ()) -> str:
    """Return the report of a sheet as text."""
    bodies = (
        _overall(measurements, types),
        _numbers(measurements, _COMPOSITION),
        _balance(measurements, types),
        _metabolism(measurements),
        _types(measurements, types),
        [f"{at}. {line}" for at, line in enumerate(priorities(measurements, types), 1)],
        _summary(types, warnings),
    )
    parts = [
        f"## {at}. {name}\n" + "\n".join(body) for at, (name, body) in enumerate(zip(HEADINGS, bodies, strict=True), 1)
    ]
    return MARK + "\n\n" + "\n\n".join(parts)


def sections(text: str) -> dict[str, str]:
    """Return the body of each heading of a report, by heading; what a model left out is not there."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in text.splitlines():
        name = line.lstrip("# ").partition(". ")[2].strip() if line.startswith("## ") else ""
        if name:
            current = name
            found[current] = []
        elif current:
            found[current].append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def priorities(measurements: Mapping[str, Any], types: BodyTypes) -> list[str]:
    """Return the three things to look at first, the gravest first: what is, not what to do."""
    found = []
    if types.fat_class in ("과체중", "비만"):
        found.append(f"체지방률 {_shown(measurements, '체지방률')}: {types.fat_class} 구간에 있습니다")
    visceral = number(measurements, "내장지방레벨")
    if visceral is not None and visceral >= 10:
        found.append(f"내장지방레벨 {visceral:g}: 10 이상입니다")
    if types.muscle_class in ("적음", "보통"):
        found.append(f"골격근량 비율 {_percent(types.muscle_ratio)}: {types.muscle_class} 구간에 있습니다")
    for name, grade, word in ((MUSCLE, BELOW, "근육이 표준보다 적습니다"), (FAT, ABOVE, "체지방이 표준보다 많습니다")):
        parts = _parts(measurements.get(name), grade)
        if parts:
            found.append(f"{', '.join(parts)}: {word}")
    if types.bmi_class in ("저체중", "비만1단계", "비만2단계", "고도비만"):
        found.append(f"BMI {_shown(measurements, 'BMI')}: {types.bmi_class} 구간에 있습니다")
    if types.fat_class == "표준미만":
        found.append(f"체지방률 {_shown(measurements, '체지방률')}: 표준보다 적습니다")
    usual = [
        "체지방률이 지금의 구간에 머무르는지 다음 측정에서 비교",
        "골격근량의 변화를 다음 측정에서 비교",
        "부위별 균형의 변화를 다음 측정에서 비교",
    ]
    return [*found, *usual][:3]


def _overall(measurements: Mapping[str, Any], types: BodyTypes) -> list[str]:
    who = f"{measurements.get('성별', UNKNOWN)}, {_shown(measurements, '나이')}, {_shown(measurements, '신장')}, "
    return [
        f"{who}{_shown(measurements, '체중')}.",
        f"BMI {_shown(measurements, 'BMI')}은(는) {types.bmi_class}, 체지방률 {_shown(measurements, '체지방률')}은(는) "
        f"{types.fat_class}, 골격근량 비율 {_percent(types.muscle_ratio)}은(는) {types.muscle_class}입니다.",
    ]


def _numbers(measurements: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [f"- {name}: {_shown(measurements, name)}" for name in names if name in measurements]


def _balance(measurements: Mapping[str, Any], types: BodyTypes) -> list[str]:
    lines = []
    for name, word in ((MUSCLE, "근육"), (FAT, "체지방")):
        grades = measurements.get(name)
        if isinstance(grades, Mapping):
            lines.append(f"- {word}: " + ", ".join(f"{part} {grades.get(part) or UNKNOWN}" for part in PARTS))
        else:
            lines.append(f"- {word}: 측정값 없음")
    return [*lines, f"- 상하체 균형: {types.body_type2}"]


def _metabolism(measurements: Mapping[str, Any]) -> list[str]:
    lines = _numbers(measurements, _METABOLISM)
    mass = fat_free_mass(measurements)
    if mass is not None:
        lines.append(f"- 제지방량으로 계산한 기초대사량: {370 + 21.6 * mass:.0f} kcal")
    return lines


def _types(measurements: Mapping[str, Any], types: BodyTypes) -> list[str]:
    lines = [
        f"- 체형: {types.body_type1} ({_MEANINGS.get(types.body_type1, '')})",
        f"- 근육을 보기 전의 체형: {types.stage1}",
        f"- 상하체: {types.body_type2}",
    ]
    supplied = measurements.get(SUPPLIED)
    if isinstance(supplied, Mapping):
        lines.append("- 결과지에 적힌 체형: " + ", ".join(str(value) for value in supplied.values() if value))
    return lines


def _summary(types: BodyTypes, warnings: Sequence[str]) -> list[str]:
    lines = [f"{types.body_type1}, {types.body_type2}: {_MEANINGS.get(types.body_type1, '')}입니다."]
    return lines + [f"- 확인 필요: {warning}" for warning in warnings]


def _shown(measurements: Mapping[str, Any], name: str) -> str:
    value = number(measurements, name)
    if value is None:
        return "측정값 없음"
    signed = NUMBERS[name].low < 0
    return f"{value:{'+' if signed and value else ''}g} {NUMBERS[name].unit}".strip()


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{100 * ratio:.1f} %"


def _parts(grades: Any, wanted: str) -> list[str]:
    return [part for part in PARTS if isinstance(grades, Mapping) and grades.get(part) == wanted]
