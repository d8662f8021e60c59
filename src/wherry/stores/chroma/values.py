"""Metadata as Chroma can hold it, and back.

Chroma keeps text, booleans, 64-bit integers, most floats and flat lists of one of these. Such values are
stored natively, so that its filters work. As soon as one value of a record would not come back as it
was (null, an empty or mixed list, an object, a longer integer, -0.0, a float of more than 15 digits, a
key that Chroma reserves), the whole metadata is stored beside them as JSON under `_wherry_metadata`.

What the native part says wins where it was changed later by somebody else's hand.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from wherry.canonical import canonical_json

BESIDE = "_wherry_metadata"
# Chroma keeps a record's URI under this key itself and shows it apart; no other key may begin like it.
URI = "chroma:uri"
_RESERVED = ("chroma:", "#", "$")
# First characters of keys that are looked at closely: those of reserved keys and of the empty one.
_SUSPECT = ("", "c", "#", "$", "_")
_FEW, _SHORT = 100, 2**62
_LONG_INTEGER = re.compile(r"\d{19}")
_INTEGERS = (-(2**63), 2**63)
# Chroma's log is JSON, read by a parser that is off by a bit for longer fractions (11 % of random doubles).
_DIGITS = ".15g"
_FRACTIONS = (1e-7, 1e14)
# One record's keys, and all parts of its lists, go into one SQL statement each; 5,462 of either wedge the
# whole collection for good ("failed to apply logs"), as does NaN in a list.
_MOST_VALUES = 4000
# How far that parser was seen to be off is 2 units in the last place; a person's edit is far beyond this.
_NEAR = 1e-13

Metadata = dict[str, Any]


def to_engine(text: str | None) -> tuple[Metadata | None, str | None]:
    """Return one record's metadata (JSON text) as Chroma takes it, and its URI.

    Raises ValueError when the text is not a JSON object.
    """
    if text is None:
        return None, None
    value = _parsed(text)
    if value and len(value) < _FEW and all(map(_plain, value.items())):
        return value, None
    native, exact = _native(value)
    uri = native.pop(URI, None)
    if not exact or not value:
        native[BESIDE] = canonical_json(text)
    return native or None, uri


def from_engine(metadata: Metadata | None, uri: str | None) -> str | None:
    """Return the JSON text of what Chroma gave back for one record."""
    if uri is None and (metadata is None or BESIDE not in metadata):
        return None if metadata is None else _text(metadata)
    native = dict(metadata or {})
    beside = native.pop(BESIDE, None)
    if uri is not None:
        native[URI] = uri
    if beside is None:
        return _text(native)
    original = _original(beside)
    if original is None:
        return _text(native | {BESIDE: beside})
    expected = _native(original)[0]
    if _same(native, expected):
        return str(beside)
    return _text(_edited(original, expected, native))


def is_plain_key(key: str) -> bool:
    """Tell whether metadata lies under a key as it is."""
    return key != URI and _key_fits(key, None)


def is_exact(number: float) -> bool:
    """Tell whether Chroma keeps and compares a float without losing a bit."""
    return _exact(number)


def _plain(pair: tuple[str, Any]) -> bool:
    """Tell quickly of the usual key and value that nothing has to be done about them."""
    key, item = pair
    if key[:1] in _SUSPECT and (key == URI or not _key_fits(key, item)):
        return False
    kind = type(item)
    return kind is str or kind is bool or (kind is int and -_SHORT < item < _SHORT) or (kind is float and _exact(item))


def _native(value: Metadata) -> tuple[Metadata, bool]:
    """Return the part of an object that Chroma's own values can show, and whether that part says it all."""
    native: Metadata = {}
    exact = True
    for key, item in value.items():
        fits, unchanged = _fit(item) if _key_fits(key, item) else (False, False)
        exact = exact and unchanged
        if fits:
            native[key] = item
    bearable = _bearable(native)
    return bearable, exact and len(bearable) == len(native)


def _bearable(native: Metadata) -> Metadata:
    """Return all of it, or all but the lists, or nothing: what one SQL statement can take."""
    if len(native) + sum(len(item) for item in native.values() if isinstance(item, list)) <= _MOST_VALUES:
        return native
    scalars = {key: item for key, item in native.items() if not isinstance(item, list)}
    return scalars if len(scalars) <= _MOST_VALUES else {}


def _key_fits(key: str, item: Any) -> bool:
    if key == URI:
        return isinstance(item, str)
    return bool(key) and key != BESIDE and not key.startswith(_RESERVED)


def _fit(item: Any) -> tuple[bool, bool]:
    """Tell whether Chroma can store a value at all, and whether it comes back unchanged."""
    kind = type(item)
    if kind is str or kind is bool:
        return True, True
    if kind is int:
        fits = _INTEGERS[0] <= item < _INTEGERS[1]
        return fits, fits
    if kind is float:
        return math.isfinite(item), _exact(item)
    if kind is not list or not item or type(item[0]) not in (str, bool, int, float):
        return False, False
    if any(type(part) is not type(item[0]) for part in item):
        return False, False
    parts = [_fit(part) for part in item]
    return all(fits for fits, _ in parts), all(unchanged for _, unchanged in parts)


def _exact(number: float) -> bool:
    if number == 0.0:
        return math.copysign(1.0, number) > 0
    size = abs(number)
    return _FRACTIONS[0] <= size < _FRACTIONS[1] and float(format(number, _DIGITS)) == number


def _same(found: Metadata, expected: Metadata) -> bool:
    return found.keys() == expected.keys() and all(_close(found[key], expected[key]) for key in found)


def _close(found: Any, expected: Any) -> bool:
    if type(found) is not type(expected):
        return False
    if isinstance(found, float):
        return found == expected or math.isclose(found, expected, rel_tol=_NEAR, abs_tol=5e-323)
    if isinstance(found, list):
        return len(found) == len(expected) and all(map(_close, found, expected))
    return bool(found == expected)


def _edited(original: Metadata, expected: Metadata, found: Metadata) -> Metadata:
    """Return the original with what was done to its native part since it was written."""
    kept = {key: item for key, item in original.items() if key in found or key not in expected}
    changed = {k: v for k, v in found.items() if k not in expected or not _close(v, expected[k])}
    return kept | changed


def _original(beside: Any) -> Metadata | None:
    """Read what was stored beside; None when the key is a user's own and holds something else."""
    try:
        value = _parsed(beside) if isinstance(beside, str) else None
    except ValueError:
        return None
    return value


def _parsed(text: str) -> Metadata:
    # orjson makes floats of integers beyond 64 bits; 19 digits is where they can begin.
    value = json.loads(text) if _LONG_INTEGER.search(text) else orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError("metadata is not a JSON object")
    return value


def _text(value: Metadata) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # Integers beyond 64 bits, which orjson does not write.
        return json.dumps(value, ensure_ascii=False)
