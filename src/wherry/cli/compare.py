"""Comparing two sides, and showing how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.words import safe
from wherry.comparing import wording
from wherry.comparing.act import compare as ask_both
from wherry.comparing.results import NAMES, Asked, Comparison, SideReport

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOWN = 3


def compare(a: str, b: str, queries: str, wishes: Mapping[str, Any], report: Path | None, json: bool) -> int:
    """Compare and print; write the page where one is wanted."""
    with listening(json, a, b) as progress:
        found = ask_both(a, b, queries, **wishes, report=report, progress=progress)
    if json:
        out.put_json(found.to_dict())
    else:
        out.put_all(shown(found) + page_line(report))
    return found.exit_code


def page_line(report: Path | None) -> list[RenderableType]:
    """Return the line that says where the page is."""
    return [] if report is None else [f"page: {safe(str(report))}"]


def shown(found: Comparison) -> list[RenderableType]:
    """Show a comparison as a person reads it."""
    word, sentence = wording.verdict(found)
    parts: list[RenderableType] = [_sides(found), "", *_between(found), ""]
    parts += [f"note: {safe(note)}" for note in found.notes]
    for letter, side in (("A", found.a), ("B", found.b)):
        parts += [f"note: {letter}: {safe(note)}" for note in side.notes]
    parts += _worst(found.worst)
    return [*parts, verdict_line(found.passed if found.bars else None, word, sentence)]


def verdict_line(good: bool | None, word: str, sentence: str) -> Text:
    """Return how it came out, in colour. good: None where nothing had to be reached."""
    style = {True: "bold green", False: "bold red", None: "bold"}[good]
    return Text(f"{word}: {safe(sentence)}", style=style)


def side_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of figures."""
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _sides(found: Comparison) -> Table:
    sides = (found.a, found.b)
    rows = [["", *(safe(side.address) for side in sides)]]
    rows.append(["records", *(wording.UNKNOWN if s.records is None else f"{s.records:,}" for s in sides)])
    rows.append([f"recall@{found.k}", *(wording.figure(side.recall) for side in sides)])
    rows += [[f"answer {name}", *(_time(side, n) for side in sides)] for n, name in enumerate(NAMES)]
    rows.append(["memory", *(wording.size(side.memory) for side in sides)])
    rows.append(["disk", *(wording.size(side.disk) for side in sides)])
    rows.append(["a question", *(wording.each(side.cost) for side in sides)])
    rows.append(["a month", *(wording.monthly(side.cost) for side in sides)])
    return side_table(["", "A", "B"], rows)


def _time(side: SideReport, n: int) -> str:
    return wording.milliseconds(side.times.search[n].mean if side.times else None)


def _between(found: Comparison) -> list[RenderableType]:
    return [
        f"{found.questions:,} questions, overlap {wording.figure(found.overlap)}",
        f"exact neighbours overlap {wording.figure(found.exact)}, rank-biased overlap {wording.figure(found.rank)}",
        f"drift of similarities: {wording.drift(found)}",
        f"median time: {wording.change(found)}",
    ]


def _worst(asked: Sequence[Asked]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for one in asked[:_SHOWN]:
        lines.append(f"differs: {safe(one.shown)} (overlap {one.overlap:.2f})")
        for letter, mine, other in (("A", 0, 1), ("B", 1, 0)):
            there = {hit.id for hit in one.hits[other]}
            alone = [hit.id for hit in one.hits[mine] if hit.id not in there]
            lines.append(f"  {letter} alone: {safe(', '.join(alone)) or 'nothing'}")
    return lines
