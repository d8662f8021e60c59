"""Invented persons for the demo and for measuring: nobody's real measurements."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from wherry_apps.body.rules import ABOVE, BELOW, FAT, MUSCLE, PARTS, STANDARD

_FLAT_PARTS = ("왼쪽팔", "오른쪽팔", "복부", "왼쪽하체", "오른쪽하체")


def _grades(words: str) -> dict[str, str]:
    return dict(zip(PARTS, words.split(), strict=True))


MINSU: dict[str, Any] = {
    "성별": "남성", "나이": 34, "신장": 175, "체중": 78.2, "골격근량": 36.4, "BMI": 25.5, "체지방률": 18.2,
    "체지방": 14.2, "체수분": 47.3, "단백질": 12.8, "무기질": 3.9, "복부지방률": 0.86, "내장지방레벨": 6,
    "기초대사량": 1752, "적정체중": 74.0, "체중조절": -4.2, "지방조절": -4.2, "근육조절": 0.0,
    MUSCLE: _grades("표준 표준 표준 표준이상 표준이상"), FAT: _grades("표준 표준 표준이상 표준 표준"),
}  # fmt: skip
BY_READER: dict[str, Any] = {
    "기본정보": {"신장": "175cm", "연령": "34", "성별": "남"},
    "체성분": {"체수분": "47.3", "단백질": "12.8", "무기질": "3.9", "체지방": "14.2"},
    "체중관리": {"체중": "78.2", "골격근량": "36.4", "적정체중": "74.0", "체중조절": "-4.2", "근육조절": "0.0"},
    "비만분석": {"BMI": "25.5", "체지방률": "18.2", "복부지방률": "0.86", "내장지방레벨": "6"},
    "연구항목": {"기초대사량": "1,752kcal"},
    "부위별근육분석": dict(zip(_FLAT_PARTS, ["표준", "표준", "표준", "우수", "표준이상"], strict=True)),
    "부위별체지방분석": dict(zip(_FLAT_PARTS, ["표준", "표준", "과다", "표준", "표준"], strict=True)),
}
IN_ENGLISH: dict[str, Any] = {
    "sex": "male", "age": 34, "height_cm": 175, "weight_kg": 78.2, "bmi": 25.5, "fat_rate": 18.2, "smm": 36.4,
    "muscle_seg": MINSU[MUSCLE], "fat_seg": MINSU[FAT],
}  # fmt: skip


def _seoyeon(weight: float, muscle: float, fat: float, arms: str) -> dict[str, Any]:
    return {
        "성별": "여성", "나이": 41, "신장": 162, "체중": weight, "골격근량": muscle, "BMI": round(weight / 1.62**2, 1),
        "체지방률": fat, "내장지방레벨": 9,
        MUSCLE: _grades(f"{arms} {arms} 표준 표준 표준"), FAT: _grades("표준 표준 표준이상 표준 표준"),
    }  # fmt: skip


SEOYEON = (
    _seoyeon(64.2, 21.1, 35.4, BELOW),
    _seoyeon(63.0, 21.4, 33.9, BELOW),
    _seoyeon(61.8, 22.0, 31.2, BELOW),
    _seoyeon(60.9, 22.6, 29.0, STANDARD),
)
# What an earlier program left: other names of columns, vectors as text, no weekly plans.
OLDER = """
CREATE TABLE users (id serial PRIMARY KEY, username varchar(100) UNIQUE NOT NULL, email varchar(255) UNIQUE NOT NULL,
  created_at timestamp DEFAULT now());
CREATE TABLE health_records (id serial PRIMARY KEY, user_id int REFERENCES users, measured_at timestamp,
  source varchar(100), measurements jsonb NOT NULL, created_at timestamp DEFAULT now());
CREATE TABLE inbody_analysis_reports (id serial PRIMARY KEY, user_id int REFERENCES users,
  record_id int REFERENCES health_records, llm_output text NOT NULL, model_version varchar(100),
  generated_at timestamp DEFAULT now(), embedding_1536 text);
INSERT INTO users (username, email) VALUES ('jihun', 'jihun@example.org');
INSERT INTO health_records (user_id, measured_at, measurements) VALUES (1, '2025-11-03 09:00', '{"체중": 70}');
INSERT INTO inbody_analysis_reports (user_id, record_id, llm_output, embedding_1536) VALUES
  (1, 1, '체형 분석: 표준형', '[' || repeat('0.1,', 1535) || '0.2]'), (1, 1, '체형 분석: 근육형', 'broken');
"""


def many(count: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield invented sheets, the same ones each time."""
    draw = random.Random(seed)
    for _ in range(count):
        male = draw.random() < 0.5
        height, bmi, fat = draw.uniform(150, 190), draw.uniform(17, 36), draw.uniform(8, 42)
        weight = round(min(300.0, bmi * (height / 100) ** 2), 1)
        grades = (BELOW, STANDARD, ABOVE)
        yield {
            "성별": "남성" if male else "여성",
            "나이": draw.randint(18, 80),
            "신장": round(height, 1),
            "체중": weight,
            "골격근량": round(weight * draw.uniform(0.3, 0.56), 1),
            "BMI": round(bmi, 1),
            "체지방률": round(fat, 1),
            "내장지방레벨": draw.randint(1, 20),
            MUSCLE: {part: draw.choice(grades) for part in PARTS},
            FAT: {part: draw.choice(grades) for part in PARTS},
        }
