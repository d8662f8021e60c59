"""The runs that were made here, as the journals remember them."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from wherry import out
from wherry.cli import show
from wherry.cli.words import command, duration, safe
from wherry.errors import JournalCorrupt, Usage
from wherry.moving.journal import Journal, folder
from wherry.record import Reject

if TYPE_CHECKING:
    from rich.console import RenderableType

_COUNTS = ("read", "written", "unchanged", "deleted")
_DIED = "died, resumable"


def list_all(json: bool) -> int:
    """Print every run, latest first; a journal that cannot be read is named and makes it exit 6."""
    found, broken = _runs()
    if json:
        out.put_json({"runs": [_brief(run) for run in found], "unreadable": [e.to_dict() for e in broken]})
    else:
        out.put_all(_lines(found) if found else ["No run was made here yet."])
        for error in broken:
            out.tell(f"error: {safe(str(error.what))}\n  where: {safe(error.where)}\n  next: {error.next}")
    return JournalCorrupt.exit_code if broken else 0


def show_one(wanted: str, json: bool) -> int:
    """Print one run with its plan, outcome and quarantine. Raises Usage when there is none."""
    found, _ = _runs()
    run = next((run for run in found if run["id"] == wanted), None)
    if run is None:
        close = get_close_matches(wanted, [run["id"] for run in found], n=3, cutoff=0.3)
        raise Usage(
            f"no run is called {wanted}",
            left="nothing was touched",
            next=f"did you mean {' or '.join(close)}?" if close else "wherry runs",
        )
    with Journal("", run.pop("journal")) as journal:
        rejects = journal.quarantined(wanted)
    if json:
        out.put_json({**_brief(run), "plan": run["plan"], "outcome": run["outcome"], **_listed(rejects)})
    else:
        out.put_all(_details(run, rejects))
    return 0


def _runs() -> tuple[list[dict[str, Any]], list[JournalCorrupt]]:
    """Return the runs of every journal, latest first, and the journals that cannot be read."""
    found: list[dict[str, Any]] = []
    broken: list[JournalCorrupt] = []
    for path in sorted(folder().glob("*.sqlite3")):
        try:
            with Journal("", path) as journal:
                found += [{**run, "journal": path} for run in journal.runs()]
        except JournalCorrupt as error:
            broken.append(error)
    for run in found:
        run["status"] = _status(run)
    return sorted(found, key=lambda run: (run["started"], run["id"]), reverse=True), broken


def _status(run: dict[str, Any]) -> str:
    status = str(run["status"])
    if status == "died" or (status == "running" and not _alive(run["pid"])):
        return _DIED
    return f"{status}, resumable" if status == "interrupted" else status


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _brief(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run without its plan and lists."""
    named = {k: run[k] for k in ("id", "act", "source", "target", "status", "started", "ended", "pid")}
    counts = {name: run["outcome"].get(name) for name in (*_COUNTS, "seconds")}
    return {**named, **counts, "quarantined": run["quarantined"], "next": _next(run)}


def _next(run: dict[str, Any]) -> str:
    if run["status"] in ("done", "running"):
        return ""
    return command("wherry", run["act"], run["source"], run["target"])


def _listed(rejects: list[Reject]) -> dict[str, Any]:
    return {"quarantine": [{"id": r.id, "reason": r.reason, "detail": r.detail} for r in rejects]}


def _lines(found: list[dict[str, Any]]) -> list[RenderableType]:
    """Return three lines per run: as one row, two addresses and the counts fit no terminal."""
    parts: list[RenderableType] = []
    for run in found:
        started = run["started"][:19].replace("T", " ")
        parts.append(f"{run['id']}  {started}  {run['act']:<6}  {run['status']:<22}  {_time(run)}")
        parts.append(f"    {safe(run['source'])} → {safe(run['target'])}")
        parts.append(f"    {_counts(run)}")
    latest = {run["target"]: run for run in reversed(found)}
    parts += [f"next: {_next(run)}" for run in latest.values() if "resumable" in run["status"]]
    return parts


def _counts(run: dict[str, Any]) -> str:
    """Return the counts that are not zero and the error, as words."""
    numbers = {name: run["outcome"].get(name) for name in _COUNTS} | {"quarantined": run["quarantined"]}
    words = [f"{number:,} {name}" for name, number in numbers.items() if number]
    error = run["outcome"].get("error")
    return ", ".join(words + ([str(error["error"])] if error else [])) or "-"


def _details(run: dict[str, Any], rejects: list[Reject]) -> list[RenderableType]:
    outcome, plan = run["outcome"], run["plan"]
    error = outcome.get("error") or {}
    rows = [(name, str(run[name])) for name in ("id", "act", "source", "target", "status", "started")]
    rows += [("ended", run["ended"] or "-"), ("time", _time(run))]
    rows += [("planned", f"{_number(plan.get('rows'))} records, about {_number(plan.get('bytes'))} bytes")]
    rows += [(name, _number(outcome.get(name))) for name in _COUNTS]
    rows += [("quarantined", _number(run["quarantined"]))]
    rows += [(name, str(outcome[name])) for name in ("verified", "equal") if name in outcome]
    rows += [("error", f"{error['error']}: {error.get('what', '')}")] if error else []
    parts: list[RenderableType] = [show.pairs((name, safe(value)) for name, value in rows)]
    parts += [f"{loss['severity']}: {safe(loss['words'])}" for loss in plan.get("losses", ())]
    if rejects:
        parts += ["quarantine:", show.table(("id", "reason", "detail"), [_row(r) for r in rejects])]
    if _next(run):
        parts.append(f"next: {_next(run)}")
    return parts


def _row(reject: Reject) -> tuple[str, str, str]:
    return (reject.id, reject.reason, reject.detail)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _time(run: dict[str, Any]) -> str:
    seconds = run["outcome"].get("seconds")
    return "-" if seconds is None else duration(seconds)
