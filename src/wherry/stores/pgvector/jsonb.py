"""Metadata in a jsonb column, so that what comes back is what went in.

jsonb prints whole floats like 1e22 as integers and forgets the sign of -0.0. A float with an exponent is
therefore written out in full with ".0" behind it. Where that cannot help, the whole metadata is kept as
JSON text under a reserved key beside the native values, which filters still understand. Only texts that
hold such a number or that key are looked at one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.record import bytes_of

RESERVED = "_wherry_metadata"
NOTHING = json.dumps({RESERVED: "null"})
_MARK = f'"{RESERVED}"'
# A number with an exponent, or a negative zero, behind what can stand before a number in JSON. Inside a
# text this may match too, which costs a closer look and nothing else.
_SUSPECT = r"[:\[,]\s*(-?[0-9]+(\.[0-9]+)?[eE]\+?[0-9]|-0\.?0*[eE\s,}\]])"
# A key may hide behind escapes of plain letters.
_ESCAPED = "\\u00"
_EXPONENT, _DIGIT, _PLUS = 1, 2, 3
_KIND = np.zeros(256, dtype=np.uint8)
_KIND[[ord("e"), ord("E")]], _KIND[ord("0") : ord("9") + 1], _KIND[ord("+")] = _EXPONENT, _DIGIT, _PLUS
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?')
_NEGATIVE_ZERO = re.compile(r"-0(\.0*)?([eE].*)?$")


def to_column(texts: pa.Array, jsonb: bool, not_null: bool) -> pa.Array:
    """Return metadata as its column takes it. jsonb: else the column is json. not_null: it refuses null."""
    if _is_suspicious(texts):
        careful = pc.or_(pc.match_substring(texts, RESERVED), pc.match_substring(texts, _ESCAPED))
        if jsonb:
            careful = pc.or_(careful, pc.match_substring_regex(texts, _SUSPECT))
        texts = _each(texts, careful, _safe if jsonb else _unambiguous)
    return pc.fill_null(texts, NOTHING) if not_null and texts.null_count else texts


def from_column(texts: pa.Array) -> pa.Array:
    """Return the metadata a column holds, as it was given to `to_column`; JSON's null is no metadata."""
    nothing = pc.equal(texts, "null")
    if pc.any(nothing).as_py():
        texts = pc.if_else(nothing, pa.scalar(None, pa.string()), texts)
    if bytes(bytes_of(texts)).find(_MARK.encode()) < 0:
        return texts
    return _each(texts, pc.match_substring(texts, _MARK), _original)


def _is_suspicious(texts: pa.Array) -> bool:
    """Tell in one pass over the bytes whether any of the texts may need a closer look."""
    data = bytes(bytes_of(texts))
    if RESERVED.encode() in data or _ESCAPED.encode() in data or b"-0" in data:
        return True
    kinds = _KIND[np.frombuffer(data, dtype=np.uint8)]
    return bool(((kinds[:-2] == _DIGIT) & (kinds[1:-1] == _EXPONENT) & (kinds[2:] >= _DIGIT)).any())


def _each(texts: pa.Array, chosen: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    flags = pc.fill_null(chosen, False).to_pylist()
    changed = [change(t) if flag else t for t, flag in zip(texts.to_pylist(), flags, strict=True)]
    return pa.array(changed, type=pa.string())


def _safe(text: str) -> str:
    if RESERVED in json.loads(text) or any(map(_is_negative_zero, _TOKEN.findall(text))):
        text = _kept(text)
    return _TOKEN.sub(lambda match: _positional(match.group()), text)


def _unambiguous(text: str) -> str:
    """Return a text whose own use of the reserved key cannot be taken for ours."""
    return _kept(text) if RESERVED in json.loads(text) else text


def _is_negative_zero(token: str) -> bool:
    # -0 without a point is an integer, which has no sign to lose.
    return token != "-0" and _NEGATIVE_ZERO.match(token) is not None


def _kept(text: str) -> str:
    """Return the native values with the whole text beside them."""
    value = json.loads(text)
    return json.dumps({**value, RESERVED: text}, ensure_ascii=False)


def _positional(token: str) -> str:
    if token[0] == '"' or "e" not in token.lower():
        return token
    digits = format(Decimal(token), "f")
    return digits if "." in digits else f"{digits}.0"


def _original(text: str) -> str | None:
    value = json.loads(text)
    kept = value.get(RESERVED) if isinstance(value, dict) else None
    if kept == "null":
        return None
    return kept if isinstance(kept, str) and kept.lstrip().startswith("{") else text
