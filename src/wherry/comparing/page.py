"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from wherry.comparing import wording
from wherry.comparing.results import NAMES, Asked, Comparison, SideReport
from wherry.pages import frame, plots
from wherry.stores.base import Hit

_TEXT = 90


def write_page(found: Comparison, path: Path) -> None:
    """Write the page of a comparison; an older file is replaced. Raises Usage."""
    frame.write(path, page(found))


def page(found: Comparison) -> str:
    """Return the page of a comparison as HTML."""
    return frame.page(f"{found.a.address} and {found.b.address} compared", _parts(found))


def _parts(found: Comparison) -> Iterator[str]:
    yield "<h1>Do both sides answer alike?</h1>"
    yield f"<p>{frame.key('a', 'A')} <code>{escape(found.a.address)}</code><br>"
    yield f"{frame.key('b', 'B')} <code>{escape(found.b.address)}</code></p>"
    yield (
        f'<p class="note">{found.questions:,} questions were put to both sides, {found.k} records per answer, '
        f"each asked {found.rounds} times in one shuffled order. In brackets: 95 % intervals.</p>"
    )
    yield frame.verdict(found.passed if found.bars else None, *wording.verdict(found))
    yield frame.cards(_cards(found))
    yield "<h2>Answers</h2>" + _answers(found)
    yield f'<div class="plots">{_histogram(found)}{_scatter(found)}</div>'
    yield "<h2>Time, memory, disk, cost</h2>" + _machine(found)
    yield f'<div class="plots">{_times(found)}{_shares(found)}</div>'
    yield from _notes(found)
    yield from _worst(found)
    yield from _method(found)


def _cards(found: Comparison) -> Iterator[tuple[str, str, str]]:
    yield "Overlap of the answers", f"{found.overlap.mean:.3f}", f"{found.overlap.low:.3f} to {found.overlap.high:.3f}"
    if found.exact is not None:
        yield "Exact neighbours alike", f"{found.exact.mean:.3f}", "the data, without indexes"
    if found.b.recall is not None:
        other = f"A: {found.a.recall.mean:.3f}" if found.a.recall else ""
        yield f"Recall@{found.k} of B", f"{found.b.recall.mean:.3f}", other
    if found.b.times is not None:
        middle = found.b.times.search[0].mean
        other = f"A: {wording.milliseconds(found.a.times.search[0].mean)}" if found.a.times else ""
        yield "Median answer of B", wording.milliseconds(middle), other
    if found.b.cost is not None:
        other = f"A: {wording.dollars(found.a.cost.per_month)}" if found.a.cost else ""
        yield "A month of B", wording.dollars(found.b.cost.per_month), other


def _answers(found: Comparison) -> str:
    rows = [
        ("Overlap of the answers", _drawn(found.overlap), "ties count as agreement"),
        ("Overlap of the exact neighbours", _drawn(found.exact), "indexes left out: the data alone"),
        ("Rank-biased overlap", _drawn(found.rank), "the first places count most"),
        (frame.key("a", f"Recall@{found.k} of A"), _drawn(found.a.recall, 0), "against A's own exact neighbours"),
        (frame.key("b", f"Recall@{found.k} of B"), _drawn(found.b.recall, 1), "against B's own exact neighbours"),
        ("Drift of similarities, B minus A", escape(wording.drift(found)), ""),
    ]
    return frame.explained(rows)


def _drawn(found: object, colour: int = 0) -> str:
    from wherry.answering.evaluation_metrics import Interval

    if not isinstance(found, Interval):
        return wording.UNKNOWN
    return wording.figure(found) + plots.interval(found.mean, found.low, found.high, plots.COLOURS[colour])


def _histogram(found: Comparison) -> str:
    drawing = plots.histogram([one.overlap for one in found.asked], "questions by overlap of their answers")
    below = f"{found.differing:,} of {found.questions:,} questions are answered differently."
    return frame.figure("Questions by overlap of their answers", drawing, below)


def _scatter(found: Comparison) -> str:
    points = [
        (before[hit.id], hit.similarity)
        for one in found.asked
        for before in [{hit.id: hit.similarity for hit in one.hits[0]}]
        for hit in one.hits[1]
        if hit.id in before
    ]
    return frame.figure(
        "Similarity of records that both sides found",
        plots.scatter(points, "similarity on A", "similarity on B"),
        "On the dashed line both sides say the same.",
    )


def _times(found: Comparison) -> str:
    sides = [side.times for side in (found.a, found.b) if side.times is not None]
    if len(sides) < 2:
        return frame.figure("Time of an answer", plots.nothing())
    rows = [
        (name, [(side.search[n].mean, side.search[n].low, side.search[n].high) for side in sides])
        for n, name in enumerate(NAMES)
    ]
    return frame.figure("Time of an answer", plots.paired_bars(rows, wording.milliseconds), f"{wording.change(found)}.")


def _shares(found: Comparison) -> str:
    series = {letter: side.times.samples for letter, side in (("A", found.a), ("B", found.b)) if side.times}
    return frame.figure(
        "Share of answers given within a time",
        plots.shares(series, "milliseconds") if len(series) == 2 else plots.nothing(),
    )


def _machine(found: Comparison) -> str:
    sides = (found.a, found.b)
    rows = [("Records", [f"{side.records:,}" if side.records is not None else wording.UNKNOWN for side in sides])]
    for n, name in enumerate(NAMES):
        rows.append((f"Answer, {name}", [_time(side, n) for side in sides]))
    rows += [
        ("Embedding a question, median", [_embedding(side) for side in sides]),
        ("Memory of this process", [wording.size(side.memory) for side in sides]),
        ("Disk", [wording.size(side.disk) for side in sides]),
        (
            "Cost of a question",
            [wording.dollars(side.cost.per_query) if side.cost else wording.UNKNOWN for side in sides],
        ),
        ("Cost of a month", [wording.monthly(side.cost) for side in sides]),
        ("Model of the questions", [side.model or "none, or its own" for side in sides]),
    ]
    return frame.table(["", "A", "B"], [(escape(name), *(escape(cell) for cell in cells)) for name, cells in rows])


def _time(side: SideReport, n: int) -> str:
    if side.times is None:
        return wording.UNKNOWN
    found = side.times.search[n]
    return f"{wording.milliseconds(found.mean)} ({found.low:.3g} to {found.high:.3g})"


def _embedding(side: SideReport) -> str:
    return wording.milliseconds(side.times.embedding if side.times else None)


def _notes(found: Comparison) -> Iterator[str]:
    lines = [*found.notes, *(f"A: {note}" for note in found.a.notes), *(f"B: {note}" for note in found.b.notes)]
    if lines:
        yield "<h2>Worth knowing</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _worst(found: Comparison) -> Iterator[str]:
    if not found.worst:
        yield "<h2>Questions that differ most</h2><p>None: every question has the same answer on both sides.</p>"
        return
    many = f"The {len(found.worst)} worst" if len(found.worst) > 1 else "The only one"
    yield f'<h2>Questions that differ most</h2><p class="note">{many}; in bold: found by one side alone.</p>'
    for one in found.worst:
        yield _question(one)


def _question(one: Asked) -> str:
    figures = f"overlap {one.overlap:.2f} · rank-biased overlap {one.rank:.2f}"
    if one.exact is not None:
        figures += f" · exact neighbours {one.exact:.2f}"
    ids = [{hit.id for hit in hits} for hits in one.hits]
    left, right = _list(one.hits[0], ids[1]), _list(one.hits[1], ids[0])
    return (
        f'<section class="question"><h3>{escape(one.shown)}</h3><small>{escape(figures)}</small><div class="pair">'
        f"<div>{frame.key('a', 'A')}{left}</div><div>{frame.key('b', 'B')}{right}</div></div></section>"
    )


def _list(hits: Sequence[Hit], there: set[str]) -> str:
    rows = ""
    for hit in hits:
        text = " ".join((hit.text or "").split())
        short = text[:_TEXT] + ("…" if len(text) > _TEXT else "")
        line = f"<code>{escape(hit.id)}</code> {hit.similarity:.4f}"
        # What both found needs no second reading.
        alone = f'<li class="odd">{line}<br><small>{escape(short)}</small></li>'
        rows += f"<li>{line}</li>" if hit.id in there else alone
    return f"<ol>{rows}</ol>" if rows else '<p class="note">nothing was found</p>'


def _method(found: Comparison) -> Iterator[str]:
    yield (
        "<footer><p>Exact neighbours: every record of a side is read and its distance computed here; no engine's own "
        "answer is taken for the truth. A record counts as found when it is as near as the last exact neighbour, give "
        "or take 0.001, so ties are no misses. Intervals: 2,000 draws of the questions with replacement, the same "
        f"draws for every figure (seed {found.seed}). Times are of a search with the vector at hand, after a warm-up; "
        "memory is what this process grew by, so that of a server is not in it. Prices come from a table you can "
        "edit (WHERRY_PRICES).</p>"
        f"<p>{frame.made()}</p></footer>"
    )
