"""`compare`: the same questions to two sides.

found = wherry.compare("llamacloud:#guides", "pgvector:#guides", "questions.txt")
found.passed, found.overlap.mean, found.b.recall
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from wherry.comparing.asking import Answers, ask_all, warm
from wherry.comparing.costs import PER_MONTH
from wherry.comparing.footprint import growth, resident
from wherry.comparing.page import write_page
from wherry.comparing.questions import Question, Questions, read_questions
from wherry.comparing.reporting import Evidence, Wishes, reported
from wherry.comparing.results import Comparison
from wherry.comparing.sides import RECORDED, End, Side, Tape, embedded, is_recorded, opened
from wherry.comparing.truth import Truth, look, measure
from wherry.errors import SpaceMismatch, Usage
from wherry.models.base import Embedder
from wherry.moving.progress import Progress, silent
from wherry.pages.frame import require_place

ROUNDS = 3
WORST = 10


def compare(
    a: End,
    b: End,
    queries: Questions,
    *,
    k: int = 10,
    min_recall: float | None = None,
    min_overlap: float | None = None,
    embedder: str | Embedder | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    per_month: int = PER_MONTH,
    worst: int = WORST,
    report: str | Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Ask two collections the same questions, and say how far B answers as A does and as it should.

    a, b: addresses, routes or open stores; `recorded` is the answers written beside the questions. queries: a file
    (see `read_questions`), a list, or an array of vectors. k: records per answer. min_recall: what B's recall has
    to reach. min_overlap: what the overlap of both answers has to reach; where nothing is said and both sides hold
    vectors of one space, the exact neighbours have to be the same. A bar is reached when the lower end of the 95 %
    interval reaches it. embedder: for texts; each collection's own model by default. rounds: times each question
    is asked. per_month: questions a month that costs are worked out for. worst: questions listed with both answers.
    report: where a page is written. Raises Usage, SpaceMismatch, UnknownMetric, or the errors of stores and models.
    """
    started, written = time.perf_counter(), Path(report) if report is not None else None
    require_place(written)
    _require(k, rounds, worst, per_month, min_recall, min_overlap)
    questions = read_questions(queries)
    with ExitStack() as stack:
        ends = [_side(stack, end, questions, queries, embedder) for end in (a, b)]
        sides = [end for end in ends if isinstance(end, Side)]
        if not sides:
            raise Usage(f"both sides are {RECORDED}: there is nothing to ask", next="name a collection as one of them")
        copied = _require_comparable(sides, questions)
        embedded(sides, questions)
        for side in sides:
            _warmed(side, questions, k)
        answers = ask_all(ends, questions, k, rounds, seed, progress)
        evidence = Evidence(ends, answers, _truths(ends, answers, k, progress), questions, k, seed, copied)
        wishes = Wishes(min_recall, min_overlap, worst, per_month)
        found = replace(reported(evidence, wishes), rounds=rounds, seconds=time.perf_counter() - started)
    if written is not None:
        write_page(found, written)
    return found


def _side(
    stack: ExitStack, end: End, questions: tuple[Question, ...], queries: Questions, embedder: str | Embedder | None
) -> Side | Tape:
    if not is_recorded(end):
        return stack.enter_context(opened(end, embedder))
    return Tape(questions, str(queries) if isinstance(queries, (str, Path)) else "queries")


def _require(
    k: int, rounds: int, worst: int, per_month: int, min_recall: float | None, min_overlap: float | None
) -> None:
    for name, value, least in (("k", k, 1), ("rounds", rounds, 1), ("worst", worst, 0), ("per_month", per_month, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise Usage(f"{name} is {value!r}; it has to be a whole number of at least {least}", where="compare")
    for name, bar in (("min_recall", min_recall), ("min_overlap", min_overlap)):
        if bar is not None and not (isinstance(bar, (int, float)) and 0 <= bar <= 1):
            raise Usage(f"{name} is {bar!r}; it has to be between 0 and 1", where="compare")


def _require_comparable(sides: Sequence[Side], questions: Sequence[Question]) -> bool:
    """Tell whether both sides hold vectors of one space. Raises SpaceMismatch where a vector would ask two models."""
    if len(sides) < 2:
        return False
    conflicts = sides[0].collection.space.conflicts(sides[1].collection.space)
    conflicts = [line for line in conflicts if line.partition(":")[0] not in ("metric", "normalised")]
    if conflicts and any(question.vector is not None for question in questions):
        raise SpaceMismatch(
            f"a vector cannot ask collections of two models ({'; '.join(conflicts)})",
            where=f"{sides[0].address} / {sides[1].address}",
            left="nothing was asked",
            next="ask with texts: each side's own model embeds them",
        )
    return not conflicts


def _warmed(side: Side, questions: Sequence[Question], k: int) -> None:
    before = resident()
    warm(side, questions, k)
    grown = growth(before)
    if side.memory is not None and grown is not None:
        side.memory += grown


def _truths(ends: Sequence[Side | Tape], answers: Sequence[Answers], k: int, progress: Progress) -> list[Truth | None]:
    """Return what is right on each side, with the distances of everything the other side named."""
    truths = [
        look(end.store, end.searcher.space, end.vectors, k, progress) if isinstance(end, Side) else None for end in ends
    ]
    count = len(answers[0].hits)
    wanted = [{hit.id for side in answers for hit in side.hits[n]} for n in range(count)]
    for truth in truths:
        for number in range(count if truth else 0):
            wanted[number] |= {hit.id for hit in truth.nearest[number]} if truth else set()
    for end, truth in zip(ends, truths, strict=True):
        if isinstance(end, Side) and truth is not None:
            measure(end.store, truth, wanted)
    return truths
