"""An answer without a model: the sentences found that support it best, word for word, each with its source.

A sentence is weighed by the words of the question it holds and by how near both are as spelling. Below a floor
nothing is quoted: a reader is better served by "nothing was found" than by a sentence about something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wherry.answering.citations import Citation, defused, visible
from wherry.answering.passages import Passage, spoken, titled
from wherry.answering.tokens import Tokenizer
from wherry.models.hashing import HashEmbedder

MOST_SENTENCES = 3
# Found on the gold questions of the demo's guides and as many about something else: see docs/answers.md.
FLOOR = 0.20
# A sentence this far behind the best one adds little.
_BESIDE = 0.7
_BY_WORDS, _BY_SPELLING = 0.8, 0.2
# A word in the title counts for the sentences under it, but less than one of their own.
_IN_TITLE = 0.7
# And a word elsewhere in the passage tells that it is about the same thing.
_IN_PASSAGE = 0.5
# The words of the previous question count this much in a follow-up.
_BEFORE = 0.35
# A passage further down was found to fit less; each place costs this share.
_PER_PLACE = 0.06
_SHARES = (1.0, _IN_TITLE, _IN_PASSAGE)
_LONGEST_QUOTE = 600
_DIMENSION = 512

# Tokens (uint64) -> how much each tells in the collection (float64).
Worth = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Supported:
    """A sentence of a passage. score: how well it supports an answer, from 0 to about 1."""

    passage: Passage
    start: int
    end: int
    score: float

    @property
    def quote(self) -> str:
        """The sentence, word for word; a very long one is cut."""
        return self.passage.text[self.start : self.end][:_LONGEST_QUOTE]


@dataclass(frozen=True)
class _Asked:
    """What a sentence is compared with: the words (token -> weight) and the vector of a question.

    before: the words of the question it follows.
    """

    words: dict[int, float]
    before: dict[int, float]
    vector: np.ndarray | None


class Quoting:
    """Weighs sentences by the words of one collection. worth: how much each word tells there; all the same without."""

    def __init__(self, tokenizer: Tokenizer, worth: Worth | None = None) -> None:
        self._tokenizer = tokenizer
        self._worth = worth or (lambda tokens: np.ones(len(tokens)))
        self._embedder = HashEmbedder(_DIMENSION)
        self._known: dict[tuple[str, str], _Asked] = {}

    def weighed(self, question: str, before: str, passages: Sequence[Passage]) -> list[Supported]:
        """Return every sentence of the passages, best first. before: the question this one follows, or empty."""
        return self._weighed(self._asked(question, before), passages)[0]

    def chosen(self, question: str, before: str, passages: Sequence[Passage]) -> list[Supported]:
        """Return the sentences to quote, best first; none when nothing supports an answer."""
        found = [one for one in self.weighed(question, before, passages) if one.score >= FLOOR]
        picked: list[Supported] = []
        for one in found:
            same = any(_same(one.quote, other.quote) for other in picked)
            if not same and one.score >= _BESIDE * found[0].score and len(picked) < MOST_SENTENCES:
                picked.append(one)
        return picked

    def citation(self, passage: Passage, claims: str) -> Citation:
        """Return the citation of a passage for what was said: its sentence nearest to that, and their support."""
        asked = self._asked(claims, "")
        sentences, around = self._weighed(asked, [passage])
        quote = sentences[0].quote if sentences else passage.text[:_LONGEST_QUOTE]
        held, words = around[passage.number], asked.words
        support = sum(w for token, w in words.items() if token in held) / (sum(words.values()) or 1.0)
        return Citation(passage.number, passage.id, quote, passage.metadata, passage.similarity, round(support, 3))

    def _weighed(self, asked: _Asked, passages: Sequence[Passage]) -> tuple[list[Supported], dict[int, frozenset[int]]]:
        """Return every sentence, best first, and the words of each passage by its number."""
        places = [(passage, start, end) for passage in passages for start, end in spoken(passage.text)]
        texts = [passage.text[start:end] for passage, start, end in places]
        titles = {passage.number: titled(passage.text)[0] for passage in passages}
        held = self._held([*texts, *titles.values(), *(passage.text for passage in passages)])
        under = dict(zip(titles, held[len(texts) :], strict=False))
        around = dict(zip(titles, held[len(texts) + len(titles) :], strict=True))
        if not places:
            return [], around
        near = self._near(asked, [f"{titles[p.number]} {text}" for (p, _, _), text in zip(places, texts, strict=True)])
        found = [
            Supported(
                p,
                start,
                end,
                _score(asked, (held[n], under[p.number], around[p.number]), near[n])
                * (1 - _PER_PLACE * (p.number - 1)),
            )
            for n, (p, start, end) in enumerate(places)
        ]
        return sorted(found, key=lambda one: (-one.score, one.passage.number, one.start)), around

    def _asked(self, question: str, before: str) -> _Asked:
        # What is said once is often cited for several passages.
        if (question, before) not in self._known:
            vector = self._vector(f"{before} {question}".strip())
            self._known[question, before] = _Asked(self._words(question), self._words(before), vector)
        return self._known[question, before]

    def _words(self, text: str) -> dict[int, float]:
        query = self._tokenizer.query(text)
        if not len(query.tokens):
            return {}
        weights = query.weights * self._worth(query.tokens)
        return {int(token): float(weight) for token, weight in zip(query.tokens, weights, strict=True) if weight > 0}

    def _held(self, texts: Sequence[str]) -> list[frozenset[int]]:
        bags = self._tokenizer.bags([str(n) for n in range(len(texts))], texts, [None] * len(texts))
        return [frozenset(bags.tokens[a:b].tolist()) for a, b in zip(bags.starts, bags.starts[1:], strict=False)]

    def _vector(self, text: str) -> np.ndarray | None:
        return self._embedder.embed_query(text) if visible(text).strip() else None

    def _near(self, asked: _Asked, texts: Sequence[str]) -> list[float]:
        if asked.vector is None:
            return [0.0] * len(texts)
        return [float(near) for near in self._embedder.embed(texts) @ asked.vector]


def text_of(chosen: Sequence[Supported]) -> str:
    """Return the quotations as lines, each with the number of its passage."""
    return "\n".join(f"“{_line(one.quote)}” [{one.passage.number}]" for one in chosen)


def citations_of(chosen: Sequence[Supported]) -> tuple[Citation, ...]:
    """Return one citation per passage that is quoted, by number; its quote is the best of its sentences."""
    best: dict[int, Supported] = {}
    for one in chosen:
        best.setdefault(one.passage.number, one)
    return tuple(
        Citation(number, one.passage.id, one.quote, one.passage.metadata, one.passage.similarity, 1.0)
        for number, one in sorted(best.items())
    )


def _score(asked: _Asked, held: tuple[frozenset[int], ...], near: float) -> float:
    """Weigh a sentence. held: the words of the sentence, of its title, and of its passage."""
    covered = _covered(asked.words, held)
    if asked.before:
        covered = (1 - _BEFORE) * covered + _BEFORE * _covered(asked.before, held)
    return _BY_WORDS * covered + _BY_SPELLING * max(0.0, near)


def _covered(words: dict[int, float], held: tuple[frozenset[int], ...]) -> float:
    """Return the share of some words that a sentence, its title or its passage holds."""
    total, found = 0.0, 0.0
    for token, weight in words.items():
        total += weight
        found += weight * next((share for share, there in zip(_SHARES, held, strict=True) if token in there), 0.0)
    return found / total if total else 0.0


def _line(quote: str) -> str:
    """Return a quotation as one line a reader's program does nothing with."""
    # A number in brackets within a quotation is the source's own and no citation.
    shown = defused(visible(" ".join(quote.split())))[0]
    return shown.replace("[", "(").replace("]", ")")


def _same(one: str, other: str) -> bool:
    a, b = "".join(one.split()), "".join(other.split())
    return a in b or b in a
