"""A comparison in words, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing.chat_results import ChatComparison, ModelReport
from wherry.comparing.costs import Cost
from wherry.comparing.results import Bar, Comparison

UNKNOWN = "not measured"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def verdict(found: Comparison) -> tuple[str, str]:
    """Return how it came out in a word or two, and why in a sentence."""
    if not found.passed:
        return missed(found.bars)
    if not found.bars:
        return "Compared", f"No bar was set. The answers overlap by {figure(found.overlap)}."
    kept = "; ".join(f"{bar.name} {bar.mean:.3f}" for bar in found.bars)
    return "Every bar is met", f"{kept}. Of {found.questions:,} questions {_differ(found)}."


def missed(bars: Sequence[Bar]) -> tuple[str, str]:
    """Return which bars were not reached, and by how much."""
    return "Below the bar", "; ".join(_missed(bar) for bar in bars if not bar.met) + "."


def chat_verdict(found: ChatComparison) -> tuple[str, str]:
    """Return how a comparison of models came out in a word or two, and why in a sentence."""
    if not found.passed:
        return missed(found.bars)
    alike = "no question was answered by both" if found.wording is None else f"wording alike by {figure(found.wording)}"
    return (
        "Every bar is met" if found.bars else "Compared",
        f"{alike}; failures of the new model: {failures(found.new)}.",
    )


def failures(model: ModelReport) -> str:
    """Return how often a model failed, and at what."""
    if not model.failures:
        return "none"
    return ", ".join(f"{count:,} × {name}" for name, count in model.failures.items())


def figure(found: Interval | None, digits: int = 3) -> str:
    """Return a mean with its interval."""
    if found is None or math.isnan(found.mean):
        return UNKNOWN
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def milliseconds(value: float | None) -> str:
    """Return a time in milliseconds, as exact as it is worth."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def size(count: int | None) -> str:
    """Return a number of bytes in decimal units."""
    if count is None:
        return UNKNOWN
    amount, unit = float(count), 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{amount:,.1f} {_UNITS[unit]}"


def dollars(amount: float | None) -> str:
    """Return an amount of money, small ones with as many digits as they need."""
    if amount is None:
        return "no price known"
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}"


def each(cost: Cost | None) -> str:
    """Return what a question costs on a side."""
    return UNKNOWN if cost is None else dollars(cost.per_query)


def monthly(cost: Cost | None) -> str:
    """Return what a side costs a month, and for how many questions."""
    return UNKNOWN if cost is None else f"{dollars(cost.per_month)} for {cost.queries:,} questions"


def drift(found: Comparison) -> str:
    """Return how similarities moved."""
    moved = found.drift
    if not moved.pairs:
        return "no record was found by both sides"
    if not moved.comparable:
        return "the similarities of the two sides are not on one scale"
    word = "significant" if moved.significant else "not significant"
    ends = [0.0 if abs(value) < 5e-7 else value for value in (moved.mean.mean, moved.mean.low, moved.mean.high)]
    return f"{ends[0]:.2g} ({ends[1]:.2g} to {ends[2]:.2g}), {word}; the largest of one record {moved.most:.2g}"


def change(found: Comparison) -> str:
    """Return how B's median time differs from A's."""
    return moved_by(found.median_change, "B")


def moved_by(moved: Interval | None, side: str) -> str:
    """Return how the median time of a side differs from the other's, given in milliseconds."""
    if moved is None:
        return UNKNOWN
    if moved.low <= 0 <= moved.high:
        return f"no difference that these questions prove ({moved.low:+.3g} to {moved.high:+.3g} ms)"
    word = "slower" if moved.mean > 0 else "faster"
    least, most = sorted((abs(moved.low), abs(moved.high)))
    return f"{side} is {word} by {abs(moved.mean):.3g} ms ({least:.3g} to {most:.3g} ms)"


def _missed(bar: Bar) -> str:
    if math.isinf(bar.low):
        return f"{bar.name} could not be measured, at least {bar.least:g} is wanted"
    why = "" if bar.mean < bar.least else ", which takes more questions to prove"
    return f"{bar.name} is {bar.mean:.3f}, of which {bar.low:.3f} is proved (95 %); {bar.least:g} is wanted{why}"


def _differ(found: Comparison) -> str:
    many = {0: "none is", 1: "one is"}.get(found.differing, f"{found.differing:,} are")
    return f"{many} answered differently; at most {found.at_most:.1%} of all such questions could be (95 %)"
