"""From what two models answered to the figures of their comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing.chat_metrics import likeness, shared, wording
from wherry.comparing.chat_results import Answer, ChatComparison, Exchange, ModelReport
from wherry.comparing.questions import Question
from wherry.comparing.results import QUANTILES, Bar
from wherry.comparing.statistics import Bootstrap


@dataclass(frozen=True)
class Heard:
    """What was asked and answered. answers: of the old model and the new one, in order of the questions."""

    questions: Sequence[Question]
    passages: Sequence[tuple[str, ...]]
    answers: Sequence[Sequence[Answer]]
    models: tuple[str, str]
    address: str
    k: int
    seed: int


@dataclass(frozen=True)
class Wishes:
    """What has to be reached, how many of the worst questions are listed, and questions a month."""

    min_agreement: float | None
    min_cited: float | None
    max_failed: float | None
    worst: int
    per_month: int


def reported(heard: Heard, wishes: Wishes) -> ChatComparison:
    """Return the comparison, without what it took."""
    exchanges = [_exchange(heard, number) for number in range(len(heard.questions))]
    both = [one for one in exchanges if one.wording is not None]
    old, new = (_model(heard, which, wishes.per_month) for which in (0, 1))
    agreement = _mean([one.wording for one in both], heard.seed)
    return ChatComparison(
        old=old,
        new=new,
        address=heard.address,
        questions=len(exchanges),
        k=heard.k,
        wording=agreement,
        likeness=_mean([one.likeness for one in both], heard.seed),
        shared=_mean([one.shared for one in both], heard.seed),
        median_change=_median_change(both, heard.seed),
        bars=tuple(_bars(wishes, agreement, new)),
        worst=tuple(_worst(exchanges, wishes.worst)),
        exchanges=tuple(exchanges),
        notes=tuple(_notes(heard, (old, new))),
        seed=heard.seed,
    )


def _exchange(heard: Heard, number: int) -> Exchange:
    question, passages = heard.questions[number], heard.passages[number]
    old, new = heard.answers[0][number], heard.answers[1][number]
    base = Exchange(question.name, question.text or "", passages, old, new)
    if old.error or new.error:
        return base
    figures = wording(old.text, new.text), likeness(old.text, new.text), shared(old.citations, new.citations)
    return Exchange(question.name, question.text or "", passages, old, new, *figures)


def _model(heard: Heard, which: int, per_month: int) -> ModelReport:
    answers = heard.answers[which]
    good = [answer for answer in answers if answer.error is None]
    samples = [1000 * answer.seconds for answer in good]
    draws = Bootstrap(len(samples), heard.seed)
    # A price is known for all answers or for none.
    costs = [answer.cost for answer in good if answer.cost is not None]
    cost = sum(costs) if good and len(costs) == len(good) else None
    each = None if cost is None else cost / len(good)
    return ModelReport(
        model=heard.models[which],
        answered=len(good),
        empty=sum(not answer.text.strip() for answer in good),
        failures=dict(sorted(Counter(answer.error for answer in answers if answer.error).items())),
        failed=Bootstrap(len(answers), heard.seed).mean([float(answer.error is not None) for answer in answers]),
        times=tuple(draws.quantile(samples, share) for share in QUANTILES),
        samples=tuple(samples),
        tokens_in=sum(answer.tokens_in for answer in good),
        tokens_out=sum(answer.tokens_out for answer in good),
        cost=cost,
        per_question=each,
        per_month=None if each is None else each * per_month,
        queries=per_month,
        cited=draws.mean([float(answer.citations.kept) for answer in good]),
    )


def _mean(values: Sequence[float | None], seed: int) -> Interval | None:
    known = [value for value in values if value is not None]
    return Bootstrap(len(known), seed).mean(known) if known else None


def _median_change(both: Sequence[Exchange], seed: int) -> Interval | None:
    if not both:
        return None
    before = [1000 * exchange.old.seconds for exchange in both]
    after = [1000 * exchange.new.seconds for exchange in both]
    return Bootstrap(len(both), seed).quantile_change(before, after, 0.5)


def _bars(wishes: Wishes, agreement: Interval | None, new: ModelReport) -> Iterator[Bar]:
    if wishes.min_agreement is not None:
        found = agreement or Interval(math.nan, -math.inf, math.nan)
        yield Bar("likeness of wording", found.mean, found.low, wishes.min_agreement)
    if wishes.min_cited is not None:
        yield Bar("citations kept by NEW", new.cited.mean, new.cited.low, wishes.min_cited)
    if wishes.max_failed is not None:
        # Turned round, so that every bar is one that has to be reached from below.
        yield Bar("questions NEW answers", 1 - new.failed.mean, 1 - new.failed.mean, round(1 - wishes.max_failed, 9))


def _worst(exchanges: Sequence[Exchange], most: int) -> list[Exchange]:
    """Return the questions to read first: failures, then the answers that are worded least alike."""
    order = sorted(
        range(len(exchanges)), key=lambda n: (-1.0 if exchanges[n].wording is None else exchanges[n].wording, n)
    )
    return [exchanges[n] for n in order[:most] if (exchanges[n].wording or 0.0) < 1]


def _notes(heard: Heard, models: Sequence[ModelReport]) -> Iterator[str]:
    bare = sum(not passages for passages in heard.passages)
    if bare:
        yield f"for {bare:,} questions no passage with a text was found"
    for model in models:
        if model.cost is None:
            yield f"no price is known for {model.model}: state it in a file and set WHERRY_PRICES to its path"
        if model.empty:
            yield f"{model.model} gave {model.empty:,} answers without a word"
