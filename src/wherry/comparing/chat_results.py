"""What `compare_chat` returns; `to_dict` is the JSON its command prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing.chat_metrics import NO_CITATIONS, Citations
from wherry.comparing.costs import rounded
from wherry.comparing.results import NAMES, Bar, plain
from wherry.errors import Different


@dataclass(frozen=True)
class Answer:
    """One answer of one model. error: the class of the error where there is none, and its first line in `why`.

    seconds: what it took, also to fail. cost: US dollars, None where no price is known.
    """

    text: str = ""
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    citations: Citations = NO_CITATIONS
    error: str | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a JSON object."""
        return {
            "text": self.text,
            "error": self.error,
            "cites": sorted(self.citations.valid),
            "cites_wrongly": sorted(self.citations.other),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
        }


@dataclass(frozen=True)
class ModelReport:
    """One model. times: p50, p95, p99 of its answers in milliseconds. cited: share of answers with valid markers only.

    empty: answers without a word. failures: class of error -> how often. tokens and cost are of the questions
    answered; per_question and per_month are None where no price is known.
    """

    model: str
    answered: int
    empty: int
    failures: Mapping[str, int]
    failed: Interval
    times: tuple[Interval, ...]
    samples: tuple[float, ...]
    tokens_in: int
    tokens_out: int
    cost: float | None
    per_question: float | None
    per_month: float | None
    queries: int
    cited: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object, times apart."""
        return {
            "model": self.model,
            "answered": self.answered,
            "empty": self.empty,
            "failures": dict(self.failures),
            "failed": plain(self.failed),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": {
                "asked": rounded(self.cost),
                "per_question": rounded(self.per_question),
                "per_month": rounded(self.per_month),
                "questions_per_month": self.queries,
            },
            "citations_kept": plain(self.cited),
        }

    def measured(self) -> dict[str, Any]:
        """Return what the machine and the moment decide."""
        return {"answer_ms": {name: plain(found, 1) for name, found in zip(NAMES, self.times, strict=False)}}


@dataclass(frozen=True)
class Exchange:
    """One question, the passages both models were given, and what they answered.

    wording, likeness, shared: as `chat_metrics` has them; None where one of them failed.
    """

    name: str
    question: str
    passages: tuple[str, ...]
    old: Answer
    new: Answer
    wording: float | None = None
    likeness: float | None = None
    shared: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the exchange as a JSON object."""
        return {
            "name": self.name,
            "question": self.question,
            "passages": len(self.passages),
            "wording": None if self.wording is None else round(self.wording, 4),
            "likeness": None if self.likeness is None else round(self.likeness, 4),
            "citations_shared": None if self.shared is None else round(self.shared, 4),
            "old": self.old.to_dict(),
            "new": self.new.to_dict(),
        }


@dataclass(frozen=True)
class ChatComparison:
    """How two models answered the same questions about the same passages.

    wording, likeness, shared: over the questions both answered, None where there is none.
    """

    old: ModelReport
    new: ModelReport
    address: str
    questions: int
    k: int
    wording: Interval | None
    likeness: Interval | None
    shared: Interval | None
    median_change: Interval | None
    bars: tuple[Bar, ...]
    worst: tuple[Exchange, ...]
    exchanges: tuple[Exchange, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    seed: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every bar was reached."""
        return all(bar.met for bar in self.bars)

    @property
    def exit_code(self) -> int:
        """0 every bar was reached, 1 not."""
        return 0 if self.passed else Different.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry compare-chat --json` prints; what time decides is under `measured`."""
        return {
            "old": self.old.to_dict(),
            "new": self.new.to_dict(),
            "in": self.address,
            "questions": self.questions,
            "k": self.k,
            "agreement": {"wording": plain(self.wording), "likeness": plain(self.likeness)},
            "citations_shared": plain(self.shared),
            "bars": [bar.to_dict() for bar in self.bars],
            "passed": self.passed,
            "worst": [exchange.to_dict() for exchange in self.worst],
            "notes": list(self.notes),
            "seed": self.seed,
            "measured": {
                "old": self.old.measured(),
                "new": self.new.measured(),
                "median_change_ms": plain(self.median_change, 1),
                "seconds": round(self.seconds, 2),
            },
        }
