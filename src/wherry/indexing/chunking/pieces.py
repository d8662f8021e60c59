"""What every chunker has in common: from spans of a text to chunks of a document.

A chunk lies within one part, so that its page is exact. Its text is what the document says between its start
and its end, with nothing before it but the headings it stands under (and the header of its table), where the
chunker puts them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wherry.indexing.base import Chunk, Document


@dataclass(frozen=True)
class Span:
    """A stretch of a text. start, end: characters, end exclusive. prefix: what its chunk says before it."""

    start: int
    end: int
    prefix: str = ""
    headings: tuple[str, ...] = ()


Cut = Callable[[str], Iterator[Span]]


def text_of(document: Document) -> str:
    """Return the text of a document, which the spans of its chunks count in: its parts joined by one newline."""
    return document.parts[0].text if len(document.parts) == 1 else "\n".join(part.text for part in document.parts)


def chunks_of(document: Document, cut: Cut) -> Iterator[Chunk]:
    """Yield the chunks that a document has when each of its parts is cut so.

    Spans without a sign are left out, and so is one that lies within the one before it: overlap and nothing else.
    """
    ordinal = offset = 0
    for part in document.parts:
        reached = -1
        for span in cut(part.text):
            text = part.text[span.start : span.end]
            if span.end <= reached or not text.strip():
                continue
            reached = span.end
            yield Chunk(
                ordinal,
                span.prefix + text if span.prefix else text,
                offset + span.start,
                offset + span.end,
                part.page,
                span.headings,
                part.metadata,
            )
            ordinal += 1
        offset += len(part.text) + 1


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a stretch without the white space at its ends; an empty one at `start` when there is nothing else."""
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    return start, end
