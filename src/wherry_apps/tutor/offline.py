"""What is written without a model: explanations that quote, questions that blank a term. All of it says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABEL = "[규칙 기반]"
OFFLINE = "offline"
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_WORD = re.compile(r"[가-힣]{2,}|[A-Za-z][A-Za-z-]{3,}")
# Endings that are taken off a word to find its noun, the longest first.
_ENDINGS = (
    "에서는",
    "으로는",
    "에서",
    "으로",
    "에는",
    "이다",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에",
    "와",
    "과",
    "로",
    "도",
)
_STOP = frozenset({
    "있다", "한다", "된다", "하며", "하는", "있는", "되는", "그리고", "또는",
    "때문", "경우", "다음", "가장", "이때", "한다면", "위해", "통해", "따라",
    "대한", "많이", "주로", "함께", "모든", "서로", "여러",
})  # fmt: skip
_CHOICES, _LONGEST = 4, 220
_BLANK = "(    )"


@dataclass(frozen=True)
class Blank:
    """A question made from a passage. passage: its place in what was given."""

    content: str
    options: dict[str, str]
    correct_answer: str
    explanation: str
    passage: int


def explanation(question: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> str:
    """Return the right option, the best passage word for word with its title, and what the others say."""
    key, options = question["correct_answer"], question["options"] or {}
    right = f"정답은 {key}번 '{options[key]}'입니다." if key in options else f"정답은 '{key}'입니다."
    lines = [f"{LABEL} {right}"]
    if passages:
        best = passages[0]
        asked = set(terms(f"{question['content']} {options.get(key, key)}"))
        lines.append(f'근거: 「{best["title"]}」 "{_quote(best["text"], asked)}"')
    else:
        lines.append("근거로 들 학습 자료를 찾지 못했습니다.")
    others = ", ".join(f"{other}. {text}" for other, text in options.items() if other != key)
    if others:
        lines.append(f"나머지 보기({others})는 정답이 아닙니다.")
    return "\n".join(lines)


def blanks(passages: Sequence[Mapping[str, Any]], others: Iterable[str] = ()) -> Iterable[Blank]:
    """Yield questions that blank a key term of a passage, the terms of the same area being the other options.

    others: further texts of the area that terms may come from. Deterministic: the most frequent terms first.
    """
    texts = [str(passage["text"]) for passage in passages]
    counts = Counter(term for text in [*texts, *others] for term in terms(text))
    for place, text in enumerate(texts):
        for sentence in _sentences(text):
            held = set(terms(sentence))
            if not 12 <= len(sentence) <= _LONGEST or not held:
                continue
            term = min(held, key=lambda one: (-counts[one], one))
            distractors = _distractors(term, held, counts)
            if len(distractors) >= _CHOICES - 1:
                yield _blanked(sentence, term, distractors, str(passages[place]["title"]), place)


def terms(text: str) -> list[str]:
    """Return the words of a text that may be terms, endings taken off."""
    words = (_bare(word) for word in _WORD.findall(text))
    return [word for word in words if len(word) >= 2 and word not in _STOP]


def _bare(word: str) -> str:
    ending = next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= 2), "")
    return word[: len(word) - len(ending)]


def _distractors(term: str, held: set[str], counts: Counter[str]) -> list[str]:
    free = [one for one in counts if one not in held and one not in term and term not in one]
    near = sorted(free, key=lambda one: (abs(len(one) - len(term)), -counts[one], one))
    return near[: _CHOICES - 1]


def _blanked(sentence: str, term: str, distractors: Sequence[str], title: str, place: int) -> Blank:
    texts = sorted([term, *distractors])
    options = {str(n): text for n, text in enumerate(texts, 1)}
    key = next(k for k, text in options.items() if text == term)
    content = f"{LABEL} 다음 빈칸에 알맞은 말은? {sentence.replace(term, _BLANK)}"
    told = f"{LABEL} 정답은 {key}번 '{term}'입니다. 근거: 「{title}」 \"{sentence}\""
    return Blank(content, options, key, told, place)


def _quote(text: str, asked: set[str]) -> str:
    """Return the sentence that shares most terms with what was asked, the first of them."""
    return max(_sentences(text), key=lambda one: len(asked & set(terms(one))), default=text)


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text; headings are none."""
    found = (one.group().strip() for one in _SENTENCE.finditer(text))
    return [one for one in found if one and not one.startswith("#")]
