"""JSON objects as text, without a bit lost: what the layouts parse and write."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

# orjson makes floats of integers beyond 64 bits; 19 digits is where they can begin.
_LONG_INTEGER = re.compile(r"\d{19}")


def parsed(text: str) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for anything else."""
    value = json.loads(text) if _LONG_INTEGER.search(text) else orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def written(value: Any) -> str:
    """Return a value as JSON text, keys in the order they have."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # Integers beyond 64 bits, which orjson does not write.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def ordered(value: Any) -> str:
    """Return a value as JSON text with its keys sorted: one value, one text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
