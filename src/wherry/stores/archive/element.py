"""One document of a JSON archive, from its bytes to the fields of a record.

Nearly all bytes of a document are its vector. So the vector is cut out first and read by the fast
parser, while the small rest goes through the standard one, which keeps integers of any size and sees
a repeated key. Whatever is out of the ordinary goes through the standard parser whole.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from wherry.stores.archive.splitter import flat_end

FIELDS = frozenset({"id", "text", "metadata", "embedding", "vector"})
# A quote inside a string is always escaped, so an unescaped "embedding" before a colon is a key.
_VECTOR = re.compile(rb'"(embedding|vector)"[ \t\r\n]*+:[ \t\r\n]*+(?=\[)')
_NONE: frozenset[str] = frozenset()
_STAND_IN, _WORD = b"-Infinity", b"Infinity"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(slots=True)
class Element:
    """A document as far as it could be read.

    id: as text, empty when there is none. integer: the id is a number in the file. values: the
    vector's components, None when there are none. metadata: JSON text. fault: (reason, detail) when
    no batch can hold the document. further: keys that a record has no place for.
    """

    id: str
    integer: bool = False
    values: list[Any] | None = None
    text: str | None = None
    metadata: str | None = None
    fault: tuple[str, str] | None = None
    further: frozenset[str] = frozenset()
    weight: int = 0


class _Odd(Exception):
    """The fast way does not apply."""


def parse(raw: bytes, vectors: bool = True) -> Element:
    """Read one document. vectors=False leaves the components unread.

    Raises ValueError when `raw` is not JSON.
    """
    try:
        document, values, weight = _split(raw, vectors)
        return _element(document, values, weight, further_keys(document))
    except (_Odd, ValueError, RecursionError):
        return _parse_whole(raw)


def further_keys(document: dict[str, Any]) -> frozenset[str]:
    """Return the keys of a document that a record has no place for."""
    return _NONE if document.keys() <= FIELDS else frozenset(document) - FIELDS


def _split(raw: bytes, vectors: bool) -> tuple[dict[str, Any], list[Any] | None, int]:
    found = _VECTOR.search(raw)
    if found is None or raw.find(_WORD, 0, found.start()) >= 0:
        raise _Odd
    start = found.end()
    end = flat_end(raw, start)
    # Every word that is no number (true, false, null) holds a u or an s; NaN stops the parser.
    if not end or raw.find(b"u", start, end) >= 0 or raw.find(b"s", start, end) >= 0 or raw.find(_WORD, end) >= 0:
        raise _Odd
    rest = raw[:start] + _STAND_IN + raw[end:]
    text = rest.decode()
    if _SURROGATE.search(text):
        raise _Odd
    document = _decoder.decode(text)
    # Only the vector of the document itself counts, not one inside its metadata.
    if type(document) is not dict or document.pop(found[1].decode(), None) is not _CUT:
        raise _Odd
    if "embedding" in document or "vector" in document:
        raise _Odd
    return document, orjson.loads(raw[start:end]) if vectors else None, len(rest)


def _element(document: dict[str, Any], values: list[Any] | None, weight: int, further: frozenset[str]) -> Element:
    number = document.get("id")
    element = Element("", values=values, further=further, weight=weight)
    if type(number) is str and number:
        element.id = number
    elif type(number) is int:
        element.id, element.integer = str(number), True
    else:
        element.fault = ("BadId", "the id is missing, empty, or neither text nor an integer")
    text, metadata = document.get("text"), document.get("metadata")
    if text is not None and type(text) is not str:
        element.fault = element.fault or ("BadText", "the text is not a text")
    element.text = text
    if metadata is not None:
        element.metadata = _json(metadata, element)
    return element


def _json(metadata: Any, element: Element) -> str | None:
    if type(metadata) is not dict:
        element.fault = element.fault or ("BadMetadata", "the metadata is not an object")
        return None
    try:
        return orjson.dumps(metadata).decode()
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits, or very deep: the same text by the parser that takes them.
        return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))


def _parse_whole(raw: bytes) -> Element:
    """Read a document by the standard parser alone, and say what is wrong with it."""
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            repeated.append("a key is repeated")
        return found

    try:
        # Bytes that are no UTF-8 become lone surrogates, which are then found below.
        document = json.loads(raw.decode("utf-8", "surrogateescape"), object_pairs_hook=pairs)
    except RecursionError:
        return Element("", fault=("BadMetadata", "the document is nested too deeply"), weight=len(raw))
    if type(document) is not dict:
        return Element("", fault=("BadRecord", "the document is not an object"), weight=len(raw))
    return _checked(document, repeated, len(raw))


def _checked(document: dict[str, Any], faults: Iterable[str], weight: int) -> Element:
    vector = document.get("embedding")
    if vector is None:
        vector = document.get("vector")
    metadata = document.pop("metadata", None)
    element = _element(document, None, weight, further_keys(document))
    for words in faults:
        element.fault = element.fault or ("BadMetadata", words)
    element.metadata = None if metadata is None else _strict_json(metadata, element)
    for name, value in (("id", element.id), ("text", element.text or ""), ("metadata", element.metadata or "")):
        if not _is_unicode(value):
            reason = {"id": "BadId", "text": "BadText", "metadata": "BadMetadata"}[name]
            element.fault = element.fault or (reason, f"the {name} is not valid Unicode")
    _take_values(vector, element)
    return element


def _strict_json(metadata: Any, element: Element) -> str | None:
    if type(metadata) is not dict:
        return _json(metadata, element)
    try:
        return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        words = "the metadata holds NaN, an infinity or a number beyond a double, or is nested too deeply"
        element.fault = element.fault or ("BadMetadata", words)
        return None


def _take_values(vector: Any, element: Element) -> None:
    if vector is None:
        return
    if type(vector) is not list or any(type(v) not in (float, int) for v in vector):
        element.fault = element.fault or ("BadVector", "the vector is not a list of numbers")
        return
    try:
        element.values = [float(v) for v in vector]
    except OverflowError:
        element.fault = element.fault or ("NonFinite", "a component is beyond 32 bits")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_CUT = object()


def _constant(word: str) -> object:
    if word == _STAND_IN.decode():
        return _CUT
    raise _Odd


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _Odd
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
