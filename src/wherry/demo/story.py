"""The main job, played from beginning to end on a knowledge base that comes along.

A health-checkup service leaves its cloud index as its plan says: export, verify, prepare, copy, compare, switch, as one
run and while readers go on asking. Then it watches, somebody damages the new side, readers are led back by themselves,
the damage is named and mended, and they are led over again. After that the guides travel on through other engines.
Everything is real: the engines, the runs, the readers, the damage, the answers. No key and no network needed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from wherry.demo import asking, edits, leaving, travelling
from wherry.demo.cloud import cloud
from wherry.demo.readers import Readers
from wherry.demo.stage import DIMENSION, ROUTE, TABLE, Say, Stage
from wherry.moving.progress import Progress, silent
from wherry.routing.book import Book


def play(folder: Path, say: Say, progress: Progress = silent) -> dict[str, Any]:
    """Play the story in `folder`, whose demo files are made anew, and return what was measured.

    Raises Integrity when a step does not end as the story promises.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder, say, progress)
    _clear(stage)
    with cloud(DIMENSION) as stage.cloud:
        _leave(stage)
    for act in (travelling.journey, travelling.change, travelling.home):
        act(stage)
    seconds = round(time.perf_counter() - started, 1)
    _end(stage, seconds)
    return {"seconds": seconds, "folder": str(folder), **stage.told}


def _leave(stage: Stage) -> None:
    """Play the part that readers take part in."""
    leaving.before(stage)
    with Readers(ROUTE, leaving.texts()) as readers:
        leaving.move(stage, readers)
        leaving.after(stage)
        leaving.watched(stage)
        damage = leaving.damaged(stage, readers)
        leaving.mended(stage, damage)
    stage.require(not readers.failed, f"readers saw errors: {readers.failed[:3]}")
    stage.told["readers"] = {"asked": readers.asked, "failed": len(readers.failed), "answers": dict(readers.answers)}
    sides = ", ".join(f"{count} by {side}" for side, count in sorted(readers.answers.items()))
    stage.line(f"readers {readers.asked} questions in all that time: {sides}; {len(readers.failed)} failed")


def _clear(stage: Stage) -> None:
    for path in (Path(stage.export), Path(stage.back), stage.report):
        path.unlink(missing_ok=True)
    shutil.rmtree(stage.folder / "chroma_db", ignore_errors=True)
    Path(stage.export).parent.mkdir(exist_ok=True)
    edits.drop_table(stage.table, TABLE)
    with Book() as book:
        if book.find(ROUTE) is not None:
            book.remove(ROUTE, "the demo begins anew")


def _end(stage: Stage, seconds: float) -> None:
    stage.say(f"\nDone in {seconds} s. Everything is still there to look at:")
    for command in (
        f'wherry ask "{asking.QUESTIONS[0]}" --in {ROUTE}',
        f"wherry route show {ROUTE}",
        f"wherry verify {stage.table} {stage.local}",
        "wherry runs",
    ):
        stage.line(command)
    stage.line(f"and the page: {stage.report}")
