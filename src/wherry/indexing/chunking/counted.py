"""Chunks measured in tokens: paragraphs packed until they are full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wherry.errors import Usage
from wherry.indexing.base import Chunk, Document
from wherry.indexing.chunking.clusters import torn
from wherry.indexing.chunking.packing import fitting
from wherry.indexing.chunking.pieces import Span, chunks_of, trimmed
from wherry.indexing.chunking.sentences import sentences
from wherry.indexing.chunking.tokens import open_tokenizer

VERSION = 1
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n\s*")
# A tokenizer never sees more than this at once, which bounds its time and its memory.
_LONGEST = 4_000


@dataclass(frozen=True)
class _Unit:
    """A stretch that stays together. tokens: where its tokens begin."""

    start: int
    end: int
    tokens: list[int]


class Tokens:
    """Packs paragraphs into chunks of at most `size` tokens; the last `overlap` tokens begin the next chunk as well.

    A paragraph longer than a chunk is cut between sentences, a longer sentence between tokens. tokenizer: `auto`,
    `kiwi`, `space` or `estimate`; the one that is used is part of the identity. Raises Usage for a size below 1,
    an overlap of half the size or more, or an unknown tokenizer, MissingExtra for one that is not installed.
    """

    def __init__(self, size: int = 450, overlap: int = 80, tokenizer: str = "auto") -> None:
        if size < 1 or overlap < 0 or 2 * overlap >= max(size, 1):
            raise Usage(
                f"chunks of {size} tokens cannot overlap by {overlap}",
                next="give a size of at least 1 and an overlap below half of it: tokens?size=450&overlap=80",
            )
        self.size, self.overlap = size, overlap
        self.tokenizer, self._tokens = open_tokenizer(tokenizer)

    @property
    def identity(self) -> str:
        """Return name, version, options and tokenizer."""
        return f"tokens/{VERSION} size={self.size} overlap={self.overlap} tokenizer={self.tokenizer}"

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order."""
        return list(self.each(document))

    def each(self, document: Document) -> Iterator[Chunk]:
        """Yield the chunks one by one, for documents too large to hold twice."""
        return chunks_of(document, self._spans)

    def _spans(self, text: str) -> Iterator[Span]:
        start, end, held = 0, 0, []
        for unit in self._units(text):
            if end > start and len(held) + len(unit.tokens) > self.size:
                yield Span(*trimmed(text, start, end))
                held = self._carried(text, held, start, len(unit.tokens))
                start = held[0] if held else unit.start
            held = [*held, *unit.tokens]
            end = unit.end
        if end > start:
            yield Span(*trimmed(text, start, end))

    def _carried(self, text: str, held: list[int], start: int, following: int) -> list[int]:
        """Return the tokens at the end of a chunk that begin the next one too: after its start, none of them torn."""
        most = min(self.overlap, self.size - following)
        at = max(0, len(held) - most)
        while at < len(held) and (held[at] <= start or torn(text, held[at]) or (at and held[at] == held[at - 1])):
            at += 1
        return held[at:]

    def _units(self, text: str) -> Iterator[_Unit]:
        for start, end in _paragraphs(text):
            tokens = self._tokenized(text, start, end) if end - start <= _LONGEST else None
            if tokens is not None and len(tokens) <= self.size:
                yield _Unit(start, end, tokens)
                continue
            for first, last in fitting(text, start, end, _LONGEST, ()) if tokens is None else ((start, end),):
                for begin, stop in sentences(text, first, last):
                    yield from self._pieces(text, begin, stop)

    def _pieces(self, text: str, start: int, end: int) -> Iterator[_Unit]:
        """Yield a sentence, cut between tokens where it has more than a chunk and its overlap can hold."""
        tokens = self._tokenized(text, start, end)
        if len(tokens) <= self.size:
            yield _Unit(start, end, tokens)
            return
        most, at = self.size - self.overlap, 0
        while at < len(tokens):
            until = min(at + most, len(tokens))
            while until < len(tokens) and until > at + 1 and self._inside(text, tokens, until):
                until -= 1
            while until < len(tokens) and self._inside(text, tokens, until):
                until += 1
            stop = tokens[until] if until < len(tokens) else end
            yield _Unit(start, stop, tokens[at:until])
            start, at = stop, until

    def _inside(self, text: str, tokens: list[int], at: int) -> bool:
        """Tell whether a cut before a token would fall into a syllable that two of them share, or into a sign."""
        return tokens[at] == tokens[at - 1] or torn(text, tokens[at])

    def _tokenized(self, text: str, start: int, end: int) -> list[int]:
        return [start + place for place in self._tokens(text[start:end])]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for found in _BLANK_LINE.finditer(text):
        if found.end() < len(text):
            yield start, found.end()
            start = found.end()
    if start < len(text):
        yield start, len(text)
