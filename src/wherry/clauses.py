"""Conditions as people type them in a shell: `page>=3 and source=혈당.pdf and tag in [a, b]`.

    clause   key OP value | key in [value, ...] | key not in [value, ...] | key exists | key missing
    OP       = != >= <= > <
    joined   by `and`; for anything else there is the JSON form

A key or value may stand in double quotes, as JSON writes them. A bare value ends at ` and ` and does not begin
with `=`, `<` or `>`, which a mistyped comparison leaves behind.
"""

from __future__ import annotations

import json
import re
from typing import Any

from wherry.errors import Usage

_SYMBOLS = {"=": "$eq", "==": "$eq", "!=": "$ne", ">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt"}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_CLAUSE = re.compile(
    rf"""\s*(?P<key>{_QUOTED}|[^\s"=!<>\[\]]+)\s*
    (?:(?P<symbol>==|!=|>=|<=|=|>|<)\s*(?P<value>{_QUOTED}|(?!and\s)[^\s=<>].*?)
      |(?<=[\s"])(?P<many>not\s+in|in)\s*\[(?P<values>(?:{_QUOTED}|[^\]"])*)\]
      |(?<=[\s"])(?P<being>exists|missing))
    (?P<end>\s*$|\s+and\s+)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_ITEM = re.compile(rf"\s*({_QUOTED}|[^,]*?)\s*(,|$)", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


def read(text: str) -> dict[str, Any]:
    """Return the JSON object that a line states. Raises Usage, showing where it stops making sense."""
    if text.lstrip().startswith("{"):
        return _json(text)
    clauses, position = [], 0
    while position < len(text) or not clauses:
        found = _CLAUSE.match(text, position)
        if found is None or (found["end"].strip() and found.end() == len(text)):
            raise _stuck(text, position)
        clauses.append(_clause(found))
        position = found.end()
    return clauses[0] if len(clauses) == 1 else {"$and": clauses}


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Usage(f"this condition is no JSON: {error}", where="where", next="check its quotes and braces") from None
    return value


def _clause(found: re.Match[str]) -> dict[str, Any]:
    key = _text(found["key"])
    name = f"${key}" if key.startswith("$") else key
    if found["symbol"]:
        return {name: {_SYMBOLS[found["symbol"]]: _value(found["value"])}}
    if found["being"]:
        return {name: {"$exists": found["being"].lower() == "exists"}}
    operator = "$in" if found["many"].lower() == "in" else "$nin"
    return {name: {operator: _items(found["values"])}}


def _items(text: str) -> list[Any]:
    found, position = [], 0
    while text.strip() and position <= len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise _stuck(text, position)
        found.append(_value(item[1]))
        if not item[2]:
            break
        position = item.end()
    return found


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return _text(text)
    try:
        return json.loads(text)
    except ValueError:
        raise Usage(f"the number {text[:20]}... has too many digits", where="where") from None


def _text(text: str) -> str:
    if not re.fullmatch(_QUOTED, text, re.DOTALL):
        return text
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise Usage(f"this text in quotes cannot be read: {error}", where="where") from None


def _stuck(text: str, position: int) -> Usage:
    rest = text[position : position + 40] or "its end"
    return Usage(
        f"this condition cannot be read from {rest!r} on",
        where="where",
        next='write for example: page>=3 and tag in [a, b] and source="혈당.pdf"; or a JSON object',
    )
