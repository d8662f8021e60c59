"""Values that PostgreSQL can keep: no NUL, no half of a surrogate pair, no number without end."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Plain(BaseModel):
    """A model whose every field can be stored; a field that nobody knows is refused by name."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if not storable(value):
            raise ValueError("holds a character or a number that cannot be stored")
        return value


def storable(value: Any) -> bool:
    """Tell whether a value, with everything in it, can be stored as JSON."""
    try:
        return _storable(value)
    except RecursionError:
        return False


def _storable(value: Any) -> bool:
    if isinstance(value, str):
        # A surrogate is in no encoded text.
        return "\x00" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_storable(key) and _storable(each) for key, each in value.items())
    return all(map(_storable, value)) if isinstance(value, (list, tuple)) else True
