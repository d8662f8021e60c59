"""Answers without a model: the lines of a text that share most with a question, word for word."""

from __future__ import annotations

import re

MARK = "[원문 인용]"
NOTHING = f"{MARK} 질문과 맞는 내용이 없습니다."
_MOST = 5
# A line must share at least this part of the best line's weight.
_NEAR = 0.5
_WORD = re.compile(r"[0-9A-Za-z가-힣]+")
_ASKING = frozenset(
    word
    for line in (
        "은 는 이 가 을 를 에 의 뭐 왜 좀 어때 어떤 어떻게 얼마나",
        "알려줘 인가요 나요 있나요 해줘 무엇",
        "what is the how",
    )
    for word in line.split()
)


def quote(text: str, question: str) -> str:
    """Return the lines of a text that a question is about, under their headings; says so where there is none."""
    wanted = _pieces(question)
    scored: list[tuple[int, int, str, str]] = []
    heading = ""
    for at, line in enumerate(text.splitlines()):
        if line.startswith("#"):
            heading = line.lstrip("# ").strip()
        elif line.strip():
            shared = len(wanted & _pieces(line)) * 2 + len(wanted & _pieces(heading))
            scored.append((shared, at, heading, line.strip()))
    best = max((shared for shared, *_ in scored), default=0)
    if best < 2:
        return NOTHING
    kept = sorted(
        sorted((one for one in scored if one[0] >= best * _NEAR), key=lambda one: -one[0])[:_MOST],
        key=lambda one: one[1],
    )
    return "\n".join([MARK, *(f"- ({name}) {line}" if name else f"- {line}" for _, _, name, line in kept)])


def _pieces(text: str) -> set[str]:
    """Return the pairs of letters in the words of a text; a word of one letter is its own piece."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower()):
        if word in _ASKING:
            continue
        found |= {word} if len(word) == 1 else {word[at : at + 2] for at in range(len(word) - 1)}
    return found
