"""Means, bands, strengths and weaknesses of scores from 0 to 100."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

COLUMNS = ("logic_score", "relevance_score", "technical_score", "communication_score")
STRONG, WEAK, MOST = 70.0, 60.0, 3
_BANDS = ((90.0, "90+"), (80.0, "80+"), (70.0, "70+"), (60.0, "60+"))
BELOW = "below 60"
_DIGITS = 3


def overall(dimensions: Mapping[str, float | None], weights: Mapping[str, float] | None = None) -> float | None:
    """Return the mean of every dimension that was scored, None when none was; 3 decimals.

    weights: of dimensions; then the weighted mean over those that were scored. A dimension that they do not name
    weighs nothing, unless no scored one weighs anything.
    """
    scored = {name: score for name, score in dimensions.items() if score is not None}
    if not scored:
        return None
    shares = {name: max(0.0, (weights or {}).get(name, 0.0)) for name in scored}
    total = sum(shares.values())
    if total <= 0:
        return round(statistics.fmean(scored.values()), _DIGITS)
    return round(sum(scored[name] * share for name, share in shares.items()) / total, _DIGITS)


def mean(scores: Iterable[float | None]) -> float | None:
    """Return the mean of the scores there are, None without any: what was not scored is never a zero."""
    known = [score for score in scores if score is not None]
    return round(statistics.fmean(known), _DIGITS) if known else None


def band(score: float | None) -> str | None:
    """Return the band of a score; None for what was not scored."""
    if score is None:
        return None
    return next((name for least, name in _BANDS if score >= least), BELOW)


def strongest(dimensions: Mapping[str, float | None]) -> list[str]:
    """Return up to three dimensions of at least 70, the highest first."""
    scored = [(score, name) for name, score in dimensions.items() if score is not None and score >= STRONG]
    return [name for _, name in sorted(scored, key=lambda one: -one[0])[:MOST]]


def weakest(dimensions: Mapping[str, float | None]) -> list[str]:
    """Return up to three dimensions of at most 60, the lowest first."""
    scored = [(score, name) for name, score in dimensions.items() if score is not None and score <= WEAK]
    return [name for _, name in sorted(scored, key=lambda one: one[0])[:MOST]]
