"""Evaluation: questions with known answers, asked in every mode, and what the rankings are worth.

report = wherry.evaluate("pgvector:#guides", "gold:guides")
report.modes["hybrid"].metrics["ndcg@10"].mean
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wherry.address import Address
from wherry.answering.agreement import Agreement, weighed_by
from wherry.answering.evaluation_metrics import (
    Interval,
    hit_at_one,
    interval,
    ndcg,
    recall,
    reciprocal_rank,
)
from wherry.answering.evaluation_questions import Question, read_questions
from wherry.answering.hybrid import DEPTH
from wherry.answering.search import MODES, Searcher
from wherry.errors import NoModel, Usage
from wherry.models.base import Embedder
from wherry.moving.opening import reading
from wherry.stores.base import Readable
from wherry.where import decode, matches

Questions = str | Path | Sequence[Mapping[str, Any]]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class ModeReport:
    """How one mode did. metrics: over all questions. languages: the same per language. notes: of the searches.

    milliseconds: median of a search. scores: per question id, each metric.
    """

    mode: str
    metrics: Mapping[str, Interval]
    languages: Mapping[str, Mapping[str, Interval]]
    milliseconds: float
    scores: Mapping[str, Scores] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report of a mode as a JSON object, without the single questions."""
        return {
            "metrics": _plain(self.metrics),
            "languages": {language: _plain(found) for language, found in self.languages.items()},
            "milliseconds": round(self.milliseconds, 2),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. trusted: the weights of the legs in hybrid, None where it was not asked."""

    address: str
    questions: int
    k: int
    tokenizer: str
    modes: Mapping[str, ModeReport]
    trusted: Agreement | None
    seconds: float
    asked: tuple[Question, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry evaluate --json` prints."""
        return {
            "in": self.address,
            "questions": self.questions,
            "k": self.k,
            "tokenizer": self.tokenizer,
            "modes": {mode: report.to_dict() for mode, report in self.modes.items()},
            "trusted": self.trusted.to_dict() if self.trusted else None,
            "seconds": round(self.seconds, 2),
        }


def evaluate(
    in_: str | Path | Address | Readable,
    questions: Questions,
    *,
    k: int = 10,
    modes: Sequence[str] | None = None,
    embedder: str | Embedder | None = None,
    tokenizer: str | None = None,
    trust: bool = False,
) -> Evaluation:
    """Ask every question in every mode and measure nDCG@k, recall@k, MRR and hit@1, with 95 % intervals.

    questions: a file, a shipped set (`gold:guides`, `gold:docs`), or objects. modes: all of them by default, without
    those that need a model where the collection names none. trust: weigh the legs of hybrid by
    these questions and record that beside the collection. Raises Usage where an answer is not in the collection,
    and what `search` raises.
    """
    started = time.perf_counter()
    asked = read_questions(questions)
    if k < 1 or not set(modes or ()) <= set(MODES):
        raise Usage(f"k has to be at least 1, and modes some of {', '.join(MODES)}", where="evaluate")
    with reading(in_) as store, closing(Searcher(store, embedder, tokenizer)) as searcher:
        known = tuple(_resolved(asked, store))
        if trust:
            _trust(searcher, known)
        wanted = modes or (MODES if _has_model(searcher) else ("lexical",))
        reports = {mode: _report(searcher, mode, known, k) for mode in wanted}
        trusted = searcher.words.agreement(searcher.embedder, searcher.space) if "hybrid" in wanted else None
        return Evaluation(
            store.address, len(known), k, searcher.words.tokenizer.identity, reports, trusted,
            time.perf_counter() - started, known,
        )  # fmt: skip


def _has_model(searcher: Searcher) -> bool:
    """Tell whether questions can be embedded at all."""
    try:
        return bool(searcher.embedder.spec)
    except NoModel:
        return False


def _report(searcher: Searcher, mode: str, questions: Sequence[Question], k: int) -> ModeReport:
    scores: dict[str, dict[str, float]] = {}
    times, notes = [], {}
    for question in questions:
        found = searcher.search(question.text, k, mode)
        times.append(found.seconds)
        notes |= dict.fromkeys(found.notes)
        scores[question.id] = _scores([hit.id for hit in found], question.grades, k)
    languages = {question.language: None for question in questions}
    per_language = {name: _metrics([scores[q.id] for q in questions if q.language == name]) for name in languages}
    middle = sorted(times)[len(times) // 2] * 1000
    return ModeReport(mode, _metrics(list(scores.values())), per_language, middle, scores, tuple(notes))


def _scores(ranked: Sequence[str], grades: Mapping[str, float], k: int) -> dict[str, float]:
    return {
        f"ndcg@{k}": ndcg(ranked, grades, k),
        f"recall@{k}": recall(ranked, grades, k),
        "mrr": reciprocal_rank(ranked, grades, k),
        "hit@1": hit_at_one(ranked, grades),
    }


def _metrics(scores: Sequence[Scores]) -> dict[str, Interval]:
    return {name: interval([score[name] for score in scores]) for name in scores[0]}


def _trust(searcher: Searcher, questions: Sequence[Question]) -> Agreement:
    """Weigh the legs by labelled questions, and record that beside the collection."""
    words, vectors = [], []
    for question in questions:
        words.append([(hit.id, hit.score) for hit in searcher.words.ranked(question.text, DEPTH)])
        vectors.append([(hit.id, hit.score) for hit in searcher.search(question.text, DEPTH, "vector")])
    found = weighed_by(words, vectors, [question.grades for question in questions], "labels")
    searcher.words.trust(searcher.embedder.spec, found)
    return found


def _resolved(questions: Sequence[Question], store: Readable) -> list[Question]:
    """Return the questions with all answers named by id. Raises Usage where one is not in the collection."""
    conditions = any(question.wheres for question in questions)
    there: dict[str, Any] = {}
    for page in store.scan() if conditions else ():
        metadata = page.records.column("metadata").to_pylist()
        there |= dict(zip(page.records.column("id").to_pylist(), map(decode, metadata), strict=True))
    if not conditions:
        there = {name: None for ids in store.ids() for name in ids.to_pylist()}
    found = []
    for question in questions:
        fitting = {n: 1.0 for n, data in there.items() if any(matches(w, data) for w in question.wheres)}
        grades = {**fitting, **question.grades}
        lost = sorted(name for name in question.grades if name not in there)
        if lost or not grades:
            raise Usage(
                f"the answer to question {question.id} is not in the collection" + (f": {lost[0]!r}" if lost else ""),
                where=store.address,
                next="check that the questions were written for this collection",
            )
        found.append(replace(question, grades=grades))
    return found


def _plain(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: found.to_dict() for name, found in metrics.items()}
