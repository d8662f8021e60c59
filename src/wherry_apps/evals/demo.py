"""`wherry evals demo`: the whole story on a guide and a few runs. No key, no network; tables and files of its own.

A team's old database and guide are indexed ahead of time; then they are asked. A run is saved and found, a guide is
edited, a run is deleted, one is broken, another model is refused: each time only what changed is done.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import text

from wherry import Integrity, SpaceMismatch, put_result
from wherry_apps.evals import demo_data, logs
from wherry_apps.evals.asking import Asked
from wherry_apps.evals.preindexing import Preindexed, Wish
from wherry_apps.evals.runs import Json
from wherry_apps.evals.service import Evals
from wherry_apps.evals.settings import Settings

SCHEMA = "evals_demo"
_MODEL = "hash:256"
_SHOWN_LINES = 8


@dataclass
class Stage:
    """What the steps share. told: figures for --json; lines: the story for people."""

    evals: Evals
    folder: Path
    told: Json = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        """The team's database."""
        return self.folder / "evalvault.db"

    @property
    def guide(self) -> Path:
        """The team's guide."""
        return self.folder / "USER_GUIDE.md"

    def say(self, *lines: str) -> None:
        """Tell the next lines of the story."""
        self.lines += lines

    def require(self, holds: bool, what: str) -> None:
        """Raise Integrity when a step did not end as the story promises."""
        if not holds:
            raise Integrity(f"the demo expected that {what}", left="its own schema and folder are removed")

    def preindex(self, **more: object) -> Preindexed:
        """Index guide and runs."""
        return self.evals.preindex(Wish(source_db=str(self.runs), model=_MODEL, **more))  # type: ignore[arg-type]


def play(json: bool) -> int:
    """Play the story and print it; what it made is removed at the end."""
    logs.begin()
    started = time.perf_counter()
    with _stage() as stage:
        for step in (_index, _again, _ask, _save, _edit, _delete, _break, _refuse, _state):
            step(stage)
            stage.say("")
        seconds = round(time.perf_counter() - started, 1)
        stage.say(f"{seconds} s, offline. Your own runs: wherry evals preindex --source-db YOUR.db")
        return put_result({**stage.told, "seconds": seconds}, stage.lines, json)


def _index(stage: Stage) -> None:
    before = sha256(stage.runs.read_bytes()).hexdigest()
    done = stage.preindex()
    stage.require(done.tally.new == 5 and done.tally.failed == 0, "guide and four runs were indexed")
    stage.require(sha256(stage.runs.read_bytes()).hexdigest() == before, "the database stayed as it was")
    stage.told["first"] = done.to_dict()
    stage.say(
        "1. An old database of runs (three tables, no metadata) and a guide, indexed before anyone asks.",
        f"   {done.tally.new} sources, {done.tally.embedded} texts embedded in {done.seconds:.1f} s;"
        f" guide: {done.sources['user_guide']}; the file was only read.",
    )


def _again(stage: Stage) -> None:
    done = stage.preindex()
    stage.require(done.tally.embedded == 0 and done.tally.unchanged == 5, "a second run did nothing")
    stage.told["second"] = done.to_dict()
    stage.say(f"2. Again: {done.tally.unchanged} sources unchanged, {done.tally.embedded} texts embedded.")


def _ask(stage: Stage) -> None:
    answers = stage.told["answers"] = {}
    stage.say("3. Questions. Numbers are computed from the runs, everything else is found in them and in the guide.")
    for question, run_id, wanted in (
        ("which runs failed faithfulness last week and why?", None, "run:r-02"),
        ("실패한 케이스는?", "r-02", "c4"),
        ("가장 낮은 점수의 케이스는?", None, "c1"),
        ("데이터셋 파일은 어떤 형식으로 준비하나요?", None, "user_guide"),
        ("요약해줘", "r-03", "run:r-03"),
    ):
        reply = stage.evals.ask(Asked(question, run_id), None)
        cited = [f"{one['source']}#{one['doc_id']}" for one in reply.citations]
        stage.require(wanted in reply.text or any(wanted in one for one in cited), f"{question!r} names {wanted}")
        answers[question] = {"how": reply.how, "answer": reply.text, "citations": cited}
        selected = f" (run {run_id})" if run_id else ""
        stage.say("", f"   Q {question}{selected}", *_shortened(reply.text), f"     [{', '.join(cited[:3])}]")


def _save(stage: Stage) -> None:
    saved = stage.evals.save(demo_data.run("r-05", "m-new", datetime.now(UTC), (3,)))
    stage.require(bool(saved["indexed"]), "a saved run is indexed at once")
    hits = stage.evals.search("사고 접수 번호", None, "r-05", 1, {"kind": "test_case"}).hits
    stage.require(bool(hits) and hits[0]["source"] == "run:r-05", "it is found at once")
    stage.told["saved"] = saved
    stage.say(
        f"4. A run is saved: {saved['documents_embedded']} documents, found at once:"
        f" {hits[0]['source']}#{hits[0]['doc_id']} ({hits[0]['metadata'].get('case_id', 'summary')})."
    )


def _edit(stage: Stage) -> None:
    stage.guide.write_text(demo_data.GUIDE.replace(*demo_data.EDITED), encoding="utf-8")
    stale = [one["source"] for one in stage.evals.status()["sources"] if one["state"] == "stale"]
    stage.require(stale == ["user_guide"], "the guide alone is stale")
    done = stage.preindex()
    stage.told["edited"] = done.to_dict()
    stage.say(
        f"5. One sentence of the guide is edited: only {stale[0]} is stale;"
        f" {done.tally.embedded} of its pieces embedded anew."
    )


def _delete(stage: Stage) -> None:
    with sqlite3.connect(stage.runs) as connection:
        connection.execute("DELETE FROM evaluation_runs WHERE run_id = 'r-01'")
    connection.close()
    done = stage.preindex()
    stage.require(done.tally.deleted == 1, "a run that is gone disappears")
    left = stage.evals.runs(None)["count"]
    stage.told["deleted"] = done.to_dict()
    stage.say(f"6. A run is deleted in the database: its documents are gone, {left} runs are left.")


def _break(stage: Stage) -> None:
    with sqlite3.connect(stage.runs) as connection:
        connection.execute("UPDATE evaluation_runs SET thresholds = '{' WHERE run_id = 'r-02'")
        connection.execute("UPDATE metric_scores SET score = 0.5 WHERE id = (SELECT max(id) FROM metric_scores)")
    connection.close()
    done = stage.preindex()
    stage.require(done.exit_code == 5 and done.tally.modified == 1, "a broken run does not stop the others")
    stage.told["broken"] = done.to_dict()
    failed = done.tally.failures[0]
    stage.say(
        f"7. One run is broken: {failed['source']} ({failed['message']}); the others go on, and what was indexed"
        f" of it still answers. Exit code {done.exit_code}."
    )


def _refuse(stage: Stage) -> None:
    try:
        stage.evals.preindex(Wish(source_db=str(stage.runs), model="hash:512"))
    except SpaceMismatch as refusal:
        stage.told["refused"] = refusal.to_dict()
        stage.say(f"8. Another model into the same table is refused: {refusal.what}.")
        return
    stage.require(False, "vectors of two models are never mixed")


def _state(stage: Stage) -> None:
    totals = stage.evals.status()["totals"]
    stage.told["totals"] = {key: totals[key] for key in ("sources", "documents", "ready", "stale", "failed")}
    stage.say(
        f"9. The state of it all: {totals['documents']} documents of {totals['sources']} sources,"
        f" {totals['ready']} ready, {totals['failed']} failed; {totals['embedded_texts']} texts embedded in all."
    )


def _shortened(words: str) -> list[str]:
    lines = [f"     {line}" for line in words.splitlines() if line.strip()]
    more = [f"     … {len(lines) - _SHOWN_LINES} lines more"] if len(lines) > _SHOWN_LINES else []
    return [*lines[:_SHOWN_LINES], *more]


@contextmanager
def _stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="wherry-evals-demo-") as name:
        folder = Path(name)
        (folder / "USER_GUIDE.md").write_text(demo_data.GUIDE, encoding="utf-8")
        demo_data.write(folder / "evalvault.db", demo_data.runs())
        # What the machine is set up for is none of the story's.
        settings = Settings.model_construct({"guide"}, guide=str(folder / "USER_GUIDE.md"), tokenizer="whitespace")
        evals = Evals(settings, schema=SCHEMA)
        _drop(evals)
        evals.database.upgrade()
        try:
            yield Stage(evals, folder)
        finally:
            _drop(evals)
            evals.close()


def _drop(evals: Evals) -> None:
    with evals.database.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
