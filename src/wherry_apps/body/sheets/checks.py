"""Whether the numbers of a sheet agree with each other: warnings, since a sheet is taken as it was printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry_apps.body.rules import number

_BMI_APART, _CONTROL_APART, _BMR_APART = 0.5, 0.5, 0.05


def checks(measurements: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one sentence for each pair of numbers that contradict each other."""
    found = (_bmi(measurements), _control(measurements), _metabolism(measurements))
    return tuple(warning for warning in found if warning)


def fat_free_mass(measurements: Mapping[str, Any]) -> float | None:
    """Return what weighs without fat, in kilograms: as printed, else weight less fat, else by the fat percentage."""
    printed, weight, fat = (number(measurements, key) for key in ("제지방량", "체중", "체지방"))
    if printed is not None or weight is None:
        return printed
    percent = number(measurements, "체지방률")
    if fat is not None:
        return weight - fat
    return None if percent is None else weight * (1 - percent / 100)


def _bmi(measurements: Mapping[str, Any]) -> str:
    height, weight, bmi = (number(measurements, key) for key in ("신장", "체중", "BMI"))
    if not height or weight is None or bmi is None:
        return ""
    own = weight / (height / 100) ** 2
    if abs(bmi - own) <= _BMI_APART:
        return ""
    return f"BMI {bmi:g}은(는) 체중과 신장으로 계산한 {own:.1f}와(과) 다릅니다"


def _control(measurements: Mapping[str, Any]) -> str:
    control, right, weight = (number(measurements, key) for key in ("체중조절", "적정체중", "체중"))
    if control is None or right is None or weight is None or abs(control - (right - weight)) <= _CONTROL_APART + 1e-9:
        return ""
    return f"체중조절 {control:+g} kg은(는) 적정체중에서 체중을 뺀 {right - weight:+.1f} kg과(와) 다릅니다"


def _metabolism(measurements: Mapping[str, Any]) -> str:
    """Katch and McArdle's formula, which InBody's machines use: 370 + 21.6 kcal per kilogram without fat."""
    printed, mass = number(measurements, "기초대사량"), fat_free_mass(measurements)
    if printed is None or mass is None:
        return ""
    own = 370 + 21.6 * mass
    if abs(printed - own) <= _BMR_APART * own:
        return ""
    return f"기초대사량 {printed:g} kcal은(는) 제지방량으로 계산한 {own:.0f} kcal과(와) 5 % 넘게 다릅니다"
