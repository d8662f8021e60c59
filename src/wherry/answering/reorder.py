"""Hits in another order: newer ones first where that matters, or as a re-ranker of yours says.

Time decay:  score = 0.7 * relevance + 0.3 / (1 + ln(days + 1))

relevance is between 0 and 1: by vectors the cosine similarity, or 1 / (1 + distance); by words the share of the best
hit's score; of both, these two by what each leg weighed. days runs from the
date in the metadata to now: a date in the future counts as today, one without a zone as UTC, and a hit without a
date gets nothing for being new.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from wherry.answering.hits import Hit, Part
from wherry.errors import Usage
from wherry.space import Metric
from wherry.stores.lexical import SMOOTHING

RELEVANCE, RECENCY = 0.7, 0.3
Reranker = Callable[[str, Sequence[Hit]], Sequence[float]]
# Numbers above this are milliseconds since 1970, not seconds.
_MILLISECONDS = 1e11
_DAY_S = 86_400


def decayed(hits: Sequence[Hit], key: str, now: datetime | None = None) -> tuple[Hit, ...]:
    """Return hits by relevance and by how new the date under a key of their metadata is."""
    now = now or datetime.now(UTC)
    scale = _Scale.of(hits)
    return _ordered([_decayed(hit, key, now, scale.relevance(hit)) for hit in hits])


def reranked(question: str, hits: Sequence[Hit], reranker: Reranker) -> tuple[Hit, ...]:
    """Return hits by the scores of a re-ranker, higher first. Raises Usage when it does not score each of them."""
    scores = [float(score) for score in reranker(question, hits)]
    if len(scores) != len(hits) or not all(map(math.isfinite, scores)):
        raise Usage(f"the re-ranker was given {len(hits)} hits and returned {len(scores)} scores", where="rerank")
    places = {at: rank for rank, at in enumerate(sorted(range(len(hits)), key=lambda at: (-scores[at], at)), 1)}
    parts = [{**hit.parts, "rerank": Part(places[at], scores[at], scores[at])} for at, hit in enumerate(hits)]
    return _ordered([replace(h, score=s, parts=p) for h, s, p in zip(hits, scores, parts, strict=True)])


def days_since(value: Any, now: datetime) -> float | None:
    """Return the days from a date to now, at least 0; None for what is no date.

    value: ISO text, a date, seconds or milliseconds since 1970.
    """
    moment = _moment(value)
    return None if moment is None else max(0.0, (now - moment).total_seconds() / _DAY_S)


def aged(relevance: float, days: float | None) -> float:
    """Return by what something so relevant and so old is ordered, higher first; no days: nothing for being new."""
    return RELEVANCE * relevance + RECENCY * _recency(days)


@dataclass(frozen=True)
class _Scale:
    """What the scores of some hits are measured by. most: the best score of each leg. weights: of each leg."""

    most: dict[str, float]
    weights: dict[str, float]

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> _Scale:
        """Return the scale of hits; their shares tell what each leg weighed."""
        most: dict[str, float] = {}
        weights: dict[str, float] = {}
        for hit in hits:
            for leg, part in hit.parts.items():
                most[leg] = max(most.get(leg, 0.0), part.score)
                weights[leg] = max(weights.get(leg, 0.0), part.share * (SMOOTHING + part.rank))
        return cls(most, weights if len(weights) > 1 else dict.fromkeys(weights, 1.0))

    def relevance(self, hit: Hit) -> float:
        """Return how relevant a hit is, from 0 to 1; a leg that weighs nothing has no say."""
        whole = sum(self.weights.values())
        own = sum(weight * self._of(leg, hit) for leg, weight in self.weights.items() if weight and leg in hit.parts)
        return own / whole if whole else 0.0

    def _of(self, leg: str, hit: Hit) -> float:
        part = hit.parts[leg]
        if leg == "vector" and hit.metric is Metric.COSINE:
            return part.score
        if leg == "vector" and hit.metric in (Metric.L2, Metric.L1) and hit.distance is not None:
            return 1 / (1 + hit.distance)
        return part.score / self.most[leg] if self.most[leg] > 0 else 0.0


def _decayed(hit: Hit, key: str, now: datetime, relevance: float) -> Hit:
    days = days_since(hit.metadata.get(key), now)
    recency = _recency(days)
    parts = {**hit.parts, "recency": Part(0, recency, RECENCY * recency)}
    return replace(hit, score=aged(relevance, days), parts=parts)


def _recency(days: float | None) -> float:
    return 0.0 if days is None else 1 / (1 + math.log(days + 1))


def _ordered(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.id)))


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, (int, float)):
            seconds = value / 1000 if abs(value) > _MILLISECONDS else value
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None
