"""The main job, played from beginning to end on a knowledge base that comes along.

A health-checkup service leaves its cloud index: the export is checked, moved to PostgreSQL, from
there to Chroma, and back to a file; then the source changes, then the target is damaged behind
Wherry's back. At the end the questions asked of the export are asked again where the guides live now.
Everything is real: the engines, the runs, the damage, the answers. No key and no network needed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wherry
from wherry.demo import asking, edits, library
from wherry.errors import Integrity
from wherry.moving.progress import Progress, silent

DIMENSION = 1024
TABLE = "wherry_demo_guides"
COLLECTION = "welno_medical_knowledge"
Say = Callable[[str], None]


@dataclass
class _Stage:
    """Where the story plays, and what it has measured so far."""

    folder: Path
    say: Say
    progress: Progress
    legs: list[dict[str, Any]] = field(default_factory=list)
    before: list[wherry.Answer] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def export(self) -> str:
        """The file that came out of the cloud."""
        return str(self.folder / "llamacloud_export.json")

    @property
    def table(self) -> str:
        """The table in the embedded PostgreSQL."""
        return f"pgvector:#{TABLE}"

    @property
    def chroma(self) -> str:
        """The collection in the local Chroma folder."""
        return f"chroma:{self.folder / 'chroma_db'}#{COLLECTION}"

    @property
    def back(self) -> str:
        """The file at the end of the way."""
        return str(self.folder / "back_again.json")

    def title(self, text: str) -> None:
        """Say what comes next."""
        self.say(f"\n{text}")

    def line(self, text: str) -> None:
        """Say one thing that was done."""
        self.say(f"   {text}")


def play(folder: Path, say: Say, progress: Progress = silent) -> dict[str, Any]:
    """Play the story in `folder`, whose demo files are made anew, and return what was measured.

    Raises Integrity when a step does not end as the story promises.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    stage = _Stage(folder, say, progress)
    _clear(stage)
    for act in (_export, _journey, _change, _damage, _answers):
        act(stage)
    seconds = round(time.perf_counter() - started, 1)
    say(f"\nDone in {seconds} s. Everything is still there to look at:")
    for command in (
        f"wherry verify {stage.table} {stage.chroma}",
        f'wherry ask "{asking.QUESTIONS[0]}" --in {stage.chroma}',
        "wherry runs",
    ):
        stage.line(command)
    return {"seconds": seconds, "folder": str(folder), "legs": stage.legs, "answers": stage.answers}


def _clear(stage: _Stage) -> None:
    for path in (Path(stage.export), Path(stage.back)):
        path.unlink(missing_ok=True)
    shutil.rmtree(stage.folder / "chroma_db", ignore_errors=True)
    edits.drop_table(stage.table, TABLE)


def _export(stage: _Stage) -> None:
    stage.title("1  The export: what the cloud index held, as a file")
    library.export(Path(stage.export), DIMENSION)
    store = wherry.open_source(stage.export)
    try:
        found = store.describe()
    finally:
        store.close()
    size = Path(stage.export).stat().st_size / 1e6
    stage.line(f"{stage.export}: {found.count} records of {found.space.dimension} dimensions, {size:.1f} MB")
    stage.line("checked: it is whole, and holds as many records of that dimension as it says")
    for record in library.sample(2):
        stage.line(f"   {record.id}  {_short(record.text or '')}")
    stage.before = asking.answers(stage.export)
    stage.line(f"asked {len(stage.before)} questions of it; the same ones come again at the end")


def _journey(stage: _Stage) -> None:
    legs = (
        ("2  From the export into PostgreSQL (pgvector)", stage.export, f"{stage.table}?metric=cosine"),
        ("3  From PostgreSQL into Chroma", stage.table, stage.chroma),
        ("4  From Chroma back into a file", stage.chroma, stage.back),
    )
    for title, source, target in legs:
        stage.title(title)
        _leg(stage, source, target)
    stage.line("and the way round: the file at the end against the export at the beginning")
    _proved(stage, stage.export, stage.back, tolerance="unit")


def _leg(stage: _Stage, source: str, target: str) -> None:
    plan = wherry.plan(source, target)
    stage.line(f"plan    {plan.new} new records, {plan.bytes / 1e6:.1f} MB, {_losses(plan)}")
    result = wherry.sync(source, target, progress=stage.progress)
    _require(result.equal and result.written == plan.new, f"the sync into {target} did not do what was planned")
    stage.line(f"sync    {result.written} written and read back equal in {result.seconds:.1f} s")
    stage.legs.append(result.to_dict())
    _proved(stage, source, target)


def _proved(stage: _Stage, source: str, target: str, tolerance: str = "auto") -> None:
    proof = wherry.verify(source, target, tolerance=tolerance)
    _require(proof.verdict == "verified", f"{target} differs from {source}")
    stage.line(f"verify  {proof.compared} records read on both sides and compared value by value: {proof.verdict}")
    stage.line(f"        vectors compared as {proof.tolerance}")


def _change(stage: _Stage) -> None:
    stage.title("5  The team edits its guides in PostgreSQL: 3 changed, 2 added, 2 deleted")
    edits.revise(stage.table, DIMENSION)
    result = wherry.sync(stage.table, stage.chroma)
    stage.line(
        f"sync    {result.changed} changed, {result.created} added, {result.deleted} deleted at the target; "
        f"{result.unchanged} left alone"
    )
    _require((result.changed, result.created, result.deleted) == (3, 2, 2), "the sync moved something else")
    stage.legs.append(result.to_dict())
    _proved(stage, stage.table, stage.chroma)


def _damage(stage: _Stage) -> None:
    stage.title("6  Somebody damages the target behind Wherry's back")
    done = edits.damage(stage.folder / "chroma_db", COLLECTION)
    for record_id, words in done.items():
        stage.line(f"damage  {record_id}: {words}")
    found = wherry.verify(stage.table, stage.chroma)
    for difference in found.differences:
        what = f"{difference.field} ({difference.detail})" if difference.field else difference.kind
        stage.line(f"verify  {difference.id}: {what}")
    named = {difference.id for difference in found.differences}
    _require(named == set(done), "verify did not name exactly the damaged records")
    stage.line(f"        exactly the {len(named)} damaged records, and no other")
    mended = wherry.sync(stage.table, stage.chroma)
    stage.line(f"sync    {mended.written} mended, {mended.deleted} stranger removed")
    stage.legs.append(mended.to_dict())
    _proved(stage, stage.table, stage.chroma)


def _answers(stage: _Stage) -> None:
    stage.title("7  The questions again: of the export before the move, and of Chroma after it")
    after = asking.answers(stage.chroma)
    asking.tell(stage.before, after, stage.line)
    for before, now in zip(stage.before, after, strict=True):
        _require(asking.same(before, now), f"the answer to {before.question!r} is another one after the move")
        stage.answers.append({"question": now.question, "before": before.to_dict(), "after": now.to_dict()})
    stage.line("        the same sentences of the same records, before and after")


def _losses(plan: wherry.Plan) -> str:
    return "; ".join(loss.words for loss in plan.losses) or "nothing will be lost"


def _require(fact: bool, otherwise: str) -> None:
    if not fact:
        raise Integrity(f"the demo did not go as promised: {otherwise}", next="please report this")


def _short(text: str, length: int = 46) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[:length]}..."
