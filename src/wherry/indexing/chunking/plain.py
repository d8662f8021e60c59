"""Chunks of whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.errors import Usage
from wherry.indexing.base import Chunk, Document
from wherry.indexing.chunking.packing import fitting, packed
from wherry.indexing.chunking.pieces import Span, chunks_of
from wherry.indexing.chunking.sentences import sentences

VERSION = 1
_TITLE_SHARE = 3


class Sentences:
    """Fills chunks of at most `size` characters with whole sentences.

    overlap: the last sentences of a chunk begin the next one too, up to so many characters. prefix: begin each
    chunk with the title of the document. A sentence longer than a chunk is cut at white space. Raises Usage for a
    size below 1 or an overlap of half the size or more.
    """

    def __init__(self, size: int = 800, overlap: int = 100, prefix: bool = True) -> None:
        if size < 1 or overlap < 0 or 2 * overlap >= max(size, 1):
            raise Usage(
                f"chunks of {size} characters cannot overlap by {overlap}",
                next="give a size of at least 1 and an overlap below half of it: sentences?size=800&overlap=100",
            )
        self.size, self.overlap, self.prefix = size, overlap, prefix

    @property
    def identity(self) -> str:
        """Return name, version and options."""
        return f"sentences/{VERSION} size={self.size} overlap={self.overlap} prefix={int(self.prefix)}"

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order."""
        return list(self.each(document))

    def each(self, document: Document) -> Iterator[Chunk]:
        """Yield the chunks one by one, for documents too large to hold twice."""
        title = " ".join((document.title or "").split()) if self.prefix else ""
        # A title must leave most of the room to the chunk itself.
        title = title if len(title) + 2 <= self.size // _TITLE_SHARE else ""
        return chunks_of(document, lambda text: self._spans(text, title))

    def _spans(self, text: str, title: str) -> Iterator[Span]:
        prefix = f"{title}\n\n" if title else ""
        room = self.size - len(prefix)
        units = (unit for found in sentences(text) for unit in fitting(text, *found, room, ()))
        for start, end in packed(text, units, room, self.overlap):
            yield Span(start, end, "" if title and text.startswith(title, start) else prefix)
