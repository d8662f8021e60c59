"""Both answers to each question, side by side, as figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wherry.comparing.asking import Answers
from wherry.comparing.metrics import Ranked, overlap, rank_biased_overlap, recall
from wherry.comparing.questions import Question
from wherry.comparing.results import Asked
from wherry.comparing.truth import Truth
from wherry.stores.base import Hit


def paired(questions: Sequence[Question], answers: Sequence[Answers], truths: Sequence[Truth | None]) -> list[Asked]:
    """Return the figures of every question. answers, truths: of side A and side B; None for what was recorded."""
    return [
        _asked(question, number, (answers[0].hits[number], answers[1].hits[number]), truths)
        for number, question in enumerate(questions)
    ]


def _asked(
    question: Question, number: int, hits: tuple[tuple[Hit, ...], tuple[Hit, ...]], truths: Sequence[Truth | None]
) -> Asked:
    served = [_ranked(found, truth, number) for found, truth in zip(hits, truths, strict=True)]
    exact = None
    if all(_known(truth, number) for truth in truths):
        right = [_ranked(truth.nearest[number], truth, number) for truth in truths if truth is not None]
        exact = overlap(right[0], right[1])
    return Asked(
        name=question.name,
        shown=question.shown,
        overlap=overlap(served[0], served[1]),
        exact=exact,
        rank=rank_biased_overlap(served[0].ids, served[1].ids),
        drift=_drift(hits),
        recall=(_recall(hits[0], truths[0], number), _recall(hits[1], truths[1], number)),
        hits=hits,
    )


def _known(truth: Truth | None, number: int) -> bool:
    return truth is not None and truth.queries[number] is not None


def _ranked(hits: Sequence[Hit], truth: Truth | None, number: int) -> Ranked:
    ids = tuple(hit.id for hit in hits)
    query = truth.queries[number] if truth is not None else None
    if truth is None or query is None:
        return Ranked(ids, known=False)
    return Ranked(ids, truth.apart[number], query.metric)


def _recall(hits: Sequence[Hit], truth: Truth | None, number: int) -> float | None:
    query = truth.queries[number] if truth is not None else None
    if truth is None or query is None:
        return None
    apart = truth.apart[number]
    found = [apart.get(hit.id, math.inf) for hit in hits]
    return recall(found, [hit.distance for hit in truth.nearest[number]], query.metric)


def _drift(hits: tuple[Sequence[Hit], Sequence[Hit]]) -> float:
    moves = moves_of(hits)
    return sum(moves) / len(moves) if moves else math.nan


def moves_of(hits: tuple[Sequence[Hit], Sequence[Hit]]) -> list[float]:
    """Return by how much the similarity of each record that both sides found differs from A to B."""
    before = {hit.id: hit.similarity for hit in hits[0]}
    return [hit.similarity - before[hit.id] for hit in hits[1] if hit.id in before]
