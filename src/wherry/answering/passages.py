"""What an answer may rest on: the hits of one search as numbered passages, without repeats, within a token budget."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.answering.hits import Hit
from wherry.indexing.chunking.sentences import sentences
from wherry.models.tokens import estimate

# A title is a first line this short without the mark that ends the sentences below it.
_LONGEST_TITLE = 60
_MARK = r"[.!?…。！？]['\"”’)\]]*"
_ENDED, _MARKED = re.compile(rf"{_MARK}$"), re.compile(rf"{_MARK}(?:\s|$)")
# What stands around a passage in a prompt, in tokens.
_AROUND = 24
# A rest of the budget smaller than this holds no sentence worth citing.
_SMALLEST_CUT = 40


@dataclass(frozen=True)
class Passage:
    """A record's text as an answer sees it. number: what citations call it, from 1. text: a beginning of the record's.

    similarity: of its vector and the question's, None where none was compared. score: what the search ordered by.
    cut: whether the budget ended it early.
    """

    number: int
    id: str
    text: str
    metadata: dict[str, Any]
    similarity: float | None
    score: float
    cut: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the passage as a JSON object."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Packed:
    """The passages of one request, best first, and what was left out, one sentence each."""

    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = ()


def packed(hits: Sequence[Hit], budget: int) -> Packed:
    """Return as many hits as a budget of tokens holds, best first.

    A text that repeats a better one, or is a part of it, is left out; one that is too long is cut behind a sentence.
    """
    kept: list[Passage] = []
    seen: list[str] = []
    left, silent, repeated, unfit = budget, 0, 0, 0
    for hit in hits:
        form = _form(hit.text)
        if not form:
            silent += 1
        elif any(form in other for other in seen):
            repeated += 1
        else:
            text = _fitting(hit.text or "", left - _AROUND)
            if text is None:
                unfit += 1
                continue
            seen.append(form)
            left -= estimate(text) + _AROUND
            kept.append(_passage(len(kept) + 1, hit, text))
    return Packed(tuple(kept), tuple(_told(silent, repeated, unfit, sum(p.cut for p in kept), budget)))


def titled(text: str) -> tuple[str, int]:
    """Return the title a text begins with, empty where there is none, and where what follows begins."""
    line, mark, rest = text.partition("\n")
    title = line.strip().lstrip("# ").strip()
    whole = not mark or not title or len(title) > _LONGEST_TITLE or _ENDED.search(title)
    return ("", 0) if whole or not _MARKED.search(rest) else (title, len(line) + 1)


def spoken(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of a text stands, without its title and the white space around: (start, end)."""
    _, begin = titled(text)
    for start, end in sentences(text, begin):
        sentence = text[start:end]
        if sentence.strip():
            yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())


def _passage(number: int, hit: Hit, text: str) -> Passage:
    return Passage(number, hit.id, text, hit.metadata, hit.similarity, hit.score, len(text) < len(hit.text or ""))


def _form(text: str | None) -> str:
    """Return what two texts share that differ by case and white space alone."""
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())


def _fitting(text: str, budget: int) -> str | None:
    """Return a text, or as many of its sentences as fit; None where not one does."""
    if estimate(text) <= budget:
        return text
    if budget < _SMALLEST_CUT:
        return None
    # A token never stands for more than four characters in the estimate: what lies behind cannot fit.
    within, last = text[: budget * 4], 0
    for _, end in spoken(within):
        if estimate(within[:end]) > budget:
            break
        last = end
    return within[:last] if last and not _broken(within, last, text) else _cut(within, budget)


def _broken(within: str, last: int, text: str) -> bool:
    """Tell whether the last sentence ends only because the text was cut there."""
    return last == len(within.rstrip()) and len(within) < len(text)


def _cut(text: str, budget: int) -> str:
    """Return the beginning of a text that has no sentence short enough."""
    fits = len(text)
    while estimate(text[:fits]) > budget:
        fits = fits * 4 // 5
    return text[:fits].rstrip()


def _told(silent: int, repeated: int, unfit: int, cut: int, budget: int) -> Iterator[str]:
    """Say what is not there, and why."""
    for count, why in (
        (silent, "without a text to answer from"),
        (repeated, "that repeat a better one"),
        (unfit, f"beyond the budget of {budget} tokens"),
    ):
        if count:
            yield f"left out: {count} of the records found, {why}"
    if cut:
        yield f"cut to fit the budget of {budget} tokens: {cut} of the passages"
