"""How far each leg of a search can be trusted on this very collection, measured without labels.

A sentence is taken out of a record and asked as a question; what is left of the record is the answer. To find it,
a leg has to know what the words are about: the sentence itself is no longer there. A vector leg whose model does
not speak the language fails at it, and a leg that repeats what the words already say adds nothing.

The weight of the vector leg is the one under which both legs together find most, and none at all unless that is
more than the lexical leg finds alone.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from wherry.answering.evaluation_metrics import ndcg
from wherry.answering.fusion import fuse
from wherry.answering.tokens import Tokenizer
from wherry.stores.lexical import Lexical, Query, families, idf, weighed

# Sentences asked: enough to tell 0.03 of nDCG apart, few enough to embed in a moment.
SAMPLE = 120
# Fewer than this say nothing about a leg; and after so many seconds these few have to do.
FEWEST, PATIENCE_S = 24, 10.0
_AT_ONCE = 24
DEPTH = 50
GRID = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5)
# The vector leg has to add this much before it may speak at all.
MARGIN = 0.01
# And not by chance: by so many standard errors of the difference.
SURE = 2.0
_SENTENCE = re.compile(r"(?<=[.!?。])\s+|\n+")
_SHORTEST_WORDS, _LEFT_CHARACTERS = 4, 20

Ranking = list[tuple[str, float]]
Nearest = Callable[[np.ndarray, int], Ranking]
Embed = Callable[[Sequence[str]], np.ndarray]
Similarity = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Question:
    """A question whose answer is known. answer: the record's id. rest: what is left of its text."""

    text: str
    answer: str
    rest: str


@dataclass(frozen=True)
class Agreement:
    """What was measured. weights: per leg. quality: mean nDCG@10 per leg, and of both under the weights.

    asked: questions. source: `collection` where it measured itself, `labels` where a file of questions did.
    """

    weights: Mapping[str, float]
    quality: Mapping[str, float]
    asked: int
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return what was measured as a JSON object."""
        return {
            "weights": dict(self.weights),
            "quality": {leg: round(value, 4) for leg, value in self.quality.items()},
            "asked": self.asked,
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Agreement:
        """Return what `to_dict` wrote."""
        return cls(dict(card["weights"]), dict(card["quality"]), int(card["asked"]), str(card["source"]))


def questions_of(records: Sequence[tuple[str, str]], most: int = SAMPLE) -> list[Question]:
    """Return a question for records given as (id, text), spread evenly over them; always the same ones."""
    found = [question for record in records if (question := _cut(*record)) is not None]
    if len(found) > most:
        found = [found[n * len(found) // most] for n in range(most)]
    # In an order that means nothing, so that the first few stand for all.
    return sorted(found, key=lambda question: xxhash.xxh3_64_intdigest(question.answer.encode()))


def measure(
    questions: Sequence[Question],
    lexical: Lexical,
    tokenizer: Tokenizer,
    nearest: Nearest,
    embed: Embed,
    similarity: Similarity,
) -> Agreement:
    """Ask both legs for what the questions were cut out of, and weigh them by what they found.

    nearest: what the store finds by a vector, (id, similarity), best first. embed: texts to vectors.
    similarity: of a question's vector and a record's, on the scale of `nearest`.
    """
    words, vectors, started = [], [], time.monotonic()
    for start in range(0, len(questions), _AT_ONCE):
        # A slow model is asked less; a search is waiting for this.
        if start >= FEWEST and time.monotonic() - started > PATIENCE_S:
            break
        part = questions[start : start + _AT_ONCE]
        asked = embed([question.text for question in part])
        rest = embed([question.rest for question in part])
        for question, vector, left in zip(part, asked, rest, strict=True):
            query = tokenizer.query(question.text)
            found = [(hit.id, hit.score) for hit in lexical.search(query, DEPTH + 1)]
            words.append(_placed(found, question.answer, _score_of(question.rest, query, lexical, tokenizer)))
            vectors.append(_placed(nearest(vector, DEPTH + 1), question.answer, similarity(vector, left)))
    wanted = [{question.answer: 1.0} for question in questions[: len(words)]]
    return weighed_by(words, vectors, wanted, "collection")


def weighed_by(
    words: Sequence[Ranking], vectors: Sequence[Ranking], wanted: Sequence[Mapping[str, float]], source: str
) -> Agreement:
    """Return the weights under which two rankings of each question together find most of what is wanted."""
    found = {weight: _quality(words, vectors, wanted, {"lexical": 1.0, "vector": weight}) for weight in GRID}
    alone = _quality(words, vectors, wanted, {"lexical": 0.0, "vector": 1.0})
    most = max(mean(scores) for scores in found.values())
    # The smallest weight that is as good as the best: the lexical leg is the one that can be explained.
    best = min(weight for weight in GRID if mean(found[weight]) >= most - MARGIN / 4)
    if not _better(found[best], found[0.0]):
        best = 0.0
    weights, both = {"lexical": 1.0, "vector": best}, found[best]
    if _better(alone, both):
        weights, both = {"lexical": 0.0, "vector": 1.0}, alone
    quality = {"lexical": mean(found[0.0]), "vector": mean(alone), "hybrid": mean(both)}
    return Agreement(weights, quality, len(wanted), source)


def mean(scores: np.ndarray) -> float:
    """Return the mean of some scores, 0 of none."""
    return float(scores.mean()) if len(scores) else 0.0


def _better(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether scores of the same questions are better by a margin, and not by chance."""
    apart = one - other
    if len(apart) < 2:
        return False
    error = float(apart.std(ddof=1)) / math.sqrt(len(apart))
    return mean(apart) >= MARGIN and mean(apart) > SURE * error


def _quality(
    words: Sequence[Ranking],
    vectors: Sequence[Ranking],
    wanted: Sequence[Mapping[str, float]],
    weights: Mapping[str, float],
) -> np.ndarray:
    """Return nDCG@10 of every question when its two rankings are fused: float64."""
    scores = []
    for lexical, vector, grades in zip(words, vectors, wanted, strict=True):
        ranked = fuse({"lexical": lexical, "vector": vector}, weights, 10)
        scores.append(ndcg([hit.id for hit in ranked], grades, 10))
    return np.array(scores, dtype=np.float64)


def _cut(record_id: str, text: str) -> Question | None:
    """Take the sentence in the middle out of a text; None where nothing would be left to find."""
    sentences = [part for part in _SENTENCE.split(text) if part.strip()]
    if len(sentences) < 2:
        words = text.split()
        if len(words) < 2 * _SHORTEST_WORDS:
            return None
        # One long sentence: every other word asks for the rest.
        return Question(" ".join(words[1::2]), record_id, " ".join(words[::2]))
    at = len(sentences) // 2
    rest = " ".join(sentences[:at] + sentences[at + 1 :])
    if len(sentences[at].split()) < _SHORTEST_WORDS or len(rest) < _LEFT_CHARACTERS:
        return None
    return Question(sentences[at].strip(), record_id, rest)


def _score_of(text: str, query: Query, lexical: Lexical, tokenizer: Tokenizer) -> float:
    """Return the BM25 that a text would have in this collection."""
    bags, statistics = tokenizer.bags(["."], [text], [None]), lexical.statistics()
    own = dict(zip(bags.tokens.tolist(), bags.halves.tolist(), strict=True))
    halves = np.array([own.get(token, 0) for token in query.tokens.tolist()])
    kinds = families(query.tokens)
    counted = weighed(halves, bags.lengths[0][kinds], statistics.means[kinds])
    return float((counted * query.weights * idf(statistics.count, lexical.frequencies(query.tokens))).sum())


def _placed(found: Ranking, answer: str, score: float) -> Ranking:
    """Return a ranking in which the answer stands where its rest belongs."""
    others = [hit for hit in found if hit[0] != answer]
    return sorted([*others, (answer, score)], key=lambda hit: (-hit[1], hit[0]))[:DEPTH]
