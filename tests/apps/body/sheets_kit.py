"""One person's sheet in every shape, for the tests."""

from __future__ import annotations

from typing import Any

FLAT: dict[str, Any] = {
    "성별": "남성", "나이": 34, "신장": 175, "체중": 78.2, "골격근량": 36.4, "BMI": 25.5, "체지방률": 18.2,
    "무기질": 3.9, "단백질": 12.8, "체지방": 14.2, "체수분": 47.3, "복부지방률": 0.86, "내장지방레벨": 6,
    "비만도": 116, "기초대사량": 1752, "권장섭취열량": 2600, "적정체중": 74.0, "체중조절": -4.2,
    "지방조절": -4.2, "근육조절": 0.0,
    "근육_부위별등급": {"왼팔": "표준", "오른팔": "표준", "몸통": "표준", "왼다리": "표준이상", "오른다리": "표준이상"},
    "체지방_부위별등급": {"왼팔": "표준", "오른팔": "표준", "몸통": "표준이상", "왼다리": "표준", "오른다리": "표준"},
}  # fmt: skip
NESTED: dict[str, Any] = {
    "기본정보": {"신장": "175cm", "연령": "34", "성별": "남"},
    "체성분": {"체수분": "47.3", "단백질": "12.8", "무기질": "3.9", "체지방": "14.2"},
    "체중관리": {
        "체중": "78.2", "골격근량": "36.4 kg", "체지방량": "14.2", "적정체중": "74.0", "체중조절": "-4.2",
        "지방조절": "-4.2", "근육조절": "0.0",
    },
    "비만분석": {"BMI": "25.5", "체지방률": "18.2%", "복부지방률": "0.86", "내장지방레벨": "6", "비만도": "116"},
    "연구항목": {"제지방량": "64.0", "기초대사량": "1,752kcal", "권장섭취열량": "2600"},
    "부위별근육분석": {
        "왼쪽팔": "표준", "오른쪽팔": "표준", "복부": "표준", "왼쪽하체": "우수", "오른쪽하체": "표준이상",
    },
    "부위별체지방분석": {
        "왼쪽팔": "표준", "오른쪽팔": "표준", "복부": "과다", "왼쪽하체": "표준", "오른쪽하체": "표준",
    },
}  # fmt: skip
ENGLISH: dict[str, Any] = {
    "sex": "male", "age": 34, "height_cm": 175, "weight_kg": 78.2, "bmi": 25.5, "fat_rate": 18.2, "smm": 36.4,
    "muscle_seg": {"왼팔": "표준", "오른팔": "표준", "몸통": "표준", "왼다리": "표준이상", "오른다리": "표준이상"},
    "fat_seg": {"왼팔": "표준", "오른팔": "표준", "몸통": "표준이상", "왼다리": "표준", "오른다리": "표준"},
}  # fmt: skip
EXAMPLE_C: dict[str, Any] = {
    "sex": "female", "age": 41, "height_cm": 162, "weight_kg": 58.4, "bmi": 22.3, "fat_rate": 27.1, "smm": 23.0,
    "muscle_seg": {"왼팔": "표준", "오른팔": "표준", "몸통": "표준", "왼다리": "표준이상", "오른다리": "표준이상"},
}  # fmt: skip


def unnested() -> dict[str, Any]:
    """Return the nested sheet as one flat object: `왼쪽팔 근육` and so on."""
    flat = {
        key: value for name, group in NESTED.items() if not name.startswith("부위별") for key, value in group.items()
    }
    flat |= {f"{part} 근육": grade for part, grade in NESTED["부위별근육분석"].items()}
    return flat | {f"{part} 체지방": grade for part, grade in NESTED["부위별체지방분석"].items()}


def shapes() -> dict[str, dict[str, Any]]:
    """Return shapes A, B, B2 and C of one person."""
    return {"A": FLAT, "B": NESTED, "B2": unnested(), "C": ENGLISH}
