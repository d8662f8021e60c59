"""Values as machines and people write them: numbers with units, grades in other words, sexes in two languages."""

from __future__ import annotations

import math
import re
from typing import Any

from wherry_apps.body.sheets.fields import GRADES, SEXES, UNITS, Number

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.\d{1,12})?")


class Unreadable(Exception):
    """A value that cannot be taken. why: part of the field (or "") -> what is wrong."""

    def __init__(self, why: str | dict[str, str]) -> None:
        super().__init__(why)
        self.why = {"": why} if isinstance(why, str) else why


def numeric(value: Any, wanted: Number) -> float | int:
    """Return a number within its bounds. Raises Unreadable."""
    read = _number(value)
    if read is None:
        raise Unreadable("is no number")
    if not math.isfinite(read):
        raise Unreadable("is no finite number")
    if not wanted.low <= read <= wanted.high:
        raise Unreadable(f"is outside {_bounds(wanted)}")
    if wanted.whole:
        if read != int(read):
            raise Unreadable("is no whole number")
        return int(read)
    return read


def grade_or_weight(value: Any) -> str | float:
    """Return the grade of a part, or its weight in kilograms. Raises Unreadable."""
    if isinstance(value, str):
        word = value.strip()
        if word in GRADES:
            return GRADES[word]
        if _number(word) is None:
            raise Unreadable(f"has the unknown grade {word[:20]!r} and needs confirmation")
    read = _number(value)
    if read is None or not math.isfinite(read) or not 0 <= read <= 300:
        raise Unreadable("is neither a grade nor a weight and needs confirmation")
    return float(read)


def read_sex(value: Any) -> str:
    """Return 남성 or 여성. Raises Unreadable."""
    found = SEXES.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise Unreadable("is neither 남성 nor 여성")
    return found


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value if abs(value) < 1e12 or value != value else math.inf
    if not isinstance(value, str):
        return None
    text = value.strip().replace("−", "-")
    for unit in UNITS:
        if text.endswith(unit):
            text = text.removesuffix(unit).rstrip()
            break
    if not _NUMBER.fullmatch(text):
        return None
    plain = text.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def _bounds(wanted: Number) -> str:
    if math.isinf(wanted.high):
        return f"what it can be (at least {wanted.low:g})"
    return f"{wanted.low:g} to {wanted.high:g}"
