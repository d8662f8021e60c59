"""An answer, scored by rule: what every model's score can be compared with, and all there is without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wherry_apps.interview.rules import scores, speech
from wherry_apps.interview.rules.evidence import Evidence, at
from wherry_apps.interview.rules.keywords import matched, said
from wherry_apps.interview.rules.weights import unique

SCORED_BY = "rules-1"
LABEL = "[규칙 기반 평가]"
KINDS = ("technical", "soft_skills", "domain")
SHORT, LONG, FILLER_SHARE = 100, 1_500, 0.05
_NAMES = {"logic_score": "논리", "relevance_score": "관련성", "technical_score": "기술", "communication_score": "전달"}
_LOGIC_WORDS = {
    "number": "수치로 결과 제시",
    "result": "원인이나 결과를 연결",
    "action": "본인의 행동을 설명",
    "situation": "시점이나 상황을 제시",
}
# (question, answer) -> cosine of their vectors, -1 to 1.
Cosine = Callable[[str, str], float]


@dataclass(frozen=True)
class Expected:
    """The keywords a good answer names: flat ones, and those of a kind."""

    flat: tuple[str, ...] = ()
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Any) -> Expected:
        """Return keywords from a list, or from {technical, soft_skills, domain}."""
        if isinstance(given, Mapping):
            kinds = {kind: tuple(unique(_texts(given.get(kind)))) for kind in KINDS}
            return cls(tuple(unique(_texts(given.get("keywords")))), kinds)
        return cls(tuple(unique(_texts(given))))

    @property
    def all(self) -> list[str]:
        """Every keyword once."""
        return unique([*self.flat, *(word for kind in KINDS for word in self.kinds.get(kind, ()))])

    @property
    def technical(self) -> list[str]:
        """The keywords of the trade: technical ones and those of the domain."""
        return unique([*self.kinds.get("technical", ()), *self.kinds.get("domain", ())])


@dataclass(frozen=True)
class Scored:
    """What was found in one answer. scores: by column, None for what could not be scored."""

    scores: dict[str, float | None]
    keywords: dict[str, list[str]]
    strengths: list[Evidence] = field(default_factory=list)
    weaknesses: list[Evidence] = field(default_factory=list)
    feedback: str = ""
    scored_by: str = SCORED_BY
    extra: dict[str, float | None] = field(default_factory=dict)
    reason: str | None = None
    weak: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def dimensions(self) -> dict[str, float | None]:
        """Every score by its name, the four columns first."""
        return {**self.scores, **self.extra}


def score(question: str, answer: str, expected: Expected, cosine: Cosine) -> Scored:
    """Return the scores of an answer by rule. cosine: of question and answer, asked where there are no keywords."""
    reason = speech.not_scorable(answer)
    if reason is not None:
        return unscored(reason, expected)
    found = {
        "logic_score": logic(answer),
        "relevance_score": relevance(question, answer, expected, cosine),
        "technical_score": _share(expected.technical, answer),
        "communication_score": communication(answer),
    }
    rounded = {name: None if value is None else round(value, 1) for name, value in found.items()}
    keywords = _keywords(expected, answer)
    return Scored(
        rounded,
        keywords,
        _evidence(scores.strongest(rounded), _STRONG, answer, keywords["matched"]),
        _evidence(scores.weakest(rounded), _WEAK, answer, keywords["matched"]),
        _feedback(rounded, keywords["missing"]),
    )


def unscored(reason: str, expected: Expected = Expected(), scored_by: str = SCORED_BY) -> Scored:
    """Return an answer without scores, and why there are none."""
    keywords = {**{kind: [] for kind in KINDS}, "matched": [], "missing": expected.all}
    feedback = f"{LABEL} 채점하지 않음: {reason}"
    return Scored(dict.fromkeys(scores.COLUMNS), keywords, feedback=feedback, scored_by=scored_by, reason=reason)


def logic(answer: str) -> float:
    """Return 25 for each of: time or situation, own action, number with unit, cause or result."""
    return 25.0 * len(speech.logic_marks(answer))


def relevance(question: str, answer: str, expected: Expected, cosine: Cosine) -> float:
    """Return the share of the expected keywords that were said, times 100; without keywords the cosine."""
    share = _share(expected.all, answer)
    return 100.0 * min(1.0, max(0.0, cosine(question, answer))) if share is None else share


def communication(answer: str) -> float:
    """Return 100 less what makes an answer hard to follow: too short, too long, fillers, no end."""
    length = len(answer.strip())
    lost = 40 * (length < SHORT) + 10 * (length > LONG)
    lost += 20 * (speech.filler_share(answer) > FILLER_SHARE) + 10 * (not speech.ends_as_sentence(answer))
    return float(max(0, 100 - lost))


def _share(keywords: Sequence[str], answer: str) -> float | None:
    if not keywords:
        return None
    return 100.0 * len(matched(keywords, answer)[0]) / len(keywords)


def _keywords(expected: Expected, answer: str) -> dict[str, list[str]]:
    there, missing = matched(expected.all, answer)
    kinds = {kind: matched(expected.kinds.get(kind, ()), answer)[0] for kind in KINDS}
    return {**kinds, "matched": there, "missing": missing}


def _evidence(names: Sequence[str], finders: Mapping[str, Any], answer: str, words: list[str]) -> list[Evidence]:
    """Return a statement for each dimension that has words to point at; none is made up."""
    found = (finders[name](answer, words) for name in names if name in finders)
    return [at(text, answer, span) for text, span in filter(None, found)]


def _of_logic(answer: str, words: list[str]) -> tuple[str, speech.Span] | None:
    marks = speech.logic_marks(answer)
    if "number" in marks:
        return _LOGIC_WORDS["number"], speech.clause_of_number(answer) or marks["number"]
    name = next((name for name in _LOGIC_WORDS if name in marks), None)
    return (_LOGIC_WORDS[name], marks[name]) if name else None


def _of_words(text: str) -> Callable[[str, list[str]], tuple[str, speech.Span] | None]:
    def found(answer: str, words: list[str]) -> tuple[str, speech.Span] | None:
        span = next((place for word in words if (place := said(word, answer))), None)
        return (text, span) if span else None

    return found


def _of_delivery(answer: str, words: list[str]) -> tuple[str, speech.Span]:
    return "끝맺음이 분명한 문장", speech.first_sentence(answer)


def _evasive(answer: str, words: list[str]) -> tuple[str, speech.Span] | None:
    span = speech.evasion(answer)
    return ("질문을 비켜 감", span) if span else None


def _wordy(answer: str, words: list[str]) -> tuple[str, speech.Span] | None:
    found = speech.fillers(answer)
    return ("군말이 많음", found[0]) if speech.filler_share(answer) > FILLER_SHARE else None


_STRONG = {
    "logic_score": _of_logic,
    "relevance_score": _of_words("질문의 핵심어를 언급"),
    "technical_score": _of_words("기술·도메인 용어를 언급"),
    "communication_score": _of_delivery,
}
_WEAK = {"relevance_score": _evasive, "communication_score": _wordy}


def _feedback(found: Mapping[str, float | None], missing: Sequence[str]) -> str:
    told = ", ".join(f"{_NAMES[name]} {value:g}" for name, value in found.items() if value is not None)
    rest = f" 언급되지 않은 핵심어: {', '.join(missing)}." if missing else ""
    return f"{LABEL} {told}.{rest}"


def _texts(given: Any) -> list[str]:
    return [item for item in given if isinstance(item, str)] if isinstance(given, list | tuple) else []
