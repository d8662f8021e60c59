"""The page of a comparison of chat models: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from wherry.answering.evaluation_metrics import Interval
from wherry.comparing import wording
from wherry.comparing.chat_results import Answer, ChatComparison, Exchange, ModelReport
from wherry.comparing.results import NAMES
from wherry.pages import frame, plots

_TEXT, _PASSAGE = 1_200, 240


def write_page(found: ChatComparison, path: Path) -> None:
    """Write the page of a comparison of models; an older file is replaced. Raises Usage."""
    frame.write(path, page(found))


def page(found: ChatComparison) -> str:
    """Return the page of a comparison of models as HTML."""
    return frame.page(f"{found.old.model} and {found.new.model} compared", _parts(found))


def _parts(found: ChatComparison) -> Iterator[str]:
    yield "<h1>Can the new model take over?</h1>"
    yield f"<p>{frame.key('a', 'old')} <code>{escape(found.old.model)}</code><br>"
    yield f"{frame.key('b', 'new')} <code>{escape(found.new.model)}</code></p>"
    yield (
        f'<p class="note">{found.questions:,} questions, each with the same passages (up to {found.k}) of '
        f"<code>{escape(found.address)}</code>, in one shuffled order. In brackets: 95 % intervals.</p>"
    )
    yield frame.verdict(found.passed if found.bars else None, *wording.chat_verdict(found))
    yield frame.cards(_cards(found))
    yield "<h2>Answers</h2>" + _answers(found)
    yield "<h2>Time, tokens, cost, failures</h2>" + _machine(found)
    yield f'<div class="plots">{_times(found)}{_alike(found)}</div>'
    if found.notes:
        lines = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
        yield f"<h2>Worth knowing</h2><ul>{lines}</ul>"
    yield from _worst(found)
    yield (
        "<footer><p>Likeness is of wording alone: the share of three-letter pieces both answers have in common, and "
        "the cosine of the offline embedder, which knows spelling and no meaning. It shows which answers to read; it "
        "does not say which model is right. Citations are kept when an answer cites at least one passage and none "
        "that it was not given. The first question is asked once beforehand, untimed, so that both models are "
        f"loaded.</p><p>{frame.made()}</p></footer>"
    )


def _cards(found: ChatComparison) -> Iterator[tuple[str, str, str]]:
    if found.wording is not None:
        yield "Wording alike", f"{found.wording.mean:.2f}", f"{found.wording.low:.2f} to {found.wording.high:.2f}"
    yield "Citations kept, new", f"{found.new.cited.mean:.0%}", f"old: {found.old.cited.mean:.0%}"
    middle = wording.milliseconds(found.old.times[0].mean)
    yield "Median answer, new", wording.milliseconds(found.new.times[0].mean), f"old: {middle}"
    month = wording.dollars(found.old.per_month)
    yield "A month, new", wording.dollars(found.new.per_month), f"old: {month}"
    yield "Failed, new", f"{found.new.failed.mean:.1%}", f"old: {found.old.failed.mean:.1%}"


def _answers(found: ChatComparison) -> str:
    rows = [
        ("Wording alike", _drawn(found.wording), "three-letter pieces in common"),
        ("Likeness by the offline embedder", _drawn(found.likeness), "cosine; knows spelling, no meaning"),
        ("Citations of the old kept by the new", _drawn(found.shared), "share of the old one's passages"),
        (frame.key("a", "Citations kept, old"), _drawn(found.old.cited), "cites, and only what it was given"),
        (frame.key("b", "Citations kept, new"), _drawn(found.new.cited, 1), "the same"),
    ]
    return frame.explained(rows)


def _drawn(found: Interval | None, colour: int = 0) -> str:
    if found is None:
        return wording.UNKNOWN
    return wording.figure(found, 2) + plots.interval(found.mean, found.low, found.high, plots.COLOURS[colour])


def _machine(found: ChatComparison) -> str:
    models = (found.old, found.new)
    rows = [("Answered", [f"{model.answered:,} of {found.questions:,}" for model in models])]
    rows.append(("Failed", [wording.failures(model) for model in models]))
    rows += [(f"Answer, {name}", [_time(model, n) for model in models]) for n, name in enumerate(NAMES)]
    rows += [
        ("Tokens in, per question", [_each(model.tokens_in, model) for model in models]),
        ("Tokens out, per question", [_each(model.tokens_out, model) for model in models]),
        ("Cost of a question", [wording.dollars(model.per_question) for model in models]),
        ("Cost of a month", [_month(model) for model in models]),
    ]
    return frame.table(["", "Old", "New"], [(escape(name), *(escape(cell) for cell in cells)) for name, cells in rows])


def _time(model: ModelReport, n: int) -> str:
    found = model.times[n]
    return f"{wording.milliseconds(found.mean)} ({found.low:.3g} to {found.high:.3g})"


def _each(tokens: int, model: ModelReport) -> str:
    return f"{tokens / model.answered:,.0f}"


def _month(model: ModelReport) -> str:
    return f"{wording.dollars(model.per_month)} for {model.queries:,} questions"


def _times(found: ChatComparison) -> str:
    models = (found.old, found.new)
    rows = [
        (name, [(model.times[n].mean, model.times[n].low, model.times[n].high) for model in models])
        for n, name in enumerate(NAMES)
    ]
    drawing = plots.paired_bars(rows, wording.milliseconds)
    words = wording.moved_by(found.median_change, "the new model")
    return frame.figure("Time of an answer", drawing, f"{words[:1].upper()}{words[1:]}.")


def _alike(found: ChatComparison) -> str:
    values = [one.wording for one in found.exchanges if one.wording is not None]
    return frame.figure(
        "Questions by likeness of the wording", plots.histogram(values, "questions by likeness", plain=True)
    )


def _worst(found: ChatComparison) -> Iterator[str]:
    if found.worst:
        yield "<h2>Answers to read</h2>"
        yield '<p class="note">Failures first, then the answers that are worded least alike.</p>'
    for one in found.worst:
        yield _exchange(one)


def _exchange(one: Exchange) -> str:
    alike = "one of them failed" if one.wording is None else f"wording {one.wording:.2f} · likeness {one.likeness:.2f}"
    passages = "".join(f"<li>{escape(_short(text, _PASSAGE))}</li>" for text in one.passages)
    left, right = frame.key("a", "old") + _answer(one.old), frame.key("b", "new") + _answer(one.new)
    return (
        f'<section class="question"><h3>{escape(one.question)}</h3><small>{escape(alike)}</small><div class="pair">'
        f"<div>{left}</div><div>{right}</div></div>"
        f"<details><summary>{len(one.passages)} passages</summary><ol>{passages}</ol></details></section>"
    )


def _answer(answer: Answer) -> str:
    if answer.error is not None:
        return f'<p class="said"><b>{escape(answer.error)}</b> {escape(answer.why)}</p>'
    wrong = ", ".join(f"[{number}]" for number in sorted(answer.citations.other))
    cites = f"cites what it was not given: {wrong}" if wrong else ""
    if not answer.citations.valid and not wrong:
        cites = "cites nothing"
    below = f'<p class="note">{escape(cites)}</p>' if cites else ""
    return f'<p class="said">{escape(_short(answer.text, _TEXT))}</p>{below}'


def _short(text: str, most: int) -> str:
    return text[:most] + ("…" if len(text) > most else "")
