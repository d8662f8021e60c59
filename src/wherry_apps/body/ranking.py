"""Near and new: how reports are ordered when a question is asked.

score = 0.7 x similarity + 0.3 / (1 + ln(days + 1)); similarity is 1 - cosine distance and runs from -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import wherry

TOP_K = 3
# So many times the reports that are wanted are fetched before new ones move up.
DEPTH = 2


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
    return math.floor(wherry.days_since(moment, now or datetime.now(UTC)) or 0)
