"""Near and new: how reports are ordered when a question is asked.

score = 0.7 x similarity + 0.3 / (1 + ln(days + 1)); similarity is 1 - cosine distance and runs from -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

TOP_K = 3
# So many times the reports that are wanted are fetched before new ones move up.
DEPTH = 2
_NEAR, _NEW = 0.7, 0.3
_DAY_S = 86_400


@dataclass(frozen=True)
class Found:
    """A report that was found. days: whole days since its date. similarity, score: None where nothing was compared."""

    report_id: int
    record_id: int | None
    text: str
    report_date: datetime
    model_version: str | None
    days: int
    similarity: float | None
    score: float | None
    retrieval: Literal["vector", "latest"]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**asdict(self), "report_date": self.report_date.isoformat()}


def days_since(moment: datetime, now: datetime | None = None) -> int:
    """Return whole days from a time to now, 0 for one to come; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - aware).total_seconds()
    return max(0, math.floor(seconds / _DAY_S))


def score_of(similarity: float, days: int) -> float:
    """Return by what a hit is ordered, higher first."""
    return _NEAR * similarity + _NEW / (1 + math.log(days + 1))
