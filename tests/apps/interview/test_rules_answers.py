"""Scoring an answer by rule, and the words it points at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry_apps.interview.rules import answers, scores, speech
from wherry_apps.interview.rules.answers import Expected, Scored, score
from wherry_apps.interview.rules.evidence import quoted, verified
from wherry_apps.interview.rules.keywords import matched, said

EXAMPLE = "작년에 배차 지연을 30% 줄였습니다."
LONG = (
    "작년에 물류 회사에서 배차 시스템을 맡았을 때 지연이 잦았습니다. "
    "원인은 캐시 미스였기 때문에 제가 Redis를 도입했고, 그 결과 지연을 30% 줄였습니다. "
    "이후에는 지표를 모아 팀과 함께 매주 살펴보았고 알림 기준도 새로 정했습니다."
)


def scored(answer: str, keywords: Any = (), cosine: float = 0.0) -> Scored:
    """Score an answer with a cosine that is known."""
    return score("질문", answer, Expected.read(keywords), lambda a, b: cosine)


def test_the_example_of_the_book() -> None:
    found = scored(EXAMPLE, ["배차", "지연", "알림"])
    assert found.scores == {
        "logic_score": 75,
        "relevance_score": 66.7,
        "technical_score": None,
        "communication_score": 60,
    }
    assert scores.overall(found.dimensions) == 67.233
    assert found.keywords == {
        "technical": [],
        "soft_skills": [],
        "domain": [],
        "matched": ["배차", "지연"],
        "missing": ["알림"],
    }
    assert [one.to_dict() for one in found.strengths] == [
        {"text": "수치로 결과 제시", "quote": "30% 줄였습니다", "start": 11, "end": 20}
    ]
    assert found.weaknesses == []
    assert found.scored_by == "rules-1"
    assert found.feedback.startswith("[규칙 기반 평가]")


def test_a_full_answer_is_scored_in_every_dimension() -> None:
    found = scored(LONG, {"technical": ["Redis", "Kafka"], "domain": ["물류"], "soft_skills": ["협업"]})
    assert found.scores == {
        "logic_score": 100,
        "relevance_score": 50,
        "technical_score": 66.7,
        "communication_score": 100,
    }
    assert found.keywords["technical"] == ["Redis"]
    assert found.keywords["domain"] == ["물류"]
    assert found.keywords["missing"] == ["Kafka", "협업"]
    assert [one.text for one in found.strengths] == ["수치로 결과 제시", "끝맺음이 분명한 문장"]


@pytest.mark.parametrize(
    "answer", ["", "  \n", "(인식 실패)", " (인식실패) ", "네", "네 네.", "1234567", "네, 3년 5년"]
)
def test_what_was_not_said_has_no_scores_and_a_reason(answer: str) -> None:
    found = scored(answer, ["배차"])
    assert set(found.scores.values()) == {None}
    assert found.reason
    assert scores.overall(found.dimensions) is None
    assert found.keywords["matched"] == []
    assert found.feedback.startswith("[규칙 기반 평가]")


def test_without_keywords_relevance_is_the_cosine() -> None:
    assert scored(EXAMPLE, (), 0.42).scores["relevance_score"] == 42
    assert scored(EXAMPLE, (), -0.5).scores["relevance_score"] == 0
    assert scored(EXAMPLE, (), 1.0000001).scores["relevance_score"] == 100


@pytest.mark.parametrize(
    ("answer", "logic"),
    [
        ("아무 근거도 없는 말입니다", 0),
        ("당시에는 어려움이 컸다고 봅니다", 25),
        ("제가 맡은 일입니다", 25),
        ("대략 40건 정도라고 봅니다", 25),
        ("그래서 어려운 일입니다", 25),
        ("지난달 제가 고쳤고 그래서 40건을 처리", 100),
    ],
)
def test_logic_is_a_quarter_for_each_mark(answer: str, logic: float) -> None:
    assert answers.logic(answer) == logic


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        ("가" * 100 + ".", 100),
        ("가" * 98 + ".", 60),
        ("가" * 100, 90),
        ("가" * 1_500 + ".", 90),
        ("음 " * 6 + "가 " * 94 + ".", 80),
        ("음 " * 5 + "가 " * 95, 90),
        ("음 음", 30),
    ],
)
def test_communication_loses_what_makes_it_hard_to_follow(answer: str, points: float) -> None:
    assert answers.communication(answer) == points


@pytest.mark.parametrize(
    ("keyword", "text", "there"),
    [
        ("배차", "배차를 개선", True),
        ("배차", "배차했습니다", True),
        ("지연", "지연되었습니다", True),
        ("자바", "자바스크립트로", False),
        ("java", "JavaScript로", False),
        ("Java", "java와 SQL", True),
        ("C++", "C++로 짰습니다", True),
        ("Node.js", "node.js를", True),
        ("분산 캐시", "분산캐시는", True),
        ("Go", "Google에서", False),
        ("", "무엇이든", False),
    ],
)
def test_keywords_carry_korean_endings_and_are_whole_words(keyword: str, text: str, there: bool) -> None:
    assert bool(matched([keyword], text)[0]) is there


def test_the_place_of_a_keyword_is_without_its_ending() -> None:
    text = "그때 배차를 고쳤다"
    start, end = said("배차", text) or (0, 0)
    assert text[start:end] == "배차"


@given(st.text(alphabet="가나 음.모르겠어30%a줄였습니다배차\n", max_size=300))
def test_every_quote_stands_in_the_answer(answer: str) -> None:
    found = scored(answer, ["배차", "a"])
    for one in [*found.strengths, *found.weaknesses]:
        assert one.quote
        assert answer[one.start : one.end] == one.quote
    assert all(value is None or 0 <= value <= 100 for value in found.scores.values())
    assert all(said(word, answer) for word in found.keywords["matched"])


def test_a_quote_that_was_not_said_is_removed_and_offsets_are_made_here() -> None:
    given_ones = [
        {"text": "수치", "quote": "30% 줄였습니다", "start": 900, "end": 1},
        {"text": "거짓", "quote": "50% 줄였습니다"},
        {"text": "빈 말", "quote": " "},
        {"text": "없음"},
    ]
    kept, removed = verified(given_ones, EXAMPLE)
    assert [one.to_dict() for one in kept] == [{"text": "수치", "quote": "30% 줄였습니다", "start": 11, "end": 20}]
    assert removed == ["거짓", "빈 말", "없음"]
    assert quoted("x", "30%  줄였습니다", EXAMPLE) is None


def test_weaknesses_point_at_words_too() -> None:
    found = scored("음 그 어 잘 모르겠습니다 뭐 그런 일은", ["배차"])
    assert [(one.text, one.quote) for one in found.weaknesses] == [("질문을 비켜 감", "모르겠"), ("군말이 많음", "음")]
    assert speech.evasion("기억이 안 납니다")
