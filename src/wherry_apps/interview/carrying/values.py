"""One value of an older row, as the new column takes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ENUM, JSONB


class Unfit(ValueError):
    """A value that the new column cannot hold. kept: what it holds instead."""

    def __init__(self, reason: str, kept: Any = None) -> None:
        super().__init__(reason)
        self.reason, self.kept = reason, kept


def converted(value: Any, kind: Any) -> Any:
    """Return a value of JSON as a column of a type takes it. Raises Unfit."""
    if value is None:
        return None
    for types, convert in _CONVERSIONS:
        if isinstance(kind, types):
            return convert(value, kind)
    return value


def score(value: Any) -> float | None:
    """Return a score. Raises Unfit for what is none from 0 to 100."""
    if value is None:
        return None
    number = _number(value, None)
    if not 0 <= number <= 100:
        raise Unfit("a score is 0 to 100")
    return number


def _text(value: Any, kind: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    longest = getattr(kind, "length", None)
    if longest is not None and len(text) > longest:
        raise Unfit(f"longer than {longest} characters; it is cut", text[:longest])
    return text


def _whole(value: Any, kind: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Unfit("no whole number") from None


def _number(value: Any, kind: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unfit("no number") from None


def _time(value: Any, kind: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unfit("no time") from None
    # Older programs wrote UTC without saying so.
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _json(value: Any, kind: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _flag(value: Any, kind: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("neither true nor false")
    return value


_CONVERSIONS: tuple[tuple[Any, Any], ...] = (
    (ENUM, lambda value, kind: value),
    (JSONB, _json),
    (sa.DateTime, _time),
    (sa.Boolean, _flag),
    (sa.Integer, _whole),
    (sa.Float, _number),
    (sa.String, _text),
)
