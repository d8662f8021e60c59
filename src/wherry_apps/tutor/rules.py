"""The rules of grading: difficulty, score, level, learning level, areas. No database, no model.

Difficulty is 1 (easiest) to 5 everywhere; files say it in words or on a scale of ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from wherry import BadRecord

WORDS = {
    "beginner": 1,
    "쉬움": 2, "하": 2, "기본": 2, "easy": 2, "low": 2,
    "보통": 3, "중": 3, "medium": 3,
    "어려움": 4, "상": 4, "hard": 4, "high": 4,
    "매우어려움": 5, "very_hard": 5, "expert": 5,
}  # fmt: skip
LEVELS: tuple[tuple[str, float], ...] = (("상급", 80), ("중급", 65), ("하급", 50))
LOWEST = "미흡"
EXPECTED_SECONDS = (30, 60, 120, 180, 300)
_PACES = ((0.5, 1.2), (0.8, 1.1), (1.2, 1.0), (2.0, 0.9))
_SLOWEST = 0.8
_RECOMMENDED = ((0.8, 5), (0.6, 4), (0.4, 3), (0.2, 2))
FEW, WEAK, STRONG = 3, 0.5, 0.8


def difficulty(value: Any, scale: int = 5) -> int:
    """Return a difficulty as 1 to 5. scale: of numbers, 5 or 10 (test files). Raises BadRecord."""
    if isinstance(value, str):
        word = value.strip().lower().replace(" ", "")
        if word in WORDS:
            return WORDS[word]
        value = int(word) if word.isascii() and word.isdigit() else value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= scale:
        return math.ceil(value / (scale // 5))
    raise BadRecord(
        f"{value!r} is no difficulty", next=f"write a number from 1 to {scale}, or a word such as 쉬움, 보통, 어려움"
    )


@dataclass(frozen=True)
class Graded:
    """One answered (or unanswered) question of a test.

    difficulty: 1 to 5. points: what it is worth, positive. seconds: taken, None where nobody measured.
    """

    correct: bool
    points: Decimal
    difficulty: int
    subject: str = ""
    area: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Area:
    """How a part of a test went. kind: `subject`, `area` or `difficulty`. share: points earned of points there.

    verdict: `weak` (below .5), `strong` (.8 or more), `fair`, or `too few` (fewer than three questions).
    """

    kind: str
    name: str
    items: int
    share: float
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What a finished test says.

    raw, total: points. percentage: 100 * raw / total, the only figure that levels are taken from: the points of a
    test add up to anything. learning_level: difficulty answered correctly as a share of all, 0 to 1;
    adjusted_level: the same weighed by time, at most 1.
    """

    raw: Decimal
    total: Decimal
    percentage: float
    level: str
    learning_level: float
    adjusted_level: float
    recommended_difficulty: int
    areas: tuple[Area, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values = {**asdict(self), "raw": float(self.raw), "total": float(self.total)}
        names = {verdict: [a.name for a in self.areas if a.verdict == verdict] for verdict in ("weak", "strong")}
        return {**values, "areas": [a.to_dict() for a in self.areas], **names}


def outcome(graded: Sequence[Graded], levels: Mapping[str, Any] | None = None) -> Outcome:
    """Grade a whole test. levels: `level_classification` of its file, {name: {min_score, ...}}, else the usual ones."""
    raw = sum((g.points for g in graded if g.correct), Decimal(0))
    total = sum((g.points for g in graded), Decimal(0))
    percentage = float(100 * raw / total) if total else 0.0
    learned = learning_level(graded)
    return Outcome(
        raw, total, round(percentage, 2), level_of(percentage, levels), round(learned, 4),
        round(adjusted_level(graded), 4), recommended_difficulty(learned), areas_of(graded),
    )  # fmt: skip


def level_of(percentage: float, levels: Mapping[str, Any] | None = None) -> str:
    """Return the name of the level that a percentage reaches."""
    steps = [(name, float(rule["min_score"])) for name, rule in levels.items()] if levels else LEVELS
    reached = [(least, name) for name, least in steps if percentage >= least]
    return max(reached)[1] if reached else LOWEST


def learning_level(graded: Iterable[Graded]) -> float:
    """Return the sum of the difficulties answered correctly over the sum of all; 0 without questions."""
    return _weighed([(g.difficulty, float(g.correct)) for g in graded])


def adjusted_level(graded: Iterable[Graded]) -> float:
    """Return the learning level with each correct answer weighed by its time; at most 1."""
    return min(1.0, _weighed([(g.difficulty, pace(g) if g.correct else 0.0) for g in graded]))


def pace(one: Graded) -> float:
    """Return the weight of the time a question took: 1.2 for half of what is expected or less, 0.8 for over twice."""
    if one.seconds is None:
        return 1.0
    ratio = one.seconds / EXPECTED_SECONDS[one.difficulty - 1]
    return next((weight for most, weight in _PACES if ratio <= most), _SLOWEST)


def recommended_difficulty(learned: float) -> int:
    """Return the difficulty to practise next, from a learning level."""
    return next((value for least, value in _RECOMMENDED if learned >= least), 1)


def areas_of(graded: Sequence[Graded]) -> tuple[Area, ...]:
    """Return how each subject, area and difficulty went, in that order, each by name."""
    found: dict[tuple[str, str], list[Graded]] = {}
    for one in graded:
        for kind, name in (("subject", one.subject), ("area", one.area), ("difficulty", str(one.difficulty))):
            if name:
                found.setdefault((kind, name), []).append(one)
    order = ("subject", "area", "difficulty")
    keys = sorted(found, key=lambda key: (order.index(key[0]), key[1]))
    return tuple(_area(*key, found[key]) for key in keys)


def _area(kind: str, name: str, items: Sequence[Graded]) -> Area:
    share = float(sum(g.points for g in items if g.correct) / sum(g.points for g in items))
    if len(items) < FEW:
        verdict = "too few"
    elif share < WEAK:
        verdict = "weak"
    else:
        verdict = "strong" if share >= STRONG else "fair"
    return Area(kind, name, len(items), round(share, 4), verdict)


def _weighed(pairs: Sequence[tuple[int, float]]) -> float:
    whole = sum(d for d, _ in pairs)
    return sum(d * weight for d, weight in pairs) / whole if whole else 0.0
