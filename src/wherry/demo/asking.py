"""The questions of the story: asked of the export before anything moves, and of the collection where it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import wherry
from wherry.answering.ask_results import source_of

QUESTIONS = (
    "공복혈당이 108이면 당뇨병인가요?",
    "요산을 낮추려면 무엇을 줄여야 하나요?",
    "혈압이 180을 넘고 말이 어눌해지면 어떻게 하나요?",
)


def answers(address: str) -> list[wherry.Answer]:
    """Return the answers of a collection to the questions, quoted from its records: no model is needed."""
    return [wherry.ask(question, in_=address) for question in QUESTIONS]


def same(before: wherry.Answer, after: wherry.Answer) -> bool:
    """Tell whether two answers cite the same words of the same records, and any at all."""
    return before.found and _cited(before) == _cited(after) and before.text == after.text


def tell(before: Sequence[wherry.Answer], after: Sequence[wherry.Answer], line: Callable[[str], None]) -> None:
    """Say the questions with both answers and the sources they cite."""
    for first, second in zip(before, after, strict=True):
        line(f"ask     {first.question}")
        for when, answer in (("before", first), ("after", second)):
            for n, words in enumerate(_lines(answer)):
                line(f"        {when if n == 0 else '':<6}  {words}")


def _lines(answer: wherry.Answer) -> Iterator[str]:
    """Yield the quotations, without the label above them, and where they stand."""
    yield from answer.text.split("\n\n", 1)[-1].splitlines()
    for citation in answer.citations:
        yield f"[{citation.number}] {source_of(citation)}"


def _cited(answer: wherry.Answer) -> list[tuple[str, str]]:
    return [(citation.id, citation.quote) for citation in answer.citations]
