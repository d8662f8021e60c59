"""A job post, analysed by rule."""

from __future__ import annotations

from wherry_apps.interview.rules.posts import analyse, merged
from wherry_apps.interview.rules.questions import drafted, follow_up
from wherry_apps.interview.rules.weights import COMPETENCIES

POST = """[백엔드 엔지니어] 물류 플랫폼

주요 업무
- 배차 API 운영
- 실시간 위치 데이터 파이프라인 개발

자격 요건
- Kotlin, Redis 실무 경험 3년 이상
- 장애 대응 경험

우대 사항: Kafka 운영, Redis 튜닝
- 분산 캐시 설계

복리후생
- AWS 교육비 지원
"""


def test_terms_belong_to_the_nearest_heading() -> None:
    found = analyse("Backend", POST)
    assert found.required_skills == ["Kotlin", "Redis", "장애 대응"]
    assert found.preferred_skills == ["Kafka", "분산 캐시"]
    assert found.domain_requirements == ["물류", "배차"]
    assert found.main_responsibilities == ["배차 API 운영", "실시간 위치 데이터 파이프라인 개발"]
    assert (found.position_type, found.seniority_level) == ("backend", "mid")
    assert found.source == "rules-1"
    assert len(set(found.dynamic_evaluation_criteria)) == 5
    assert abs(sum(found.competency_weights.values()) - 1) < 0.011


def test_all_of_a_long_post_is_read() -> None:
    far = "회사 소개\n" + "저희는 좋은 회사입니다. " * 400 + "\n\n자격 요건\n- Rust 경험\n"
    assert len(far) > 5_000
    assert analyse("", far).required_skills == ["Rust"]


def test_a_post_that_names_nothing_has_the_defaults() -> None:
    found = analyse("무제", "가나다라")
    assert (found.required_skills, found.preferred_skills, found.weights_source) == ([], [], "default")
    assert len(found.dynamic_evaluation_criteria) == 5


def test_what_chunks_gave_becomes_one_analysis() -> None:
    even = dict.fromkeys(COMPETENCIES, 1 / 6)
    parts = [
        {"required_skills": ["Kotlin"], "preferred_skills": ["Redis"], "competency_weights": even},
        {
            "required_skills": ["Redis", "kotlin"],
            "dynamic_evaluation_criteria": ["협업"] * 3,
            "position_type": "backend",
        },
    ]
    found = merged(parts, "model:x")
    assert (found.required_skills, found.preferred_skills) == (["Kotlin", "Redis"], [])
    assert (found.weights_source, found.source, found.position_type) == ("given", "model:x", "backend")
    assert len(set(found.dynamic_evaluation_criteria)) == 5


def test_questions_come_from_what_the_post_asks_for() -> None:
    made = drafted("백엔드", ["Kotlin", "자바"], ["물류"], ["설계", "협업"])
    assert [one.kind for one in made] == [
        "behavioral",
        "technical",
        "technical",
        "situational",
        "behavioral",
        "behavioral",
    ]
    assert made[0].common
    assert "Kotlin을(를)" in made[1].text
    assert "자바를" in made[2].text
    assert made[2].keywords == {"technical": ["자바"]}
    assert all(1 <= one.difficulty <= 5 for one in made)
    assert follow_up("질문", "다시요?") == "다시요?"
    assert "질문" in follow_up("질문", None)
