"""What a sheet can say: the fields with their bounds, and every name under which machines and people write them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wherry_apps.body.rules import ABOVE, BELOW, FAT, FEMALE, MALE, MUSCLE, STANDARD

RAW = "_raw"
SUPPLIED = "body_type_supplied"
INFINITE = math.inf


@dataclass(frozen=True)
class Number:
    """A field that holds a number. unit: for people. low, high: both allowed. whole: no fraction."""

    unit: str
    low: float = 0.0
    high: float = INFINITE
    whole: bool = False


# The required ones first, each group in the order of the sheet.
NUMBERS: dict[str, Number] = {
    "나이": Number("세", 1, 120, whole=True),
    "신장": Number("cm", 100, 250),
    "체중": Number("kg", 20, 300),
    "골격근량": Number("kg", 0, 300),
    "BMI": Number("kg/m²", 10, 100),
    "체지방률": Number("%", 0, 100),
    "무기질": Number("kg"),
    "단백질": Number("kg"),
    "체지방": Number("kg"),
    "체수분": Number("L"),
    "제지방량": Number("kg"),
    "복부지방률": Number(""),
    "내장지방레벨": Number("", 1, 20),
    "비만도": Number("%"),
    "기초대사량": Number("kcal"),
    "권장섭취열량": Number("kcal"),
    "적정체중": Number("kg"),
    "체중조절": Number("kg", -INFINITE),
    "지방조절": Number("kg", -INFINITE),
    "근육조절": Number("kg", -INFINITE),
}
REQUIRED = ("성별", "나이", "신장", "체중", "골격근량", "BMI", "체지방률", MUSCLE)
TYPES = ("body_type1", "body_type2")
OPTIONAL = (*(name for name in NUMBERS if name not in REQUIRED), FAT, *TYPES)
FIELDS = (*REQUIRED, *OPTIONAL)

ALIASES = {
    "키": "신장",
    "연령": "나이",
    "체지방량": "체지방",
    "stage2_근육보정체형": "body_type1",
    "stage3_상하체밸런스": "body_type2",
    "sex": "성별",
    "age": "나이",
    "height_cm": "신장",
    "weight_kg": "체중",
    "bmi": "BMI",
    "fat_rate": "체지방률",
    "smm": "골격근량",
    "muscle_seg": MUSCLE,
    "fat_seg": FAT,
    "부위별근육분석": MUSCLE,
    "부위별체지방분석": FAT,
}
# Groups of the nested sheet that read text makes; what is in them counts as if it stood outside.
GROUPS = ("기본정보", "체성분", "체중관리", "비만분석", "연구항목", "기타")
PARTS = {
    "왼쪽팔": "왼팔",
    "오른쪽팔": "오른팔",
    "복부": "몸통",
    "왼쪽하체": "왼다리",
    "오른쪽하체": "오른다리",
    **{part: part for part in ("왼팔", "오른팔", "몸통", "왼다리", "오른다리")},
}
# `왼쪽팔 근육`: a part and a tissue in one key.
TISSUES = {"근육": MUSCLE, "체지방": FAT}
GRADES = {
    BELOW: BELOW, "표준이하": BELOW, "부족": BELOW,
    STANDARD: STANDARD,
    ABOVE: ABOVE, "과다": ABOVE, "우수": ABOVE,
}  # fmt: skip
SEXES = {
    "남": MALE, "남자": MALE, "남성": MALE, "male": MALE,
    "여": FEMALE, "여자": FEMALE, "여성": FEMALE, "female": FEMALE,
}  # fmt: skip
UNITS = ("kg/m²", "kg/m2", "kcal", "kg", "cm", "세", "살", "%", "L", "l", "레벨")
