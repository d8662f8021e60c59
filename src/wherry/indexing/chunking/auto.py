"""The chunker that looks at the document first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherry.indexing.base import Chunk, Document
from wherry.indexing.chunking.markdown import Markdown
from wherry.indexing.chunking.plain import Sentences

VERSION = 1
_WITH_HEADINGS = frozenset({"markdown", "html"})
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)


class Auto:
    """Cuts Markdown and HTML at headings, everything else between sentences.

    A document whose metadata does not tell its `format` is taken for Markdown when it has a heading of it.
    size: characters a chunk has at most; by default that of the chunker that is chosen.
    """

    def __init__(self, size: int | None = None) -> None:
        self._markdown = Markdown() if size is None else Markdown(size)
        self._sentences = Sentences() if size is None else Sentences(size, size // 8)

    @property
    def identity(self) -> str:
        """Return name and version, and the identities of both chunkers."""
        return f"auto/{VERSION} [{self._markdown.identity}] [{self._sentences.identity}]"

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order."""
        return list(self.each(document))

    def each(self, document: Document) -> Iterator[Chunk]:
        """Yield the chunks one by one, for documents too large to hold twice."""
        stated = document.metadata.get("format")
        if stated is None:
            headed = any(_HEADING.search(part.text) for part in document.parts)
        else:
            headed = stated in _WITH_HEADINGS
        return (self._markdown if headed else self._sentences).each(document)
