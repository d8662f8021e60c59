"""What the commands do: a phase or a question, and its report printed."""

from __future__ import annotations

import json as codec
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wherry
from wherry_apps.checkup import backups, phases
from wherry_apps.checkup.documents import Documents
from wherry_apps.checkup.places import places
from wherry_apps.checkup.runs import Runs
from wherry_apps.checkup.service import Checkup
from wherry_apps.checkup.tables import database

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Json = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What every command is told: the folder of the service, the database, how to print."""

    root: Path | None
    url: str | None
    json: bool

    @contextmanager
    def runs(self) -> Iterator[Runs]:
        """Give the runs of the service."""
        opened = database(self.url)
        try:
            yield Runs(opened, places(self.root))
        finally:
            opened.close()

    def done(self, title: str, report: Json, code: int = 0) -> int:
        """Print a report; return the exit code."""
        wherry.put_result(report, [title, *_lines(report)], self.json)
        return code


def extract(wanted: Wanted, source: Path | None, cloud: str | None, made_by: str | None) -> int:
    """Phase 1."""
    with wanted.runs() as runs:
        report = phases.extract(runs, source, cloud, made_by)
    return wanted.done(f"extract: {report['documents']:,} documents. next: wherry checkup verify", report)


def verify(wanted: Wanted) -> int:
    """Phase 1."""
    with wanted.runs() as runs:
        report = phases.verify(runs)
    return wanted.done("verify: nothing is wrong. next: wherry checkup init", report)


def init(wanted: Wanted, engine: str | None, embedder: str | None, floor: float | None, cost: float | None) -> int:
    """Phase 2."""
    with wanted.runs() as runs:
        report = phases.init(runs, engine, embedder, floor, cost)
    return wanted.done("init: ready. next: wherry checkup migrate", report)


def migrate(wanted: Wanted, accept_losses: bool) -> int:
    """Phase 3."""
    with wanted.runs() as runs:
        report = phases.migrate(runs, accept_losses)
    title = f"migrate: {report['read']:,} items {report['vectors']} and {report['verified']}"
    return wanted.done(f"{title}. next: wherry checkup compare --queries FILE", report)


def compare(wanted: Wanted, queries: str, left: str, right: str, k: int, page: str | None) -> int:
    """Phase 5."""
    with wanted.runs() as runs:
        report = phases.compare(runs, queries, left, right, k, page)
    title = f"compare: {report['questions']} questions, overlap@{k} {report[f'overlap@{k}']:.3f}"
    cost = report["cost"]
    said = f"cost as you set it, not measured: {cost['cloud_per_query']} dollars a question in the cloud"
    month = f"{cost['cloud_per_month']:,.2f} dollars for {cost['queries_per_month']:,} questions a month"
    wherry.put_result(report, [title, *_beside(report["left"], report["right"]), f"{said}, {month}"], wanted.json)
    return 0 if report["ok"] else wherry.Different.exit_code


def switch(wanted: Wanted, to: str, accept: bool, yes: bool) -> int:
    """Phase 6."""
    _approved(yes, f"wherry checkup switch --to {to}")
    with wanted.runs() as runs:
        report = phases.switch(runs, to, accept)
    return wanted.done(f"switch: readers are led to {to}. next: wherry checkup watch --for 24h", report)


def rollback(wanted: Wanted, yes: bool) -> int:
    """The way back."""
    _approved(yes, "wherry checkup rollback")
    with wanted.runs() as runs:
        report = phases.rollback(runs)
    return wanted.done("rollback: readers are led to the cloud side; nothing was deleted", report)


def watch(wanted: Wanted, for_: str, every: str, rollback_if: str) -> int:
    """Phase 6."""
    heard: Callable[[Any], None] = lambda look: wherry.tell(codec.dumps(look.to_dict(), default=str))  # noqa: E731
    with wanted.runs() as runs:
        report = phases.watch(runs, seconds_of(for_), seconds_of(every), rollback_if, heard)
    return wanted.done(f"watch: {report['verdict']}", report, int(report["exit_code"]))


def update(wanted: Wanted, folder: Path, allow_mass_delete: bool) -> int:
    """Take up documents."""
    with wanted.runs() as runs, runs.run("update") as kept:
        report = Documents(runs.database, runs.places).update(folder, allow_mass_delete)
        kept |= {**report, "ok": not report["failed"]}
    title = f"update: {report['new']} new, {report['modified']} changed, {report['deleted']} removed"
    return wanted.done(title, report, wherry.BadRecord.exit_code if report["failed"] else 0)


def backup(wanted: Wanted, tables: list[str], into: Path | None) -> int:
    """Archive."""
    with wanted.runs() as runs, runs.run("backup") as kept:
        report = backups.backup(runs.places, runs.database, tables, into)
        kept |= report
    return wanted.done(f"backup: {len(report['parts'])} parts in {report['folder']}", report)


def restore(wanted: Wanted, folder: Path, schema: str | None, yes: bool) -> int:
    """Bring back."""
    _approved(yes, f"wherry checkup restore {folder}")
    with wanted.runs() as runs, runs.run("restore") as kept:
        report = backups.restore(folder, runs.places, runs.database, schema)
        kept |= report
    return wanted.done(f"restore: {len(report['parts'])} parts", report)


def ask(wanted: Wanted, question: str, results: Path | None, hospital: str | None, chat: str | None) -> int:
    """Answer a question."""
    asked = {"uuid": "command line", "message": question, "hospital_id": hospital, **results_of(results)}
    with Checkup(places(wanted.root), wanted.url, chat) as service:
        *pieces, last = service.message(asked)
    report = {**last, "answer": "".join(piece["answer"] for piece in pieces)}
    lines = [report["answer"], "", f"backend: {report['backend']}, offline: {report['offline']}"]
    lines += [f"[{s['similarity']:.3f} {s['label']}] {s['title']} {s['page'] or ''}" for s in report["sources"]]
    return wherry.put_result(report, [*lines, *(f"? {one}" for one in report["suggestions"])], wanted.json)


def evidence(wanted: Wanted, results: Path, family: list[str], concerns: list[str]) -> int:
    """Lay evidence under results."""
    asked = {**results_of(results), "family_history": family, "concerns": concerns}
    with Checkup(places(wanted.root), wanted.url) as service:
        report = service.evidence(asked)
    lines = [f"{e['similarity']:.3f}  {e['source_document']} {e['page'] or ''}" for e in report["structured_evidences"]]
    return wherry.put_result(report, [report["query"], "", *lines], wanted.json)


def status(wanted: Wanted) -> int:
    """Say how it stands."""
    with wanted.runs() as runs, Checkup(runs.places, wanted.url) as service:
        report = {**service.diagnose(), "runs": runs.all()}
    return wanted.done(f"status: answers come from {report['backend']}", report)


def demo(folder: Path | None, json: bool) -> int:
    """Play the story."""
    from wherry_apps.checkup.demo import play

    said: list[str] = []
    report = play(folder or Path("checkup-demo"), said.append if json else print)
    return wherry.put_result(report, [f"Done in {report['seconds']} s."], json)


def results_of(path: Path | None) -> Json:
    """Return checkup results as a chat request carries them: one object, a list, or a whole request. Raises Usage."""
    if path is None:
        return {}
    try:
        found = codec.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise wherry.Usage(f"the results cannot be read: {type(error).__name__}", where=str(path)) from None
    if isinstance(found, dict) and "checkup_results" in found:
        return {key: found[key] for key in ("checkup_results", "patient_info", "health_data") if key in found}
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in listed):
        raise wherry.Usage("the results are no object", where=str(path), next='write {"fasting_glucose": 108}')
    return {
        "checkup_results": listed,
        "patient_info": next(({"sex": o.get("sex"), "birth_date": o.get("birth_date")} for o in listed), {}),
    }


def seconds_of(text: str) -> float:
    """Return a time written as 90s, 15m, 24h or 2d in seconds. Raises Usage."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise wherry.Usage(f"{text!r} is no time", where="--for", next="write 90s, 15m, 24h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def _approved(yes: bool, command: str) -> None:
    if not yes:
        raise wherry.Refused("this wants approval", left="nothing was changed", next=f"{command} --yes")


def _beside(left: Json, right: Json) -> Iterator[str]:
    """Yield what was measured of both sides, a line each."""
    yield f"{'':<18}{left['side']:>14}{right['side']:>14}"
    rows: tuple[tuple[str, Callable[[Json], Any], float, str], ...] = (
        ("p50", lambda s: s["times"]["search_ms"]["p50"]["mean"], 1, " ms"),
        ("p95", lambda s: s["times"]["search_ms"]["p95"]["mean"], 1, " ms"),
        ("best similarity", lambda s: s["similarity_best"], 1, ""),
        ("mean similarity", lambda s: s["similarity_mean"], 1, ""),
        ("memory grown", lambda s: s["memory"], 1e6, " MB"),
        ("disk", lambda s: s["disk"], 1e6, " MB"),
    )
    for name, of, unit, word in rows:
        cells = []
        for side in (left, right):
            try:
                value = of(side)
            except (KeyError, TypeError):
                # A recorded side has no times where nobody wrote them down.
                value = None
            cells.append("-" if value is None else f"{value / unit:.3g}{word}")
        yield f"{name:<18}{cells[0]:>14}{cells[1]:>14}"


def _lines(report: Json, deep: int = 0) -> Iterator[str]:
    for name, value in report.items():
        if isinstance(value, dict):
            yield f"{'  ' * (deep + 1)}{name}:"
            yield from _lines(value, deep + 1)
        elif value not in (None, "", [], ()):
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            yield f"{'  ' * (deep + 1)}{name}: {shown}"
