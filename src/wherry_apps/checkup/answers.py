"""Answers: by a model held to the guidance, or by rule where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import wherry
from wherry_apps.checkup.guard import Guard
from wherry_apps.checkup.rules import WORDS, Finding, Passage, bands, findings, worst
from wherry_apps.checkup.words import (
    COMPLEX,
    INSTRUCTIONS,
    LABEL,
    MARK,
    MEANING,
    NOT_COMMON,
    NOTHING,
    SEE_DOCTOR,
    SUGGESTED,
    USUAL,
)  # fmt: skip

TO_MODEL, QUOTED, MOST_SUGGESTIONS = 5, 3, 3
_LONGEST_QUOTE = 300
_BLOCK = re.compile(
    r"^[ \t#*>\[(-]*(?:제안|추천|후속|연관)[ \t]*(?:질문)?[ \t]*[\])*]*[ \t]*:?[ \t]*$"
    r"|^[ \t#*\[]*suggest(?:ion|ed)[\w ]*[\]*]*[ \t]*:?.*$"
    rf"|^[ \t]*{MARK}.*$",
    re.I | re.M,
)
_BULLET = re.compile(r"^[\s\d.)*•\-–\"“]+|[\"”\s]+$")
# What people call an item in a question. The longest first: HDL is a cholesterol too.
_ALIASES = {
    "fasting_glucose": "공복\\s?혈당|혈당|glucose", "ldl_cholesterol": "ldl", "hdl_cholesterol": "hdl",
    "total_cholesterol": "총\\s?콜레스테롤|콜레스테롤", "triglycerides": "중성\\s?지방", "sgot_ast": "ast|got",
    "sgpt_alt": "alt|gpt", "gamma_gtp": "감마|ggt|γ", "hemoglobin": "혈색소|헤모글로빈", "creatinine": "크레아티닌",
    "gfr": "사구체|e?gfr", "bmi": "bmi|체질량",
}  # fmt: skip
_PRESSURE = re.compile(r"혈압\D{0,6}(\d{2,3})\s*[/~]\s*(\d{2,3})")


@dataclass(frozen=True)
class Turn:
    """An earlier question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Context:
    """What is known when a question is answered. told: what has to be mentioned (age of the data, not measured, …)."""

    question: str
    passages: tuple[Passage, ...]
    findings: tuple[Finding, ...] = ()
    told: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()
    person: str = ""


@dataclass
class Written:
    """What became of an answer. by_rule: whether it was written without a model. replaced: sentences held back."""

    text: str = ""
    by_rule: bool = True
    model: str = "offline"
    replaced: int = 0
    suggestions: list[str] = field(default_factory=list)


def asked_values(question: str) -> dict[str, float]:
    """Return the values a question names itself, as `혈당 108` or `혈압 130/85`."""
    found = {}
    for key, alias in _ALIASES.items():
        match = re.search(rf"(?:{alias})[^\d\n]{{0,8}}(\d+(?:\.\d+)?)", question, re.I)
        if match:
            found[key] = float(match[1])
    pressure = _PRESSURE.search(question)
    return found | ({"systolic_bp": float(pressure[1]), "diastolic_bp": float(pressure[2])} if pressure else {})


def findings_of(question: str, result: dict[str, object], sex: str | None) -> tuple[Finding, ...]:
    """Return the measured items of a result, and those a question names where the result lacks them."""
    named = {key: value for key, value in asked_values(question).items() if key not in result}
    return tuple(findings({**named, **result}, sex))


def by_rule(context: Context) -> str:
    """Return the answer without a model: value, guidance, the hospital's standard, meaning, sources."""
    common = [p for p in context.passages if p.source_type != "hospital"]
    own = [p for p in context.passages if p.source_type == "hospital"][:1]
    quoted = [*own, *common][:QUOTED]
    table = bands()
    parts = [LABEL, *context.told]
    if context.findings:
        parts.append("\n".join(["1. 측정값", *(f"- {f.line()}" for f in context.findings)]))
        parts[-1] += f"\n  (기준: {table.source}, 판 {table.version})"
    lines = [_quote(p) for p in quoted if p.source_type != "hospital"]
    parts.append("\n".join(["2. 지침", *(lines or [NOTHING if not own else NOT_COMMON])]))
    if own:
        parts.append("\n".join(["3. 병원 기준", *map(_quote, own)]))
    many = len({f.group for f in context.findings if f.abnormal}) > 1
    parts.append(
        "\n".join(
            [
                "4. 뜻과 할 일",
                MEANING[worst(context.findings)] if context.findings else SEE_DOCTOR,
                *([COMPLEX] if many else []),
            ]
        )
    )
    if quoted:
        parts.append("\n".join(["5. 출처", *dict.fromkeys(f"- {_place(p)}" for p in quoted)]))
    return "\n\n".join(parts)


def _quote(passage: Passage) -> str:
    text = " ".join(passage.text.split())
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE].rstrip() + " …"
    return f"- “{shown}” ({_place(passage)})"


def _place(passage: Passage) -> str:
    return f"{passage.file}, {passage.page}쪽" if (passage.page or "").isdigit() else ", ".join(
        filter(None, (passage.file, passage.page))
    )  # fmt: skip


def suggestions(context: Context) -> list[str]:
    """Return the fixed questions of the topic: of what is abnormal, else of what was asked."""
    groups = [f.group for f in context.findings if f.abnormal]
    groups += [group for group in SUGGESTED if group in context.question]
    groups += [f.group for f in context.findings]
    return list(SUGGESTED.get(groups[0], USUAL) if groups else USUAL)[:MOST_SUGGESTIONS]


def written(context: Context, chat: wherry.Chat, into: Written) -> Iterator[str]:
    """Yield an answer piece by piece and note in `into` what became of it. Raises what the model raises."""
    into.model, into.suggestions = chat.spec, suggestions(context)
    if chat.spec != "offline" and context.passages:
        yield from _by_model(context, chat, into)
    if not into.text.strip():
        into.by_rule, into.text = True, by_rule(context)
        yield into.text


def _by_model(context: Context, chat: wherry.Chat, into: Written) -> Iterator[str]:
    numbered = [
        wherry.Passage(n, p.id, _titled(p), dict(p.metadata), p.similarity, p.similarity)
        for n, p in enumerate(context.passages[:TO_MODEL], 1)
    ]
    asked = wherry.messages_of(_told_to_model(context), "ko", numbered, context.history, INSTRUCTIONS)
    checked, guard = wherry.Checked(p.number for p in numbered), Guard(p.text for p in numbered)
    lines = _Lines()
    into.by_rule = False
    for piece in chat.stream(asked):
        yield from _said(guard.feed(lines.feed(checked.feed(piece))), into)
    rest = lines.feed(checked.end()) + lines.end()
    yield from _said(guard.feed(rest) + guard.end(), into)
    into.replaced = guard.replaced
    own = [_BULLET.sub("", line) for line in lines.block.splitlines()]
    fit = [line for line in own if 3 < len(line) <= 200 and guard.allows(line)]
    into.suggestions = fit[:MOST_SUGGESTIONS] or into.suggestions


def _said(text: str, into: Written) -> Iterator[str]:
    if text:
        into.text += text
        yield text


class _Lines:
    """Passes whole lines on, and keeps the block of suggestions, which is never shown, for itself."""

    def __init__(self) -> None:
        self.block = ""
        self._line = ""
        self._inside = False

    def feed(self, text: str) -> str:
        """Take text; return what is no part of the block."""
        if self._inside:
            self.block += text
            return ""
        self._line += text
        found = _BLOCK.search(self._line)
        if found is not None and found.end() < len(self._line):
            shown, self.block, self._inside = self._line[: found.start()], self._line[found.end() :], True
            self._line = ""
            return shown
        cut = self._line.rfind("\n") + 1
        shown, self._line = self._line[:cut], self._line[cut:]
        return shown

    def end(self) -> str:
        """Return the last line, unless it begins the block."""
        rest, self._line = self._line, ""
        return "" if _BLOCK.search(rest) else rest


def _titled(passage: Passage) -> str:
    kind = "병원 기준" if passage.source_type == "hospital" else "지침"
    return f"({kind}, {_place(passage)})\n{passage.text}"


def _told_to_model(context: Context) -> str:
    lines = [context.person] if context.person else []
    if context.findings:
        lines += [
            "측정값:",
            *(f"- {f.name} {f.value:g} {f.unit}: {f.note or WORDS[f.status]}" for f in context.findings),
        ]
    return "\n".join([*lines, *context.told, context.question])


def quotes(passages: Sequence[Passage]) -> str:
    """Return passages as one text to lay under a report: each with its file and page."""
    return "\n\n".join(f"[{n}] {_place(p)}\n{p.text}" for n, p in enumerate(passages, 1))
