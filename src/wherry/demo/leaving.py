"""The first part of the story: out of the cloud, with proof, in front of readers, and back when something is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wherry
from wherry.answering.evaluation_questions import read_questions
from wherry.demo import asking, edits
from wherry.demo.readers import Readers
from wherry.demo.stage import COLLECTION, ROUTE, Stage
from wherry.routing.migration import Phase, migrate
from wherry.routing.watch import Look

_QUESTIONS = 60
_PER_MONTH = 10_000
# What the plan that this story follows says its cloud takes for a question.
_PRICES = '["llamacloud"]\nquery = 0.02\n'
_CONDITION = "error_rate>1% or overlap<99.5%"
_PLAN = """[migration]
name = "wherry-demo"
source = {source}
target = {target}
backup = {backup}
route = "wherry-demo"
queries = {queries}
report = {report}
per_month = {per_month}
"""


def before(stage: Stage) -> None:
    """Look at what there is: a cloud index, readers of it, and their questions."""
    stage.title("1  Before: the knowledge base is a cloud index, paid by the question")
    store = wherry.open_source(stage.cloud)
    try:
        found = store.describe()
    finally:
        store.close()
    stage.line(
        f"cloud   {found.name}: {found.count} chunks of Korean health guides, {found.space.dimension} dimensions"
    )
    stage.line("        (a server in this process that speaks LlamaCloud's interface; the official client asks it)")
    wherry.set_route(ROUTE, stage.cloud, why="the demo begins")
    stage.line(f"route   {ROUTE} leads there: readers name the route, never the collection")
    stage.before = asking.answers(ROUTE, "vector")
    asking.tell("from the cloud", stage.before, stage.line)


def move(stage: Stage, readers: Readers) -> None:
    """Carry the plan out: six phases, each with its way back, while readers go on."""
    stage.title("2  The plan: export, verify, prepare, copy, compare, switch, as one run that can be interrupted")
    plan = _plan(stage)
    for words in plan.read_text(encoding="utf-8").splitlines():
        stage.line(f"        {words}")
    stage.line(f"$ wherry migrate {plan}")
    with _prices(stage.folder):
        done = migrate(plan, progress=stage.progress, heard=lambda phase: _told(stage, phase))
    stage.require(done.done, "the migration did not end")
    stage.told["phases"] = done.to_dict()["phases"]
    _compared(stage, done.phases[4].result)
    stage.require(_leads_to() == stage.local, "readers were not led over")
    stage.line(f"        {readers.asked} questions were asked meanwhile, {len(readers.failed)} failed")


def after(stage: Stage) -> None:
    """Ask the same questions again, by the same name."""
    stage.title("3  The same questions, by the same name: now they are answered here")
    found = asking.answers(ROUTE, "vector")
    asking.tell("from Chroma", found, stage.line)
    stage.told["answers"] = []
    for first, second in zip(stage.before, found, strict=True):
        stage.require(asking.same(first, second), f"the answer to {first.question!r} is another one after the move")
        stage.told["answers"].append(
            {"question": second.question, "before": first.to_dict(), "after": second.to_dict()}
        )
    stage.line("        the same sentences of the same records, before and after")


def watched(stage: Stage) -> None:
    """Watch the first moments: the cloud is still asked too, unseen by readers, and agrees."""
    stage.title("4  Watching: the cloud is still asked beside it, and readers never notice")
    wherry.shadow(ROUTE, stage.cloud)
    found = wherry.watch(ROUTE, for_s=4, every_s=1, heard=lambda look: _look(stage, look))
    stage.line(f"verdict {found.verdict}: {found.last.reads} questions, {_shares(found.last)}")
    stage.require(found.verdict == "good", f"the watch ended with {found.verdict}: {'; '.join(found.broken)}")


def damaged(stage: Stage, readers: Readers) -> dict[str, str]:
    """Let somebody damage the new side; the watch notices and leads readers back by itself."""
    stage.title("5  Somebody damages the new side behind Wherry's back; the watch notices, and leads readers back")
    done = edits.damage(stage.folder / "chroma_db", COLLECTION)
    for record_id, words in done.items():
        stage.line(f"damage  {record_id}: {words}")
    stage.line(f'$ wherry watch {ROUTE} --rollback-if "{_CONDITION}" --waive-writes {len(done)}')
    found = wherry.watch(
        ROUTE,
        for_s=60,
        every_s=1,
        rollback_if=_CONDITION,
        waive_writes=len(done),
        heard=lambda look: _look(stage, look),
    )
    stage.line(f"verdict {found.verdict}: {'; '.join(found.broken)}")
    stage.require(found.rolled_back, f"the damage was not noticed: {found.rollback_error or found.verdict}")
    stage.require(_leads_to() == stage.cloud, "readers were not led back")
    stage.told["watched"] = found.to_dict()
    again = asking.answers(ROUTE, "vector")
    same = all(asking.same(first, second) for first, second in zip(stage.before, again, strict=True))
    stage.require(same, "the cloud answers differently after the way back")
    stage.line("        readers are back in the cloud, and the three questions have their old answers")
    stage.line(f"        {readers.asked} questions were asked so far, {len(readers.failed)} failed")
    return done


def mended(stage: Stage, damage: dict[str, str]) -> None:
    """Name the damage, mend exactly that, and lead readers over again, now for good."""
    stage.title("6  What was damaged is named, mended, proved, and readers are led over again")
    found = wherry.verify(stage.cloud, stage.local)
    for difference in found.differences:
        what = f"{difference.field} ({difference.detail})" if difference.field else difference.kind
        stage.line(f"verify  {difference.id}: {what}")
    named = {difference.id for difference in found.differences}
    stage.require(named == set(damage), "verify did not name exactly the damaged records")
    stage.line(f"        exactly the {len(named)} damaged records, and no other")
    result = wherry.sync(stage.cloud, stage.local)
    stage.line(f"sync    {result.written} mended, {result.deleted} stranger removed, {result.unchanged} left alone")
    stage.leg(result)
    stage.proved(stage.cloud, stage.local)
    done = wherry.switch(ROUTE, stage.local, why="mended and proved")
    stage.line(f"switch  {ROUTE} leads to {done.leads_to}")
    stage.line("        now the cloud can be cancelled; its export stays, checked value by value")


def texts() -> list[str]:
    """Return the questions that readers ask: an even selection of those that come with the guides."""
    found = [question.text for question in read_questions("gold:guides")]
    return found[:: max(1, len(found) // _QUESTIONS)][:_QUESTIONS]


def _plan(stage: Stage) -> Path:
    queries = stage.folder / "questions.txt"
    queries.write_text("\n".join(texts()) + "\n", encoding="utf-8")
    values: dict[str, Any] = {
        "source": stage.cloud, "target": stage.local, "backup": stage.export, "queries": str(queries),
        "report": str(stage.report), "per_month": _PER_MONTH,
    }  # fmt: skip
    path = stage.folder / "wherry-demo.toml"
    path.write_text(
        _PLAN.format(**{name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}),
        encoding="utf-8",
    )
    return path


@contextmanager
def _prices(folder: Path) -> Iterator[None]:
    """State what the cloud takes, where nobody has stated prices of their own."""
    if os.environ.get("WHERRY_PRICES"):
        yield
        return
    path = folder / "prices.toml"
    path.write_text(_PRICES, encoding="utf-8")
    os.environ["WHERRY_PRICES"] = str(path)
    try:
        yield
    finally:
        del os.environ["WHERRY_PRICES"]


def _told(stage: Stage, phase: Phase) -> None:
    if phase.state == "waiting":
        return
    words = {
        "backup": "{records} records exported, with a checksum",
        "check": "the export against the cloud, {compared} records value by value: {verdict}",
        "prepare": "{rows} records fit into the target",
        "copy": "{written} written and read back equal; both sides read again: {verdict}",
        "compare": "{questions} questions put to both sides in one shuffled order",
        "switch": "readers follow; nobody was interrupted",
    }[phase.name]
    stage.line(f"{phase.name:<8}{words.format(**phase.result)} in {phase.seconds:.1f} s")
    stage.line(f"        the way back: {phase.way_back}")


def _compared(stage: Stage, found: dict[str, Any]) -> None:
    overlap = found["overlap"]
    stage.line(f"        the answers overlap by {overlap['mean']:.3f} ({overlap['low']:.3f} to {overlap['high']:.3f})")
    for name, side in (("cloud", "a"), ("local", "b")):
        middle = found["measured"][side]["search_ms"]["p50"]["mean"]
        month = found[side]["cost"]["per_month"]
        money = "no price known" if month is None else f"${month:,.2f} for {_PER_MONTH:,} questions a month"
        stage.line(f"        {name}: recall {found[side]['recall']['mean']:.3f}, median {middle:.1f} ms, {money}")
    stage.line("        (this cloud is on your machine: a real one is as far away as its network)")
    stage.line(f"page    {stage.report}: open it in a browser, send it, print it")
    stage.told["report"] = str(stage.report)
    stage.told["comparison"] = {name: found[name] for name in ("overlap", "a", "b", "measured")}


def _leads_to() -> str:
    with wherry.route(ROUTE) as reader:
        return reader.address


def _look(stage: Stage, look: Look) -> None:
    stage.line(f"watch   {look.reads} questions, {_shares(look)}")


def _shares(look: Look) -> str:
    parts = [
        ("errors", look.seen["error_rate"], "{:.1%}"),
        ("agreement with the cloud", look.seen["overlap"], "{:.1%}"),
    ]
    parts.append(("p95", None if look.seen["p95"] is None else look.seen["p95"] * 1000, "{:.0f} ms"))
    parts.append(("disk", look.seen["disk"], "{:.0%}"))
    return ", ".join(f"{name} {form.format(value)}" for name, value, form in parts if value is not None)
