"""The phases that ran: in the database, in the log, and which may begin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

import wherry
from wherry_apps.checkup.places import Places
from wherry_apps.checkup.tables import CheckupRun

PHASES = ("extract", "verify", "init", "migrate", "compare", "switch", "watch")


class Runs:
    """The runs of one service."""

    def __init__(self, database: wherry.AppDatabase, places: Places) -> None:
        self.database, self.places = database, places

    def latest(self, phase: str) -> CheckupRun | None:
        """Return the last run of a phase, None when there is none."""
        wanted = select(CheckupRun).where(CheckupRun.root == str(self.places.root), CheckupRun.phase == phase)
        with self.database.session() as session:
            return session.scalars(wanted.order_by(CheckupRun.id.desc()).limit(1)).first()

    def all(self) -> list[dict[str, Any]]:
        """Return the last run of every phase there was, in their order."""
        found = [self.latest(phase) for phase in (*PHASES, "rollback", "update", "backup", "restore")]
        return [_told(run) for run in found if run is not None]

    def passed(self, phase: str) -> dict[str, Any]:
        """Return the report of a phase that passed and still stands. Raises Refused.

        It stands no more once an earlier phase began anew: what it found was found of something else.
        """
        run = self.latest(phase)
        if run is None or not run.ok:
            state = "has not run yet" if run is None else "did not pass" if run.finished_at else "has not ended"
            raise _not_yet(phase, state)
        before = [self.latest(one) for one in PHASES[: PHASES.index(phase)]]
        anew = [one.phase for one in before if one is not None and one.id > run.id]
        if anew:
            raise _not_yet(phase, f"rests on what was before the last {anew[-1]}")
        return dict(run.report)

    def require_before(self, phase: str) -> None:
        """Raise Refused unless the phase before this one passed and still stands."""
        number = PHASES.index(phase)
        if number:
            self.passed(PHASES[number - 1])

    @contextmanager
    def run(self, phase: str) -> Iterator[dict[str, Any]]:
        """Record a phase: give a report to be filled, whose `ok` says whether it passed; True where it says nothing."""
        with self.database.session() as session:
            row = CheckupRun(root=str(self.places.root), phase=phase)
            session.add(row)
            session.flush()
            number = row.id
        report: dict[str, Any] = {}
        try:
            yield report
        except wherry.WherryError as error:
            self._end(number, phase, False, {**report, "error": error.to_dict()})
            raise
        except BaseException as error:
            self._end(number, phase, False, {**report, "error": {"error": type(error).__name__}})
            raise
        self._end(number, phase, bool(report.pop("ok", True)), report)

    def _end(self, number: int, phase: str, ok: bool, report: dict[str, Any]) -> None:
        plain = json.loads(json.dumps(report, ensure_ascii=False, default=str))
        ended = datetime.now(UTC)
        with self.database.session() as session:
            row = session.get_one(CheckupRun, number)
            row.finished_at, row.ok, row.report = ended, ok, plain
        self.places.log.parent.mkdir(parents=True, exist_ok=True)
        with self.places.log.open("a", encoding="utf-8") as log:
            line = {"at": ended.isoformat(), "phase": phase, "ok": ok, "report": plain}
            log.write(json.dumps(line, ensure_ascii=False) + "\n")


def _told(run: CheckupRun) -> dict[str, Any]:
    ended = run.finished_at.isoformat() if run.finished_at else None
    return {"phase": run.phase, "ok": run.ok, "started_at": run.started_at.isoformat(), "finished_at": ended}


def _not_yet(phase: str, state: str) -> wherry.Refused:
    return wherry.Refused(
        f"the phase before this one has to pass first: {phase} {state}",
        where=phase,
        left="nothing was changed",
        next=f"wherry checkup {phase}",
    )
