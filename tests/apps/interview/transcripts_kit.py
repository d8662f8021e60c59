"""Transcripts in the three shapes."""

from __future__ import annotations

from typing import Any

from tests.apps.interview.conftest import ANSWER

_Q1, _Q2 = "물류 시스템을 개선한 경험은?", "갈등을 푼 경험은?"


def t1(**more: Any) -> dict[str, Any]:
    """The first shape."""
    segments = [
        {
            "segment_id": 2,
            "segment_order": 2,
            "interviewer_id": "b",
            "turn_type": "follow_up",
            "question_text": _Q2,
            "answer_text": "(인식 실패)",
            "answer_duration_sec": 3.5,
        },
        {
            "segment_id": 1,
            "segment_order": 1,
            "interviewer_id": "a",
            "turn_type": "main",
            "question_text": _Q1,
            "answer_text": ANSWER,
            "answer_duration_sec": 41.2,
            "char_index_start": 0,
            "char_index_end": len(ANSWER),
            "timestamp_start": 1.0,
            "timestamp_end": 42.2,
        },
    ]
    weights = {
        "competency": {
            "job_expertise": 0.5,
            "analytical": 0.1,
            "execution": 0.1,
            "relationship": 0.1,
            "resilience": 0.1,
            "influence": 0.1,
        },
        "category": {"common": 0.4, "job_specific": 0.6},
    }
    return {"persona_meta": {"name": "면접관"}, "weights": weights, "segments": segments, **more}


def t2(**more: Any) -> dict[str, Any]:
    """The second shape."""
    second = t1(**more)
    second["full_transcript"] = ANSWER + "\n(인식 실패)"
    aimed = {"common": [], "job_specific": ["job_expertise"]}
    second["segments"][1] |= {
        "segment_type": "job_specific",
        "question_type": "technical",
        "question_id": 7,
        "target_competencies": aimed,
        "stt_confidence": 0.93,
        "stt_provider": "any",
        "metadata": {"speaking_speed_wpm": 120, "pause_count": 2, "filler_words": ["음"]},
    }
    second["segments"][0] |= {"segment_type": "common", "stt_confidence": 0.1}
    return second


def t3() -> list[dict[str, Any]]:
    """The third shape."""
    return [
        {
            "global_index": 1,
            "interviewer_id": "b",
            "interviewer_type": "hr",
            "question_index": 0,
            "question": _Q2,
            "answer": "(인식 실패)",
            "target_competencies": ["relationship"],
        },
        {
            "global_index": 0,
            "interviewer_id": "a",
            "interviewer_type": "technical",
            "question_index": 0,
            "question": _Q1,
            "answer": ANSWER,
            "target_competencies": ["job_expertise"],
        },
    ]
