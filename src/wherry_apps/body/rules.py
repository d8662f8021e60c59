"""Body types by rule: five classes of muscle, six types, and where a body is strong.

    types = body_types(measurements)
    types.body_type1, types.body_type2        # 표준형, 하체발달형

`measurements` has the keys of a flat sheet (see `sheets.py`). What a rule cannot decide is `알 수 없음`, never a
guess. Every number is in `Limits`: the sheet's own standard bands where it prints some, else a choice of this app
that is no medical advice; `BODY_LIMITS` names a JSON file that replaces them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import wherry

UNKNOWN = "알 수 없음"
BELOW, STANDARD, ABOVE = "표준미만", "표준", "표준이상"
MALE, FEMALE = "남성", "여성"
MUSCLE, FAT = "근육_부위별등급", "체지방_부위별등급"
ARMS, LEGS, TRUNK = ("왼팔", "오른팔"), ("왼다리", "오른다리"), "몸통"
PARTS = (*ARMS, TRUNK, *LEGS)
# From little to much; a later one is more.
MUSCLE_CLASSES = ("적음", "보통", "충분", "많음", "매우 많음")
FAT_CLASSES = ("표준미만", "표준", "과체중", "비만")
BMI_CLASSES = ("저체중", "정상", "과체중", "비만1단계", "비만2단계", "고도비만")
_FAT = ("과체중", "비만")
# Stage 1 type -> type by muscle class, in the order of MUSCLE_CLASSES.
_STAGE2 = {
    "마른형": ("마른형", "마른형", "마른근육형", "근육형", "근육형"),
    "표준형": ("마른형", "표준형", "근육형", "근육형", "근육형"),
    "근육형": ("비만형", "비만형", "근육형", "고근육체형", "고근육체형"),
    "비만형": ("비만형", "비만형", "고근육체형", "고근육체형", "고근육체형"),
    "고도비만형": ("고도비만형", "고도비만형", "비만형", "고근육체형", "고근육체형"),
    "마른비만형": ("마른비만형", "마른비만형", "표준형", "근육형", "고근육체형"),
}
_GUARDED = ("표준형", "근육형", "고근육체형")


@dataclass(frozen=True)
class Limits:
    """The numbers of the rules; a class begins at its limit.

    bmi: kg/m². fat_*: percent of weight. muscle_*: skeletal muscle as a share of weight. *_share: what an arm, the
    trunk and a leg usually are of the five parts together. spread: how far from that is still standard.
    """

    bmi: tuple[float, ...] = (18.5, 23.0, 25.0, 30.0, 35.0)
    fat_male: tuple[float, ...] = (10.0, 20.0, 24.0)
    fat_female: tuple[float, ...] = (18.0, 28.0, 32.0)
    muscle_male: tuple[float, ...] = (0.40, 0.45, 0.50, 0.55)
    muscle_female: tuple[float, ...] = (0.35, 0.40, 0.45, 0.50)
    muscle_share: tuple[float, ...] = (0.060, 0.510, 0.185)
    fat_share: tuple[float, ...] = (0.065, 0.540, 0.165)
    spread: float = 0.10

    @classmethod
    def configured(cls, path: str | None = None) -> Limits:
        """Return the limits of a JSON file, the usual ones without. path: BODY_LIMITS by default. Raises Usage."""
        name = path if path is not None else os.environ.get("BODY_LIMITS", "")
        return cls.of(_read(name)) if name else cls()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Limits:
        """Return the usual limits with some replaced. Raises Usage for a name or a number that makes no sense."""
        usual = asdict(cls())
        made = {name: _limit(name, value, usual) for name, value in values.items()}
        return replace(cls(), **made)


@dataclass(frozen=True)
class BodyTypes:
    """What the rules say of one sheet; every value may be `알 수 없음`.

    body_type1: the type by weight, fat and muscle. body_type2: where the body is strong or fat. muscle_ratio:
    skeletal muscle as a share of weight, None where it is unknown.
    """

    bmi_class: str
    fat_class: str
    muscle_class: str
    stage1: str
    body_type1: str
    body_type2: str
    muscle_ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the types as a JSON object."""
        return asdict(self)


def body_types(measurements: Mapping[str, Any], limits: Limits | None = None) -> BodyTypes:
    """Return the types of a sheet."""
    limits = limits or Limits()
    sex, weight, muscle = measurements.get("성별"), number(measurements, "체중"), number(measurements, "골격근량")
    ratio = muscle / weight if muscle is not None and weight else None
    bmi = _class_of(number(measurements, "BMI"), BMI_CLASSES, limits.bmi)
    fat = fat_class(number(measurements, "체지방률"), sex, limits)
    mass = muscle_class(ratio, sex, limits)
    first = stage1(bmi, fat, mass)
    second = stage2(first, fat, mass)
    return BodyTypes(bmi, fat, mass, first, second, stage3(measurements.get(MUSCLE), measurements.get(FAT)), ratio)


def number(values: Mapping[str, Any], key: str) -> float | None:
    """Return a finite number under a key, else None."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def fat_class(percent: float | None, sex: Any, limits: Limits) -> str:
    """Return the class of a body fat percentage: each sex has its own standard band."""
    steps = {MALE: limits.fat_male, FEMALE: limits.fat_female}.get(sex)
    return UNKNOWN if steps is None else _class_of(percent, FAT_CLASSES, steps)


def muscle_class(ratio: float | None, sex: Any, limits: Limits) -> str:
    """Return the class of skeletal muscle as a share of weight."""
    steps = {MALE: limits.muscle_male, FEMALE: limits.muscle_female}.get(sex)
    return UNKNOWN if steps is None else _class_of(ratio, MUSCLE_CLASSES, steps)


def stage1(bmi: str, fat: str, muscle: str) -> str:
    """Return the type by weight and fat; muscle decides where weight alone would call a strong body fat."""
    if UNKNOWN in (bmi, fat, muscle):
        return UNKNOWN
    if bmi == "저체중":
        return "마른비만형" if fat in _FAT else "마른형"
    if bmi == "정상":
        return {"표준": "표준형", "표준미만": "마른형"}.get(fat, "마른비만형")
    if bmi == "과체중":
        return "비만형" if fat in _FAT else "근육형"
    least = "충분" if bmi == "비만1단계" else "많음"
    if fat == "표준미만" and _at_least(muscle, least):
        return "근육형"
    return "고도비만형" if bmi == "고도비만" else "비만형"


def stage2(first: str, fat: str, muscle: str) -> str:
    """Return the type after muscle is looked at. Much fat with little muscle is never called standard or muscular."""
    if UNKNOWN in (first, fat, muscle):
        return UNKNOWN
    second = _STAGE2[first][MUSCLE_CLASSES.index(muscle)]
    if fat == "비만" and not _at_least(muscle, "많음") and second in _GUARDED:
        return first
    return second


def stage3(muscle: Any, fat: Any = None) -> str:
    """Return where a body is fat, else where it is strong. fat: may be missing as a whole, limb by limb it may not."""
    where = [_leaning(fat), _leaning(muscle)] if fat else ["균형", _leaning(muscle)]
    if UNKNOWN in where:
        return UNKNOWN
    if where[0] != "균형":
        return f"{where[0]}비만형"
    return "표준형" if where[1] == "균형" else f"{where[1]}발달형"


def grades_of(kilograms: Mapping[str, float], share: tuple[float, ...], spread: float) -> dict[str, str]:
    """Return the grade of each part from its weight: against what such a part usually is of the five together.

    Raises ValueError when the five do not add up to something.
    """
    whole = sum(kilograms[part] for part in PARTS)
    if not whole > 0:
        raise ValueError("the five parts weigh nothing")
    usual = dict(zip(PARTS, (share[0], share[0], share[1], share[2], share[2]), strict=True))
    return {part: _grade(kilograms[part] / whole, usual[part], spread) for part in PARTS}


def _grade(share: float, usual: float, spread: float) -> str:
    # Half a unit of the ninth digit: 0.066 of 0.060 is ten percent more, whatever binary fractions make of it.
    if share >= usual * (1 + spread) - 5e-10:
        return ABOVE
    return BELOW if share <= usual * (1 - spread) + 5e-10 else STANDARD


def _leaning(grades: Any) -> str:
    if not isinstance(grades, Mapping):
        return UNKNOWN
    limbs = {part: grades.get(part) for part in (*ARMS, *LEGS)}
    if any(grade not in (BELOW, STANDARD, ABOVE) for grade in limbs.values()):
        return UNKNOWN
    arms, legs = (all(limbs[part] == ABOVE for part in pair) for pair in (ARMS, LEGS))
    return "균형" if arms == legs else "상체" if arms else "하체"


def _at_least(muscle: str, wanted: str) -> bool:
    return MUSCLE_CLASSES.index(muscle) >= MUSCLE_CLASSES.index(wanted)


def _class_of(value: float | None, classes: tuple[str, ...], steps: tuple[float, ...]) -> str:
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return classes[sum(value >= step for step in steps)]


def _read(name: str) -> Mapping[str, Any]:
    try:
        values = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise wherry.Usage(f"the limits cannot be read: {type(error).__name__}", where=name) from None
    if not isinstance(values, dict):
        raise wherry.Usage("the limits are no JSON object", where=name)
    return values


def _limit(name: str, value: Any, usual: dict[str, Any]) -> Any:
    if name not in usual:
        known = ", ".join(field.name for field in fields(Limits))
        raise wherry.Usage(f"there is no limit {name!r}", where="BODY_LIMITS", next=f"known limits: {known}")
    several = isinstance(usual[name], tuple)
    found = value if several else [value]
    right = isinstance(found, list) and len(found) == (len(usual[name]) if several else 1)
    if not right or any(number({"": each}, "") is None for each in found):
        raise wherry.Usage(f"{name} does not hold as many numbers as it should", where="BODY_LIMITS")
    numbers = tuple(map(float, found))
    if several and "share" not in name and any(a >= b for a, b in pairwise(numbers)):
        raise wherry.Usage(f"the numbers of {name} do not rise", where="BODY_LIMITS")
    return numbers if several else numbers[0]
