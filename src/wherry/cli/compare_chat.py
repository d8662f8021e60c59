"""Comparing two chat models, and showing how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.compare import page_line, side_table, verdict_line
from wherry.cli.words import safe
from wherry.comparing import wording
from wherry.comparing.chat import compare_chat as ask_both
from wherry.comparing.chat_results import ChatComparison, Exchange, ModelReport
from wherry.comparing.results import NAMES

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOWN, _TEXT = 3, 160


def compare_chat(
    old: str, new: str, questions: str, in_: str, wishes: Mapping[str, Any], report: Path | None, json: bool
) -> int:
    """Compare and print; write the page where one is wanted."""
    with listening(json, in_) as progress:
        found = ask_both(old, new, questions, in_=in_, **wishes, report=report, progress=progress)
    if json:
        out.put_json(found.to_dict())
    else:
        out.put_all(shown(found) + page_line(report))
    return found.exit_code


def shown(found: ChatComparison) -> list[RenderableType]:
    """Show a comparison of models as a person reads it."""
    models = (found.old, found.new)
    rows = [["", *(safe(model.model) for model in models)]]
    rows.append(["answered", *(f"{model.answered:,} of {found.questions:,}" for model in models)])
    rows.append(["failed", *(wording.failures(model) for model in models)])
    rows += [
        [f"answer {name}", *(wording.milliseconds(m.times[n].mean) for m in models)] for n, name in enumerate(NAMES)
    ]
    rows.append(["tokens in, out", *(_tokens(model) for model in models)])
    rows.append(["a question", *(wording.dollars(model.per_question) for model in models)])
    rows.append(["a month", *(f"{wording.dollars(m.per_month)} for {m.queries:,} questions" for m in models)])
    rows.append(["citations kept", *(wording.figure(model.cited, 2) for model in models)])
    parts: list[RenderableType] = [side_table(["", "old", "new"], rows), ""]
    parts.append(f"wording alike {wording.figure(found.wording)}, by the embedder {wording.figure(found.likeness)}")
    parts.append(f"citations of the old kept by the new {wording.figure(found.shared)}")
    parts.append(f"median time: {wording.moved_by(found.median_change, 'the new model')}")
    parts += [f"note: {safe(note)}" for note in found.notes]
    for one in found.worst[:_SHOWN]:
        parts += _exchange(one)
    return [*parts, "", verdict_line(found.passed if found.bars else None, *wording.chat_verdict(found))]


def _tokens(model: ModelReport) -> str:
    return f"{model.tokens_in / model.answered:,.0f}, {model.tokens_out / model.answered:,.0f} per question"


def _exchange(one: Exchange) -> list[RenderableType]:
    alike = "one of them failed" if one.wording is None else f"wording {one.wording:.2f}"
    lines: list[RenderableType] = ["", f"read: {safe(one.question)} ({alike})"]
    for name, answer in (("old", one.old), ("new", one.new)):
        text = f"{answer.error}: {answer.why}" if answer.error else " ".join(answer.text.split())
        lines.append(f"  {name}: {safe(text[:_TEXT])}")
    return lines
