"""From what was asked and read to the figures of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing.asking import Answers
from wherry.comparing.costs import Cost, cost_of
from wherry.comparing.pairing import moves_of, paired
from wherry.comparing.questions import Question
from wherry.comparing.results import QUANTILES, Asked, Bar, Comparison, Drift, SideReport, Times
from wherry.comparing.sides import Side, Tape
from wherry.comparing.statistics import Bootstrap, at_most
from wherry.comparing.truth import Truth
from wherry.space import Metric

# A similarity that moves by less than what half precision moves it by is no drift.
MATTERS = 1e-4
_WHOLE = 1 - 1e-9


@dataclass(frozen=True)
class Evidence:
    """What was asked and read. copied: whether both sides hold vectors of one space."""

    ends: Sequence[Side | Tape]
    answers: Sequence[Answers]
    truths: Sequence[Truth | None]
    questions: tuple[Question, ...]
    k: int
    seed: int
    copied: bool


@dataclass(frozen=True)
class Wishes:
    """What has to be reached, how many of the worst questions are listed, and questions a month."""

    min_recall: float | None
    min_overlap: float | None
    worst: int
    per_month: int


def reported(evidence: Evidence, wishes: Wishes) -> Comparison:
    """Return the comparison, without what it took."""
    asked = paired(evidence.questions, evidence.answers, evidence.truths)
    draws = Bootstrap(len(asked), evidence.seed)
    a, b = (_side(evidence, asked, which, draws, wishes.per_month) for which in (0, 1))
    served = draws.mean([one.overlap for one in asked])
    exact = _mean(draws, [one.exact for one in asked])
    differing = sum(one.overlap < _WHOLE for one in asked)
    recalls = [(one.recall[0], one.recall[1]) for one in asked]
    return Comparison(
        a=a,
        b=b,
        questions=len(asked),
        k=evidence.k,
        overlap=served,
        exact=exact,
        rank=draws.mean([one.rank for one in asked]),
        drift=_drift(evidence, asked),
        recall_change=_mean(draws, [None if x is None or y is None else y - x for x, y in recalls]),
        median_change=_median_change(evidence.answers, draws),
        differing=differing,
        at_most=at_most(differing, len(asked)),
        bars=tuple(_bars(wishes, b, served, exact, evidence.copied)),
        worst=tuple(_worst(asked, wishes.worst)),
        asked=tuple(asked),
        seed=evidence.seed,
        copied=evidence.copied,
        notes=tuple(_notes(evidence, wishes, a, b)),
    )


def _side(evidence: Evidence, asked: Sequence[Asked], which: int, draws: Bootstrap, per_month: int) -> SideReport:
    end, truth, answers = evidence.ends[which], evidence.truths[which], evidence.answers[which]
    times = _times(end, answers, draws)
    if not isinstance(end, Side):
        return SideReport(end.address, None, None, None, None, None, None, None, times)
    found = end.collection
    ghosts = sum(
        hit.id not in truth.apart[number]
        for number, hits in enumerate(answers.hits)
        for hit in hits
        if truth is not None and truth.queries[number] is not None
    )
    return SideReport(
        address=end.address,
        records=found.count,
        model=end.model,
        metric=end.searcher.space.metric,
        recall=_mean(draws, [one.recall[which] for one in asked]),
        cost=_cost(end, evidence.questions, per_month),
        disk=found.bytes,
        memory=end.memory,
        times=times,
        ghosts=ghosts,
        notes=tuple(end.notes),
    )


def _cost(side: Side, questions: Sequence[Question], per_month: int) -> Cost:
    return cost_of(side.address, side.collection.bytes, side.model, questions, per_month)


def _times(end: Side | Tape, answers: Answers, draws: Bootstrap) -> Times | None:
    """Return the times of a side; None where nobody wrote all of them down."""
    samples = [1000 * seconds for heard in answers.seconds for seconds in heard]
    if any(math.isnan(one) for one in samples):
        return None
    spread = Bootstrap(len(samples), draws.seed)
    embedding = sorted(s for s in end.embedding if s is not None) if isinstance(end, Side) else []
    middle = 1000 * embedding[len(embedding) // 2] if embedding else None
    return Times(tuple(spread.quantile(samples, share) for share in QUANTILES), middle, tuple(samples))


def _median_change(answers: Sequence[Answers], draws: Bootstrap) -> Interval | None:
    """Return by how many milliseconds the median grew from A to B, each question by the mean of its rounds."""
    before, after = ([1000 * sum(heard) / len(heard) for heard in side.seconds] for side in answers)
    if any(math.isnan(one) for one in (*before, *after)):
        return None
    return draws.quantile_change(before, after, 0.5)


def _mean(draws: Bootstrap, values: Sequence[float | None]) -> Interval | None:
    """Return the mean over all questions; None unless it was measured for every one."""
    known = [value for value in values if value is not None]
    return draws.mean(known) if len(known) == len(values) else None


def _drift(evidence: Evidence, asked: Sequence[Asked]) -> Drift:
    """Return how similarities moved; two models, or two metrics, have no common scale."""
    moves = [abs(move) for one in asked for move in moves_of(one.hits)]
    known = [one.drift for one in asked if not math.isnan(one.drift)]
    nothing = Interval(math.nan, math.nan, math.nan)
    mean = Bootstrap(len(known), evidence.seed).mean(known) if known else nothing
    metrics = {end.searcher.space.metric for end in evidence.ends if isinstance(end, Side)}
    recorded = any(isinstance(end, Tape) for end in evidence.ends)
    comparable = (evidence.copied or recorded) and len(metrics) == 1 and bool(known)
    scale = 1.0 if metrics <= {Metric.COSINE} else _scale(asked)
    return Drift(mean, max(moves, default=math.nan), MATTERS * scale, comparable, len(moves))


def _scale(asked: Sequence[Asked]) -> float:
    """Return how large similarities are: distances of other metrics have no scale of their own."""
    sizes = [abs(hit.similarity) for one in asked for hit in one.hits[0]]
    return sum(sizes) / len(sizes) if sizes else 1.0


def _bars(wishes: Wishes, b: SideReport, served: Interval, exact: Interval | None, copied: bool) -> Iterator[Bar]:
    if wishes.min_recall is not None:
        found = b.recall or Interval(math.nan, -math.inf, math.nan)
        yield Bar("recall of B", found.mean, found.low, wishes.min_recall)
    if wishes.min_overlap is not None:
        yield Bar("overlap", served.mean, served.low, wishes.min_overlap)
    elif copied and exact is not None:
        # What was copied answers the same. The indexes may err; the exact neighbours may not.
        yield Bar("overlap of the exact neighbours", exact.mean, exact.low, 1.0)


def _worst(asked: Sequence[Asked], most: int) -> list[Asked]:
    """Return the questions whose answers differ most, worst first; those that agree in all are none of them."""
    different = [one for one in asked if min(one.overlap, one.rank, 1.0 if one.exact is None else one.exact) < _WHOLE]
    order = sorted(range(len(different)), key=lambda n: (_agreement(different[n]), n))
    return [different[n] for n in order[:most]]


def _agreement(one: Asked) -> tuple[float, float]:
    return min(one.overlap, 1.0 if one.exact is None else one.exact), one.rank


def _notes(evidence: Evidence, wishes: Wishes, a: SideReport, b: SideReport) -> Iterator[str]:
    if not evidence.copied and wishes.min_overlap is None and wishes.min_recall is None:
        yield "no bar was set, so nothing can fall below it: state --min-overlap or --min-recall"
    if a.records is not None and b.records is not None and a.records != b.records:
        yield f"A holds {a.records:,} records, B {b.records:,}"
    if a.metric and b.metric and a.metric != b.metric:
        yield f"A measures by {a.metric}, B by {b.metric}: their similarities are not on one scale"
    if a.model and b.model and not evidence.copied:
        yield f"two models: {a.model} and {b.model}; overlap says how far they agree, not which one is right"
    for letter, side in (("A", a), ("B", b)):
        if side.ghosts:
            yield f"{side.ghosts:,} answers of {letter} name records that it does not hold: its index is out of date"
        for unknown in side.cost.unknown if side.cost else ():
            yield f"no price is known for {unknown}: state it in a file and set WHERRY_PRICES to its path"
