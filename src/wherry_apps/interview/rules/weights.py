"""Competency weights, evaluation criteria and lists of skills, brought into the form everybody reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COMPETENCIES = ("job_expertise", "analytical", "execution", "relationship", "resilience", "influence")
DEFAULTS = dict(zip(COMPETENCIES, (0.30, 0.15, 0.20, 0.15, 0.10, 0.10), strict=True))
CRITERIA = ("직무 전문성", "문제 해결", "실행력", "협업", "성장 가능성")
_TOLERANCE = 0.01
_DIGITS = 4
MOST_REQUIRED, MOST_PREFERRED, CRITERIA_COUNT = 10, 5, 5


@dataclass(frozen=True)
class Weights:
    """Six weights that sum to 1. source: given (as they came), scaled (divided by their sum) or default."""

    values: dict[str, float]
    source: str


def weights(given: Mapping[str, Any] | None) -> Weights:
    """Return the six weights: as given where they sum to 1±0.01, divided by their sum where they do not.

    A missing key, a negative or unreadable value, or a sum of zero gives the defaults. Keys besides the six are
    left out.
    """
    numbers = [_number((given or {}).get(key)) for key in COMPETENCIES]
    known = [number for number in numbers if number is not None]
    total = sum(known)
    if len(known) < len(COMPETENCIES) or total <= 0:
        return Weights(dict(DEFAULTS), "default")
    values = dict(zip(COMPETENCIES, known, strict=True))
    if abs(total - 1) <= _TOLERANCE + 1e-9:
        return Weights(values, "given")
    return Weights({key: round(value / total, _DIGITS) for key, value in values.items()}, "scaled")


def criteria(given: Iterable[Any] | None) -> list[str]:
    """Return exactly five distinct criteria: those given first, then defaults that are not among them."""
    return unique([*_texts(given), *CRITERIA])[:CRITERIA_COUNT]


def skills(required: Iterable[Any] | None, preferred: Iterable[Any] | None) -> tuple[list[str], list[str]]:
    """Return at most ten required and five preferred skills; what is required is not preferred too."""
    must = unique(_texts(required))[:MOST_REQUIRED]
    taken = {_folded(skill) for skill in must}
    nice = [skill for skill in unique(_texts(preferred)) if _folded(skill) not in taken]
    return must, nice[:MOST_PREFERRED]


def unique(texts: Iterable[str]) -> list[str]:
    """Return texts without repeats, by first appearance; case and outer spaces do not matter."""
    found: dict[str, str] = {}
    for text in texts:
        if text.strip():
            found.setdefault(_folded(text), text.strip())
    return list(found.values())


def _texts(given: Iterable[Any] | None) -> list[str]:
    return [item for item in given or () if isinstance(item, str)]


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
