"""What asking gives back: a text, the records it rests on, and what a reader should know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherry.answering.citations import Citation, visible
from wherry.answering.passages import Passage
from wherry.models.base import Usage


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    text: plain, with citations as [1]; nothing in it is markup, an image or a link. citations: the passages it cites,
    by number; all of them were retrieved for this request. passages: what it was made from, best first. model: who
    wrote it; `offline` where it consists of quotations. extractive: whether it holds quotations instead of, or behind,
    what a model wrote. notes: what was removed, left out or failed, one sentence each. conversation: its id, None
    without one. seconds: from the call to the last word.
    """

    question: str
    text: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    model: str
    usage: Usage
    extractive: bool
    language: str
    address: str
    notes: tuple[str, ...] = ()
    conversation: str | None = None
    seconds: float = 0.0

    @property
    def found(self) -> bool:
        """Whether it rests on any record at all."""
        return bool(self.citations)

    def __str__(self) -> str:
        """Return the text with its sources below."""
        return "\n".join([self.text, *(f"[{one.number}] {source_of(one)}" for one in self.citations)])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry ask --json` prints."""
        return {
            "question": self.question,
            "answer": self.text,
            "extractive": self.extractive,
            "found": self.found,
            "language": self.language,
            "citations": [one.to_dict() for one in self.citations],
            "passages": [one.to_dict() for one in self.passages],
            "in": self.address,
            "model": self.model,
            "usage": dict(self.usage.__dict__),
            "conversation": self.conversation,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


def source_of(citation: Citation) -> str:
    """Return where a citation stands, on one line: the record's id, then source, page and section where known."""
    known = (citation.metadata.get(key) for key in ("source", "title", "page", "section"))
    words = dict.fromkeys(" ".join(str(value).split()) for value in known if isinstance(value, str | int | float))
    return visible(" · ".join([citation.id, *words]))
