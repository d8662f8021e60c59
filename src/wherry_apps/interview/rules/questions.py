"""Questions made by rule from what a job post asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST = 6


@dataclass(frozen=True)
class Drafted:
    """A question to be asked. kind: technical, behavioral or situational. difficulty: 1 to 5."""

    kind: str
    text: str
    keywords: dict[str, list[str]] = field(default_factory=dict)
    criteria: list[str] = field(default_factory=list)
    difficulty: int = 3
    common: bool = False


def drafted(title: str, skills: Sequence[str], domains: Sequence[str], criteria: Sequence[str]) -> list[Drafted]:
    """Return up to six questions: one everybody is asked, some about skills, one on the domain, two on criteria."""
    made = [
        Drafted(
            "behavioral",
            "가장 기억에 남는 프로젝트에서 맡은 역할과 결과를 말씀해 주세요.",
            criteria=list(criteria[:1]),
            common=True,
        )
    ]
    for skill in skills[:2]:
        text = f"{skill}{_object(skill)} 사용해 문제를 해결한 경험을 구체적인 수치와 함께 말씀해 주세요."
        made.append(Drafted("technical", text, {"technical": [skill]}, list(criteria[:2])))
    for domain in domains[:1]:
        text = f"{domain} 분야에서 {title} 업무를 맡는다면 무엇부터 살펴보시겠습니까?"
        made.append(Drafted("situational", text, {"domain": [domain]}, list(criteria[1:3])))
    for criterion in criteria[:2]:
        text = f"'{criterion}' 역량을 보여 준 경험을 상황, 행동, 결과의 순서로 말씀해 주세요."
        made.append(Drafted("behavioral", text, criteria=[criterion]))
    return made[:MOST]


def follow_up(text: str, asked: str | None) -> str:
    """Return the follow-up to a question: the one that was prepared for a weak answer, or one that asks for more."""
    return (
        asked
        or f"조금 더 구체적으로 말씀해 주시겠어요? 당시 상황, 본인이 한 일, 수치로 본 결과가 궁금합니다. (질문: {text})"
    )


def _object(word: str) -> str:
    """Return the particle of the object: 을 after a final consonant, 를 after none, both where it is not heard."""
    code = ord(word[-1]) - 0xAC00
    if not 0 <= code < 11_172:
        return "을(를)"
    return "을" if code % 28 else "를"


def read(given: Any) -> Drafted:
    """Return a question as a chat model made it: {question_type, question_text, expected_keywords, ...}."""
    return Drafted(
        given.question_type,
        given.question_text,
        given.expected_keywords,
        given.evaluation_criteria,
        given.difficulty_level,
    )
