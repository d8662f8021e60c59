"""Chunks of a fixed size with a fixed overlap, ended at a sentence where one ends late enough."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherry.errors import Usage
from wherry.indexing.base import Chunk, Document
from wherry.indexing.chunking.clusters import torn, whole
from wherry.indexing.chunking.pieces import Span, chunks_of, trimmed

VERSION = 1
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


class Fixed:
    """Cuts every `size` characters and begins again `overlap` before the cut.

    Where text remains, the cut is put after the last `.`, `!`, `?` or blank line beyond half of the chunk, else
    it is hard. The chunk that reaches the end is the last. Raises Usage for an overlap of half the size or more:
    then a chunk could begin where the one before it began.
    """

    def __init__(self, size: int = 1000, overlap: int = 200) -> None:
        if size < 1 or overlap < 0 or 2 * overlap >= size:
            raise Usage(
                f"chunks of {size} characters cannot overlap by {overlap}",
                next="give a size of at least 1 and an overlap below half of it: fixed?size=1000&overlap=200",
            )
        self.size, self.overlap = size, overlap

    @property
    def identity(self) -> str:
        """Return name, version and options."""
        return f"fixed/{VERSION} size={self.size} overlap={self.overlap}"

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order."""
        return list(self.each(document))

    def each(self, document: Document) -> Iterator[Chunk]:
        """Yield the chunks one by one, for documents too large to hold twice."""
        return chunks_of(document, self._spans)

    def _spans(self, text: str) -> Iterator[Span]:
        start = 0
        while True:
            last = start + self.size >= len(text)
            end = len(text) if last else self._end(text, start)
            yield Span(*trimmed(text, start, end))
            if last:
                return
            # Beyond the last start by more than half a chunk less the overlap, so this ends.
            start = whole(text, end - self.overlap, start)

    def _end(self, text: str, start: int) -> int:
        hard = start + self.size
        # The sign itself has to lie in the second half: then the cut lies beyond the middle.
        middle = start + self.size // 2
        marks = [text.rfind(mark, middle, hard) + 1 for mark in ".!?"]
        blank = [found.end() for found in _BLANK_LINE.finditer(text, middle, hard)]
        end = max(*marks, *blank, 0)
        if end > middle and not torn(text, end):
            return end
        return whole(text, hard, middle)
