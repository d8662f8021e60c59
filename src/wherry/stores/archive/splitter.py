"""Cutting one huge JSON object into pieces without parsing what is inside them.

The export is one object whose `documents` are far too many to hold at once. The splitter walks over
the bytes in chunks, knows only strings and brackets (found by one compiled pattern), and hands out
each document as it stands in the file. The other members are kept whole: there are few of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Protocol

from wherry.errors import ArchiveCorrupt, Refused
from wherry.stores.archive.disk import CHUNK

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXT = re.compile(_STRING, re.DOTALL)
_UP_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+", re.DOTALL)
_PLAIN = re.compile(rb"[^\s,\]}]*+")
_CLOSING, _LIST_START, _QUOTE = b"}]", b"["[0], b'"'[0]


class Bytes(Protocol):
    """What a splitter reads from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


class Splitter:
    """One pass over an object with a long list: iterate over (offset, bytes) of the list's elements.

    fields: the other members as they stand in the file; those before the list are there once the
    first element was given, the rest after the last. found: whether the list was met.
    Raises ArchiveCorrupt, naming the byte, where the file is cut off or is no JSON.
    """

    def __init__(self, source: Bytes, key: str, shown: str) -> None:
        self.source, self.key, self.shown = source, key, shown
        self.fields: dict[str, bytes] = {}
        self.found = False
        self._buffer = b""
        self._at = 0
        self._base = 0
        self._inside = f"before the first of the {key}"

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        self._skip_mark()
        if self._peek() != b"{":
            raise Refused(
                "this is JSON, but not an object with documents",
                where=self.shown,
                left="nothing was read from it",
                next='an export looks like {"documents": [{"id": …, "text": …, "embedding": […]}, …]}',
            )
        self._at += 1
        yield from self._members()
        self._inside = "after the end of the object"
        if self._peek(at_end=b"") != b"":
            raise self.corrupt("something follows the end of the object")

    def corrupt(self, what: str, offset: int | None = None) -> ArchiveCorrupt:
        """Return the error for damage at a byte of the file, by default where the splitter stands."""
        at = self._base + self._at if offset is None else offset
        return corrupt(self.shown, what, f"byte {at:,}, {self._inside}")

    def _members(self) -> Iterator[tuple[int, bytes]]:
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            name = self._name()
            if name == self.key and self._peek() == b"[":
                self.found = True
                self._at += 1
                yield from self._elements()
                self._inside = f"after the last of the {self.key}"
            else:
                self.fields[name] = self._value()[1]
            if self._separator(b"}"):
                return

    def _elements(self) -> Iterator[tuple[int, bytes]]:
        if self._peek() == b"]":
            self._at += 1
            return
        number = 0
        while True:
            number += 1
            self._inside = f"in number {number:,} of the {self.key}"
            yield self._value()
            if self._separator(b"]"):
                return

    def _name(self) -> str:
        if self._peek() != b'"':
            raise self.corrupt("a name in quotes was expected")
        offset, raw = self._value()
        name = _name_of(raw)
        if name is None or self._peek() != b":":
            raise self.corrupt("a name and a colon were expected", offset)
        self._at += 1
        if name in self.fields or (name == self.key and self.found):
            raise self.corrupt(f"{name!r} is there twice", offset)
        return name

    def _separator(self, closing: bytes) -> bool:
        found = self._peek()
        if found not in (b",", closing):
            raise self.corrupt(f"a comma or {closing.decode()} was expected")
        self._at += 1
        return found == closing

    def _value(self) -> tuple[int, bytes]:
        first = self._peek()
        if first in b",:]}":
            raise self.corrupt("a value was expected")
        while True:
            end = self._end(first)
            if end > 0:
                break
            if not self._more():
                raise self.corrupt("the file ends in the middle of a value", self._base + len(self._buffer))
        offset, raw = self._base + self._at, self._buffer[self._at : end]
        self._at = end
        return offset, raw

    def _end(self, first: bytes) -> int:
        """Return where the value at the current place ends, 0 when the buffer does not show it."""
        if first == b'"':
            text = _TEXT.match(self._buffer, self._at)
            return text.end() if text else 0
        if first not in b"{[":
            end = _PLAIN.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            return end if end < len(self._buffer) else 0
        buffer, at, depth = self._buffer, self._at, 0
        while True:
            start = _UP_TO_BRACKET.match(buffer, at).end()  # type: ignore[union-attr]
            # Past the end, or at the quote of a string that does not end within the buffer.
            if start == len(buffer) or buffer[start] == _QUOTE:
                return 0
            at = start + 1
            if buffer[start] in _CLOSING:
                depth -= 1
            elif skipped := flat_end(buffer, start):
                at = skipped
            else:
                depth += 1
            if depth == 0:
                return at

    def _peek(self, at_end: bytes | None = None) -> bytes:
        """Return the next byte that is no white space; `at_end` where there is none, else raise."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                if at_end is None:
                    raise self.corrupt("the file ends too early")
                return at_end

    def _more(self) -> bool:
        rest = self._buffer[self._at :]
        # Reading as much again as is held keeps the work linear for a value of any length.
        data = self.source.read(max(CHUNK, len(rest)))
        if not data:
            return False
        self._base += self._at
        self._buffer, self._at = rest + data, 0
        return True

    def _skip_mark(self) -> None:
        while len(self._buffer) < len(_BOM) and self._more():
            pass
        if self._buffer.startswith(_BOM):
            self._at = len(_BOM)
        elif self._buffer[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise self.corrupt("the file is not UTF-8")


def flat_end(buffer: bytes, start: int) -> int:
    """Return where a list ends that holds neither text, lists nor objects; 0 for any other value.

    Embeddings are such lists, and looking for one byte is far cheaper than looking for tokens.
    """
    if buffer[start] != _LIST_START:
        return 0
    end = buffer.find(b"]", start)
    find = buffer.find
    if end < 0 or find(b'"', start, end) >= 0 or find(b"[", start + 1, end) >= 0 or find(b"{", start, end) >= 0:
        return 0
    return end + 1


def corrupt(shown: str, what: str, place: str) -> ArchiveCorrupt:
    """Return the error for a damaged file: what is wrong and where in the file."""
    return ArchiveCorrupt(
        f"{what} ({place})",
        where=shown,
        left="no record was handed out",
        next="fetch or export the file again",
    )


def _name_of(raw: bytes) -> str | None:
    try:
        name = json.loads(raw)
    except ValueError:
        return None
    return name if isinstance(name, str) else None
