"""The page of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from wherry.answering.evaluation import Evaluation, ModeReport
from wherry.answering.evaluation_metrics import Interval
from wherry.pages import frame, plots

_MOST_MISSED = 50


def write_page(report: Evaluation, path: Path) -> None:
    """Write the page of an evaluation; an older file is replaced. Raises Usage."""
    frame.write(path, page(report))


def page(report: Evaluation) -> str:
    """Return the page of an evaluation as HTML."""
    return frame.page(f"How well {report.address} answers", _parts(report))


def _parts(report: Evaluation) -> Iterator[str]:
    yield f"<h1>How well {escape(report.address)} answers</h1>"
    yield (
        f"<p>{report.questions} questions with known answers, the first {report.k} hits of each.<br>"
        f"<small>Words made by {escape(report.tokenizer)}. In brackets: 95 % intervals by bootstrap.</small></p>"
    )
    yield "<h2>All questions</h2>" + _table({mode: found.metrics for mode, found in report.modes.items()}, report.modes)
    languages = sorted({language for found in report.modes.values() for language in found.languages})
    for language in languages if len(languages) > 1 else ():
        metrics = {mode: found.languages[language] for mode, found in report.modes.items()}
        yield f"<h2>Questions in {escape(language)}</h2>" + _table(metrics, {})
    yield from _trusted(report)
    yield from _missed(report)


def _table(metrics: Mapping[str, Mapping[str, Interval]], modes: Mapping[str, ModeReport]) -> str:
    names = list(next(iter(metrics.values())))
    head = "".join(f"<th>{escape(name)}</th>" for name in ["mode", *names, *(["median"] if modes else [])])
    rows = ""
    for mode, found in metrics.items():
        cells = "".join(_cell(found[name]) for name in names)
        time = f'<td class="n">{modes[mode].milliseconds:.1f} ms</td>' if modes else ""
        rows += f"<tr><td>{escape(mode)}</td>{cells}{time}</tr>"
    return f"<table><tr>{head}</tr>{rows}</table>"


def _cell(found: Interval) -> str:
    drawn = plots.interval(found.mean, found.low, found.high)
    return f'<td class="n">{found.mean:.3f} <small>({found.low:.3f} to {found.high:.3f})</small>{drawn}</td>'


def _trusted(report: Evaluation) -> Iterator[str]:
    if report.trusted is not None:
        weights = ", ".join(f"{leg} {weight:g}" for leg, weight in report.trusted.weights.items())
        by = "these labels" if report.trusted.source == "labels" else "the collection itself"
        yield f'<p class="note">Weights of the legs in hybrid: {escape(weights)}, measured on {by}.</p>'
    for mode, found in report.modes.items():
        for note in found.notes:
            yield f'<p class="note">{escape(mode)}: {escape(note)}</p>'


def _missed(report: Evaluation) -> Iterator[str]:
    """Yield the questions whose answer no mode found among the first k."""
    recall = f"recall@{report.k}"
    missed = [q for q in report.asked if not any(found.scores[q.id][recall] for found in report.modes.values())]
    if missed:
        yield f"<h2>Found by no mode ({len(missed)})</h2><ul>"
        for question in missed[:_MOST_MISSED]:
            wanted = ", ".join(sorted(question.grades)[:3])
            yield f"<li>{escape(question.text)} <small>{escape(wanted)}</small></li>"
        yield "</ul>"
