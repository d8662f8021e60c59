"""Cleaning a text, and cutting it into overlapping chunks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wherry import Usage

SIZE, OVERLAP = 1_000, 200
_SPACES = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile(r" ?\n ?")
_NEWLINES = re.compile(r"\n{3,}")
# A sentence ends, or a paragraph does.
_BOUNDARY = re.compile(r"[.!?]|\n\n")


@dataclass(frozen=True)
class Piece:
    """One chunk: text == cleaned[start:end]. index: from 0, without gaps."""

    index: int
    start: int
    end: int
    text: str


def clean(text: str) -> str:
    """Return a text with single spaces and paragraphs that stay: three or more newlines become two."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return _NEWLINES.sub("\n\n", _LINE_ENDS.sub("\n", _SPACES.sub(" ", lines))).strip()


def chunks(text: str, size: int = SIZE, overlap: int = OVERLAP) -> list[Piece]:
    """Cut a cleaned text into chunks of at most `size` characters that share about `overlap` with the one before.

    A chunk ends after the last `.`, `!`, `?` or blank line beyond its half; where there is none, it ends hard.
    Raises Usage when the overlap is half the size or more, since chunks could then stand still.
    """
    if size < 1 or overlap < 0 or 2 * overlap >= size:
        raise Usage(f"an overlap of {overlap} does not fit chunks of {size} characters", where="overlap")
    found: list[Piece] = []
    start = 0
    while True:
        end = _end(text, start, size)
        piece = _trimmed(text, start, end, len(found))
        if piece is not None:
            found.append(piece)
        if end >= len(text):
            return found
        start = max(end - overlap, start + 1)


def _end(text: str, start: int, size: int) -> int:
    """Return where a chunk that begins at `start` ends."""
    hard = start + size
    if hard >= len(text):
        return len(text)
    half = start + size // 2
    return max((match.end() for match in _BOUNDARY.finditer(text, half, hard)), default=hard)


def _trimmed(text: str, start: int, end: int, index: int) -> Piece | None:
    part = text[start:end]
    inside = part.strip()
    if not inside:
        return None
    first = start + len(part) - len(part.lstrip())
    return Piece(index, first, first + len(inside), inside)
