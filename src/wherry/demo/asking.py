"""The questions of the story: asked before anything moves, and of the collection where it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import wherry
from wherry.answering.ask_results import source_of

QUESTIONS = (
    "공복혈당이 108이면 당뇨병인가요?",
    "금식할 때 물은 마셔도 되나요?",
    "혈압이 180을 넘고 말이 어눌해지면 어떻게 하나요?",
)


def answers(place: str, mode: str | None = None) -> list[wherry.Answer]:
    """Return the answers of an address or a route to the questions, quoted from its records: no model is needed.

    mode: `vector` where one side is a service of the cloud, which offers no other.
    """
    return [wherry.ask(question, in_=place, mode=mode) for question in QUESTIONS]


def same(before: wherry.Answer, after: wherry.Answer) -> bool:
    """Tell whether two answers cite the same words of the same records, and any at all."""
    return before.found and _cited(before) == _cited(after) and before.text == after.text


def tell(when: str, found: Sequence[wherry.Answer], line: Callable[[str], None]) -> None:
    """Say the questions with the sentences quoted for each and where they stand."""
    for answer in found:
        line(f"ask     {answer.question}   ({when})")
        for words in _lines(answer):
            line(f"        {words}")


def _lines(answer: wherry.Answer) -> Iterator[str]:
    """Yield the quotations, without the label above them, and where they stand."""
    yield from answer.text.split("\n\n", 1)[-1].splitlines()
    for citation in answer.citations:
        yield f"[{citation.number}] {source_of(citation)}"


def _cited(answer: wherry.Answer) -> list[tuple[str, str]]:
    return [(citation.id, citation.quote) for citation in answer.citations]
