"""The second part of the story: any store to any other, what changed and nothing else, and home again."""

from __future__ import annotations

import wherry
from wherry.demo import edits
from wherry.demo.stage import DIMENSION, Stage


def journey(stage: Stage) -> None:
    """Carry the guides from the export into PostgreSQL."""
    stage.title("7  The same in any direction: from the export into PostgreSQL (pgvector)")
    _leg(stage, stage.export, f"{stage.table}?metric=cosine")


def change(stage: Stage) -> None:
    """Let editors change the guides; a sync moves only that."""
    stage.title("8  The team edits its guides in PostgreSQL: 3 changed, 2 added, 2 deleted")
    edits.revise(stage.table, DIMENSION)
    result = wherry.sync(stage.table, stage.local)
    stage.line(
        f"sync    {result.changed} changed, {result.created} added, {result.deleted} deleted at the target; "
        f"{result.unchanged} left alone"
    )
    moved = (result.changed, result.created, result.deleted)
    stage.require(moved == (edits.CHANGED, 2, edits.DELETED), "the sync moved something else")
    stage.leg(result)
    stage.proved(stage.table, stage.local)


def home(stage: Stage) -> None:
    """Carry everything into a file, and compare the two ends of the way."""
    stage.title("9  From Chroma back into a file, and the way round")
    _leg(stage, stage.local, stage.back)
    stage.proved(stage.table, stage.back, tolerance="unit")


def _leg(stage: Stage, source: str, target: str) -> None:
    plan = wherry.plan(source, target)
    losses = "; ".join(loss.words for loss in plan.losses) or "nothing will be lost"
    stage.line(f"plan    {plan.new} new records, {plan.bytes / 1e6:.1f} MB, {losses}")
    result = wherry.sync(source, target, progress=stage.progress)
    stage.require(result.equal and result.written == plan.new, f"the sync into {target} did not do what was planned")
    stage.line(f"sync    {result.written} written and read back equal in {result.seconds:.1f} s")
    stage.leg(result)
    stage.proved(source, target)
