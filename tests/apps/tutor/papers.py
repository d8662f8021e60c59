"""Exam files for the tests, in each of the three shapes."""

from __future__ import annotations

from typing import Any

DEPARTMENT = "물리치료학과"
PARTS = ("무릎관절", "어깨관절", "척추", "발목관절", "손목관절", "엉덩관절", "호흡근", "말초신경")
ASKED = ("주된 움직임은", "안정성을 지키는 인대는", "평가하는 검사는", "흔히 다치는 구조는", "운동치료의 첫 단계는")
MOVES = ("굽힘", "폄", "벌림", "모음", "돌림")
EXAMPLE = {
    "question_number": 4, "content": "무릎관절의 주된 움직임은?", "description": [],
    "options": {"1": "굽힘", "2": "회전", "3": "벌림", "4": "모음", "5": "휘돌림"}, "correct_answer": "1",
    "subject": "물리치료학과", "area_name": "관절계통", "difficulty": "하", "year": 2030,
}  # fmt: skip


def question(number: int, **changes: Any) -> dict[str, Any]:
    """Return a question of an exam file."""
    part, asked = PARTS[number % len(PARTS)], ASKED[number // len(PARTS) % len(ASKED)]
    return {
        "question_number": number, "content": f"{part}의 {asked} 무엇인가? (사례 {number})",
        "description": [f"{20 + number}세 환자"],
        "options": {str(n): f"{part} {word} {number}" for n, word in enumerate(MOVES, 1)},
        "correct_answer": str(number % 5 + 1), "subject": DEPARTMENT, "area_name": part,
        "difficulty": ("하", "중", "상")[number % 3], "year": 2030, **changes,
    }  # fmt: skip


def exam(count: int, first: int = 1, **meta: Any) -> dict[str, Any]:
    """Return an exam file."""
    rows = [question(number) for number in range(first, first + count)]
    return {"meta": {"source_file": "2030.pdf", "total_questions": count, **meta}, "questions": rows}


def diag_question(number: int, **changes: Any) -> dict[str, Any]:
    """Return a question of a test file: difficulty on a scale of ten, points of its own."""
    part = PARTS[number % len(PARTS)]
    hard = (3, 5, 7)[number % 3]
    return {
        "question_id": f"DIAG_{number:03d}", "content": f"진단 {number}: {part}에서 옳은 설명은?",
        "options": {str(n): f"{part} 설명 {n}-{number}" for n in range(1, 6)}, "correct_answer": str(number % 5 + 1),
        "subject": "운동치료학" if number % 2 else "해부생리학", "area_name": part, "domain": "기초", "year": 2029,
        "original_question_number": number, "difficulty": hard,
        "difficulty_level": {3: "쉬움", 5: "보통", 7: "어려움"}[hard], "question_type": "객관식",
        "points": {3: 3.5, 5: 4.0, 7: 4.5}[hard], "department": DEPARTMENT, **changes,
    }  # fmt: skip


def diag_file(count: int = 30, **info: Any) -> dict[str, Any]:
    """Return a test file."""
    levels = {
        "상급": {"min_score": 80, "description": "우수"}, "중급": {"min_score": 65, "description": "보통"},
        "하급": {"min_score": 50, "description": "기초"}, "미흡": {"min_score": 0, "description": "보충"},
    }  # fmt: skip
    return {
        "test_info": {"title": "물리치료 진단", "total_questions": count, "time_limit": 60, "version": "1.0", **info},
        "scoring_criteria": {"total_score": 100, "score_per_question": 3.3, "level_classification": levels},
        "questions": [diag_question(number) for number in range(1, count + 1)],
        "statistics": {},
    }  # fmt: skip


def listed(count: int) -> list[dict[str, Any]]:
    """Return a bare list of questions."""
    return [
        {
            "question_id": f"Q{number}", "question_number": number,
            "question_text": f"{PARTS[number % 8]} 문항 {number}",
            "choices": [f"보기 {n}-{number}" for n in range(1, 5)], "correct_answer": str(number % 4 + 1),
            "difficulty_level": "보통", "domain": "임상", "question_type": "multiple_choice",
        }
        for number in range(1, count + 1)
    ]  # fmt: skip


KNEE = """# 무릎관절 재활

무릎관절은 넙다리뼈와 정강뼈 사이의 관절이며 주된 움직임은 굽힘과 폄이다.
앞십자인대는 정강뼈가 앞으로 밀리는 것을 막는다. 뒤십자인대는 정강뼈가 뒤로 밀리는 것을 막는다.
반달연골은 체중을 나누어 받치고 충격을 흡수한다. 넙다리네갈래근은 무릎을 펴는 근육이다.
수술 뒤 첫 주에는 부종을 줄이고 넙다리네갈래근의 등척성 운동을 시작한다.
"""
