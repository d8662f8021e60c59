"""Words an applicant really said: a quote counts when it stands verbatim in the answer, and is placed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """A statement and the words it points at: quote == answer[start:end]."""

    text: str
    quote: str
    start: int
    end: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def quoted(text: str, quote: str, answer: str) -> Evidence | None:
    """Return the statement with its quote placed; None when the quote does not stand in the answer."""
    start = answer.find(quote) if quote.strip() else -1
    return None if start < 0 else Evidence(text, quote, start, start + len(quote))


def at(text: str, answer: str, span: tuple[int, int]) -> Evidence:
    """Return a statement that points at a place of the answer."""
    return Evidence(text, answer[span[0] : span[1]], *span)


def verified(given: Iterable[Mapping[str, Any]], answer: str) -> tuple[list[Evidence], list[str]]:
    """Return the statements whose quotes were said, and the texts of the others; offsets that came are not trusted."""
    kept: list[Evidence] = []
    removed: list[str] = []
    for one in given:
        found = quoted(str(one.get("text", "")), str(one.get("quote", "")), answer)
        if found is None:
            removed.append(str(one.get("text", "")))
        else:
            kept.append(found)
    return kept, removed
