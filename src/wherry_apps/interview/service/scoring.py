"""One answer, scored: by a model whose every quote is checked, or by rule."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import BaseModel, Field

import wherry
from wherry_apps.interview.rules import answers, speech
from wherry_apps.interview.rules.answers import KINDS, Expected, Scored
from wherry_apps.interview.rules.evidence import Evidence, verified
from wherry_apps.interview.rules.keywords import matched, said
from wherry_apps.interview.rules.scores import COLUMNS, MOST
from wherry_apps.interview.service import embedding, prompts
from wherry_apps.interview.service.opened import Interview

_MASK = "○"
_LONGEST_NAME = 50
# Whether to hire is for people: what a model says about that is left out.
_DECISION = re.compile(
    r"합격|탈락|(?:채용|고용|영입)\S*\s?\S{0,6}(?:추천|권장|권고|적합|부적합|바람직|결정)|추천하지\s?않"
    r"|\b(?:no[- ]?hire|hire|hiring|reject(?:ed)?|recommend)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]?")
Bounded = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True)
class Asked:
    """A question with what its answer is scored by. hidden: words about the applicant that no model may see."""

    text: str
    expected: Expected = field(default_factory=Expected)
    criteria: Any = ()
    dimensions: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


class Statement(BaseModel):
    """A strength or weakness as a model gives it."""

    text: str
    quote: str = ""


class ModelScores(BaseModel):
    """An answer, scored by a model."""

    logic_score: Bounded | None = None
    relevance_score: Bounded | None = None
    technical_score: Bounded | None = None
    communication_score: Bounded | None = None
    scores: dict[str, Bounded | None] = Field(default_factory=dict)
    keywords: dict[str, list[str]] = Field(default_factory=dict)
    strengths: list[Statement] = Field(default_factory=list)
    weaknesses: list[Statement] = Field(default_factory=list)
    ai_feedback: str = ""
    weak: bool = False


def scored(on: Interview, asked: Asked, answer: str) -> Scored:
    """Return the scores of an answer. Where a model cannot score it, rules do, and the notes say why."""
    reason = speech.not_scorable(answer)
    if reason is not None:
        return answers.unscored(reason, asked.expected)
    if on.offline:
        return by_rule(on, asked, answer)
    try:
        return _by_model(on, asked, answer)
    except wherry.WherryError as error:
        found = by_rule(on, asked, answer)
        return replace(found, notes={**found.notes, "fallback": {"asked": on.chat_name, "why": error.what}})


def by_rule(on: Interview, asked: Asked, answer: str) -> Scored:
    """Return the scores by rule; the relevance is null where it needs an embedder that cannot be reached."""
    if asked.expected.all:
        return answers.score(asked.text, answer, asked.expected, lambda a, b: 0.0)
    try:
        near = embedding.cosine(on, asked.text, answer)
    except wherry.WherryError as error:
        found = answers.score(asked.text, answer, asked.expected, lambda a, b: 0.0)
        notes = {"relevance": {"asked": on.embedder_spec, "why": error.what}}
        return replace(found, scores={**found.scores, "relevance_score": None}, notes=notes)
    return answers.score(asked.text, answer, asked.expected, lambda a, b: near)


def masked(text: str, words: tuple[str, ...]) -> str:
    """Return a text in which hidden words are circles of the same length, so that places stay."""
    for word in sorted((word for word in words if word.strip()), key=len, reverse=True):
        text = re.sub(re.escape(word), lambda found: _MASK * len(found.group()), text, flags=re.IGNORECASE)
    return text


def _by_model(on: Interview, asked: Asked, answer: str) -> Scored:
    shown = masked(answer, asked.hidden)
    told = prompts.messages(
        prompts.SCORE,
        question=asked.text,
        expected_keywords=asked.expected.all,
        criteria=asked.criteria,
        dimensions=list(asked.dimensions),
        answer=shown,
    )
    came = wherry.structured(on.chat, told, ModelScores)
    strengths, bad = _placed(came.strengths, shown, answer)
    weaknesses, worse = _placed(came.weaknesses, shown, answer)
    keywords, unsaid = _said(came.keywords, asked.expected, answer)
    feedback = undecided(came.ai_feedback)
    flags = {"quotes_removed": [*bad, *worse], "keywords_removed": unsaid}
    flags["decision_removed"] = [came.ai_feedback] if feedback != came.ai_feedback else []
    return Scored(
        {name: getattr(came, name) for name in COLUMNS},
        keywords,
        strengths,
        weaknesses,
        feedback,
        on.chat_name,
        {name[:_LONGEST_NAME]: value for name, value in came.scores.items()},
        weak=came.weak,
        notes={name: value for name, value in flags.items() if value},
    )


def _placed(given: list[Statement], shown: str, answer: str) -> tuple[list[Evidence], list[str]]:
    """Return at most three statements with the applicant's own words, and the texts of those that had none."""
    told = [one.model_dump() for one in given if not _DECISION.search(one.text)]
    kept, removed = verified(told, shown)
    # Masked letters take the room of those they hide.
    own = [replace(one, quote=answer[one.start : one.end]) for one in kept]
    return own[:MOST], removed


def _said(given: dict[str, list[str]], expected: Expected, answer: str) -> tuple[dict[str, list[str]], list[str]]:
    there, missing = matched(expected.all, answer)
    kinds = {kind: [word for word in given.get(kind, []) if said(word, answer)] for kind in KINDS}
    unsaid = [word for kind in KINDS for word in given.get(kind, []) if not said(word, answer)]
    return {**kinds, "matched": there, "missing": missing}, unsaid


def undecided(text: str) -> str:
    """Return a text without the sentences that say whether to hire."""
    return "".join(part for part in _SENTENCE.findall(text) if not _DECISION.search(part)).strip()
