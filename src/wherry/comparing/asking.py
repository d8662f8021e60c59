"""Asking both sides in one shuffled order, so that a busy moment of the machine strikes both alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wherry.comparing.questions import Question
from wherry.comparing.sides import Heard
from wherry.moving.progress import Progress, silent
from wherry.stores.base import Hit

WARM_UP = 10


class Asked(Protocol):
    """Something that answers questions."""

    def ask(self, number: int, question: Question, k: int) -> Heard:
        """Return the answer and the seconds it took."""
        ...


@dataclass
class Answers:
    """What one side answered. hits: per question, as first answered. seconds: per question, a time per round."""

    hits: list[tuple[Hit, ...]]
    seconds: list[list[float]] = field(default_factory=list)


def warm(side: Asked, questions: Sequence[Question], k: int) -> None:
    """Ask some questions that are not timed: files are opened, graphs are loaded, connections are made."""
    for number, question in enumerate(questions[:WARM_UP]):
        side.ask(number, question, k)


def ask_all(
    sides: Sequence[Asked],
    questions: Sequence[Question],
    k: int,
    rounds: int,
    seed: int,
    progress: Progress = silent,
) -> list[Answers]:
    """Ask every side every question, `rounds` times, in one random order that the seed decides."""
    order = [(r, n, s) for r in range(rounds) for n in range(len(questions)) for s in range(len(sides))]
    random.Random(seed).shuffle(order)
    answers = [Answers([()] * len(questions), [[] for _ in questions]) for _ in sides]
    for done, (turn, number, which) in enumerate(order, 1):
        hits, seconds = sides[which].ask(number, questions[number], k)
        answers[which].seconds[number].append(seconds)
        if turn == 0:
            answers[which].hits[number] = _distinct(hits, k)
        progress("ask", done, len(order))
    return answers


def _distinct(hits: Sequence[Hit], k: int) -> tuple[Hit, ...]:
    """Return the hits with each id once, where it stood first."""
    held: dict[str, Hit] = {}
    for hit in hits:
        held.setdefault(hit.id, hit)
    return tuple(held.values())[:k]
