"""How things are measured: in turn within one run, several rounds, medians of ratios.

The machine may be shared and noisy, so a figure is never an absolute. Each round times the reference
and the contender one after the other; the ratio of a round is what counts, and the median of the
rounds is what is reported, with the smallest and the largest beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """One measured bar.

    ratios: one per round. wanted: the bar, `at_least` tells which side of it is good. detail: what was
    measured, with the absolute medians, for the reader to judge.
    """

    number: str
    name: str
    wanted: float
    at_least: bool
    ratios: tuple[float, ...]
    detail: str
    unit: str = "x"

    @property
    def median(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the median meets the bar."""
        return self.median >= self.wanted if self.at_least else self.median <= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """Return the bar as a JSON object."""
        return {**asdict(self), "median": self.median, "met": self.met}

    def row(self) -> str:
        """Return the bar as a line of the table."""
        sign = ">=" if self.at_least else "<="
        spread = f"{min(self.ratios):.2f}..{max(self.ratios):.2f}"
        return (
            f"{self.number:<4}{self.name:<58}{sign} {self.wanted:<6g}{self.median:>7.2f}{self.unit:<3}"
            f"({spread:<12}) {'met' if self.met else 'MISSED':<7}{self.detail}"
        )


def timed(act: Callable[[], Any]) -> float:
    """Return how many seconds `act` takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def in_turn(acts: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Time several acts in turn, `rounds` times; return the seconds of each act, round by round.

    The order turns with every round, so that none always runs on what another one has warmed.
    """
    seconds: list[list[float]] = [[] for _ in acts]
    for number in range(rounds):
        for step in range(len(acts)):
            which = (step + number) % len(acts)
            seconds[which].append(timed(acts[which]))
    return seconds


def rate_ratios(contender: Sequence[float], reference: Sequence[float]) -> tuple[float, ...]:
    """Return the contender's rate as a share of the reference's, round by round."""
    return tuple(r / c for c, r in zip(contender, reference, strict=True))


def multiples(contender: Sequence[float], reference: Sequence[float]) -> tuple[float, ...]:
    """Return the contender's seconds or bytes as multiples of the reference's, round by round."""
    return tuple(c / r for c, r in zip(contender, reference, strict=True))


def per_second(rows: int, seconds: Sequence[float]) -> str:
    """Return a rate for a person: rows per second at the median."""
    return f"{rows / statistics.median(seconds):,.0f}/s"
