"""`wherry evaluate` and `wherry lexicon`: measuring a search, and keeping the words it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from wherry import out
from wherry.answering import lexical
from wherry.answering.agreement import Agreement
from wherry.answering.evaluation import Evaluation, ModeReport
from wherry.answering.evaluation import evaluate as measure
from wherry.answering.evaluation_page import write_page
from wherry.answering.tokens import tokenizer as named
from wherry.cli.bars import listening
from wherry.cli.words import records, safe
from wherry.moving.opening import reading

if TYPE_CHECKING:
    from rich.console import RenderableType


def evaluate(
    address: str,
    questions: str,
    k: int,
    modes: str | None,
    embedder: str | None,
    tokenizer: str | None,
    trust: bool,
    report: Path | None,
    json: bool,
) -> int:
    """Measure and print; write the page where one is wanted."""
    wanted = [mode.strip() for mode in modes.split(",") if mode.strip()] if modes else None
    with listening(json, address):
        found = measure(address, questions, k=k, modes=wanted, embedder=embedder, tokenizer=tokenizer, trust=trust)
    if report is not None:
        write_page(found, report)
    if json:
        out.put_json(found.to_dict())
    else:
        out.put_all(shown(found) + ([f"page: {safe(str(report))}"] if report is not None else []))
    return 0


def build(address: str, tokenizer: str | None, inside: bool | None, json: bool) -> int:
    """Make the words of a collection, or bring them in line with it, reading all of it."""
    maker = named(tokenizer)
    with listening(json, address), reading(address) as store:
        words = lexical.lexical_of(store, inside=inside)
        try:
            step = lexical.refresh(store, words, maker, full=True)
            count, place = words.statistics().count, words.place
        finally:
            words.close()
    result = {"in": store.address, "tokenizer": maker.identity, "place": place, "count": count, **step.to_dict()}
    if json:
        out.put_json(result)
    else:
        out.put(f"Words of {records(count)} of {safe(store.address)}, made by {maker.identity}, are in {safe(place)}.")
        out.put(f"read {step.read:,}, written {step.written:,}, forgotten {step.forgotten:,}")
    return 0


def shown(found: Evaluation) -> list[RenderableType]:
    """Show an evaluation as a person reads it."""
    title = f"{found.questions:,} questions to {safe(found.address)}, words by {found.tokenizer}"
    parts: list[RenderableType] = [title, _table(found.modes)]
    parts += [f"{language}: {_line(found, language)}" for language in _languages(found)]
    if found.trusted is not None:
        parts.append(_trusted(found.trusted))
    notes = {note: None for report in found.modes.values() for note in report.notes}
    return parts + [f"note: {safe(note)}" for note in notes]


def _table(reports: Mapping[str, ModeReport]) -> Table:
    table = Table(box=None, pad_edge=False)
    names = list(next(iter(reports.values())).metrics)
    for name in ["mode", *names, "median"]:
        table.add_column(name)
    for mode, report in reports.items():
        cells = [f"{m.mean:.3f} ({m.low:.3f}-{m.high:.3f})" for m in report.metrics.values()]
        table.add_row(mode, *cells, f"{report.milliseconds:.1f} ms")
    return table


def _languages(found: Evaluation) -> list[str]:
    languages = sorted({language for report in found.modes.values() for language in report.languages})
    return languages if len(languages) > 1 else []


def _line(found: Evaluation, language: str) -> str:
    name = f"ndcg@{found.k}"
    return ", ".join(
        f"{mode} {name} {report.languages[language][name].mean:.3f}" for mode, report in found.modes.items()
    )


def _trusted(agreement: Agreement) -> str:
    weights = ", ".join(f"{leg} {weight:g}" for leg, weight in agreement.weights.items())
    by = "these questions" if agreement.source == "labels" else f"{agreement.asked} sentences of the collection"
    return f"weights of the legs in hybrid: {weights} (measured on {by})"
