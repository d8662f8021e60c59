"""Cleaning a text, and cutting it into overlapping chunks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wherry import Document, Part, open_chunker

SIZE, OVERLAP = 1_000, 200
_SPACES = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile(r" ?\n ?")
_NEWLINES = re.compile(r"\n{3,}")


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
    document = Document("text", (Part(text),))
    cut = open_chunker(f"fixed?size={size}&overlap={overlap}").cut(document)
    return [Piece(one.ordinal, one.start, one.end, one.text) for one in cut]
