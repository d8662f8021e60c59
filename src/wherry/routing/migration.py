"""A whole migration as one resumable run: six phases, each with a way back that is written down before it begins.

    phase      does                                         the way back
    backup     the source into a file with checksums        nothing to take back: the source is only read
    check      the file against the source, value by value  the same
    prepare    what the move would lose, need and take       the same
    copy       the source into the target, proved           the target may be removed; nobody reads it yet
    compare    the same questions to both sides              the same
    switch     readers over to the target                    `wherry rollback ROUTE`

Running it again continues: a phase that is done is done again only when what it rests on does not stand any more.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wherry.comparing.costs import PER_MONTH
from wherry.errors import Different, Refused, Usage, WherryError
from wherry.moving.opening import reading
from wherry.moving.plan import plan
from wherry.moving.progress import Progress, silent
from wherry.moving.proofs import recall
from wherry.moving.sync import sync
from wherry.moving.verify import verify
from wherry.routing.book import Book
from wherry.routing.switching import switch
from wherry.state import file_name, home, locked

PHASES = ("backup", "check", "prepare", "copy", "compare", "switch")
_WAYS_BACK = {
    "backup": "nothing to take back: the source is only read",
    "check": "nothing to take back: the source is only read",
    "prepare": "nothing to take back: nothing is written",
    "copy": "remove the target; nobody reads it yet",
    "compare": "remove the target; nobody reads it yet",
    "switch": "wherry rollback {route}",
}


class Wanted(BaseModel):
    """What a plan file says. Unknown words in it are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100)
    source: str
    target: str
    backup: str
    route: str | None = None
    queries: str | None = None
    k: int = Field(10, ge=1)
    min_recall: float = Field(0.95, ge=0, le=1)
    min_overlap: float = Field(0.95, ge=0, le=1)
    accept_losses: bool = False
    report: str | None = None
    per_month: int = Field(PER_MONTH, ge=0)


@dataclass
class Phase:
    """One phase and how it went. state: `waiting`, `done` or `failed`. result: what its act returned."""

    name: str
    state: str = "waiting"
    seconds: float = 0.0
    at: str | None = None
    way_back: str = ""
    result: dict[str, Any] = field(default_factory=dict)


@dataclass
class Migration:
    """A migration and how far it is."""

    wanted: Wanted
    phases: list[Phase]
    path: Path

    @property
    def done(self) -> bool:
        """Whether every phase is done."""
        return all(phase.state == "done" for phase in self.phases)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry migrate` prints."""
        return {"name": self.wanted.name, "done": self.done, "phases": [asdict(phase) for phase in self.phases]}

    def keep(self) -> None:
        """Write down how far it is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"wanted": self.wanted.model_dump(), **self.to_dict()}, ensure_ascii=False))
        new.replace(self.path)


def read_plan(path: str | Path) -> Wanted:
    """Return what a plan file says. Raises Usage, naming the line or the word that is wrong."""
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Wanted.model_validate(found.get("migration", {}))
    except OSError as error:
        raise Usage(f"the plan cannot be read: {error.strerror}", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"the plan is no TOML: {error}", where=str(path)) from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Usage(f"the plan cannot be carried out: {wrong}", where=f"{path}, [migration]") from None


def migrate(
    plan_file: str | Path | Wanted,
    *,
    until: str = "switch",
    progress: Progress = silent,
    heard: Callable[[Phase], None] = lambda phase: None,
) -> Migration:
    """Carry a migration out from where it is, up to a phase; return how every phase went.

    heard: told of each phase before and after it. Raises what the phase that failed raises; what was done by then is
    written down, and the same call goes on from there.
    """
    wanted = plan_file if isinstance(plan_file, Wanted) else read_plan(plan_file)
    if until not in PHASES:
        raise Usage(f"there is no phase {until!r}", where="--until", next=f"phases are {', '.join(PHASES)}")
    with locked(f"migration {wanted.name}", f"the migration {wanted.name}"):
        migration = _recalled(wanted)
        again = False
        for phase in migration.phases[: PHASES.index(until) + 1]:
            # What comes after a phase that was done anew rests on what is no more.
            again = again or phase.state != "done" or not _stands(phase.name, wanted)
            if not again:
                continue
            _carry_out(migration, phase, progress, heard)
        return migration


def _carry_out(migration: Migration, phase: Phase, progress: Progress, heard: Callable[[Phase], None]) -> None:
    phase.state, phase.at = "waiting", datetime.now(UTC).isoformat(timespec="seconds")
    phase.way_back = _WAYS_BACK[phase.name].format(route=migration.wanted.route)
    migration.keep()
    heard(phase)
    started = time.perf_counter()
    try:
        phase.result = _ACTS[phase.name](migration.wanted, progress)
        phase.state = "done"
    except WherryError as error:
        phase.state, phase.result = "failed", error.to_dict()
        raise
    finally:
        phase.seconds = round(time.perf_counter() - started, 3)
        migration.keep()
        heard(phase)


def _recalled(wanted: Wanted) -> Migration:
    path = home() / "migrations" / f"{file_name(wanted.name)}.json"
    migration = Migration(wanted, [Phase(name) for name in PHASES], path)
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        # Another plan under the same name begins anew: what was done for the old one proves nothing for it.
        if kept["wanted"] == wanted.model_dump():
            migration.phases = [Phase(**phase) for phase in kept["phases"]]
    return migration


def _stands(phase: str, wanted: Wanted) -> bool:
    """Tell whether what a finished phase rests on is still so."""
    if phase in ("backup", "check"):
        return _switched(wanted) or (Path(wanted.backup).exists() and _proved(wanted.source, wanted.backup))
    if phase == "copy":
        return _switched(wanted) or _proved(wanted.source, wanted.target)
    if phase == "switch":
        return wanted.route is None or _switched(wanted)
    return True


def _proved(source: str, target: str) -> bool:
    with reading(source) as one, reading(target) as other:
        proof = recall(one, other)
        return proof is not None and not proof.doubts(one, other)


def _switched(wanted: Wanted) -> bool:
    if wanted.route is None:
        return False
    with Book() as book:
        route = book.find(wanted.route)
    return route is not None and route.target == wanted.target


def _backup(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    done = sync(wanted.source, wanted.backup, accept_losses=wanted.accept_losses, progress=progress)
    return {"records": done.read, "verified": done.verified, "quarantined": done.quarantined}


def _check(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    return _equal(wanted.source, wanted.backup, progress)


def _prepare(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    found = plan(wanted.source, wanted.target, progress=progress)
    lossy = [loss.words for loss in found.losses if loss.severity == "lossy"]
    if lossy and not wanted.accept_losses:
        raise Refused(
            f"the move would lose: {'; '.join(lossy)}",
            where=wanted.target,
            left="nothing was written",
            next="write accept_losses = true into the plan, or choose another target",
        )
    return {"rows": found.rows, "disk_needed": found.disk_needed, "disk_free": found.disk_free, "losses": lossy}


def _copy(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    done = sync(wanted.source, wanted.target, accept_losses=wanted.accept_losses, progress=progress)
    proof = _equal(wanted.source, wanted.target, progress)
    return {"read": done.read, "written": done.written, "unchanged": done.unchanged, **proof}


def _equal(source: str, target: str, progress: Progress) -> dict[str, Any]:
    found = verify(source, target, progress=progress)
    if not found.equal:
        raise Different(
            f"{found.missing:,} records are missing, {found.extra:,} too many, {found.different:,} differ",
            where=f"{source} -> {target}",
            left="readers go on as before",
            next=f"wherry verify {source} {target}",
        )
    return {"verdict": found.verdict, "compared": found.compared}


def _compare(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    if wanted.queries is None:
        return {"skipped": "the plan names no queries"}
    from wherry import compare

    found = compare(
        wanted.source,
        wanted.target,
        wanted.queries,
        k=wanted.k,
        min_recall=wanted.min_recall,
        min_overlap=wanted.min_overlap,
        per_month=wanted.per_month,
        report=wanted.report,
    )
    if found.exit_code:
        raise Different(
            "the target answers worse than the plan allows",
            where=wanted.target,
            left="readers go on as before",
            next=f"look at {wanted.report}" if wanted.report else 'write report = "compare.html" into the plan',
        )
    return dict(found.to_dict())


def _switch(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    if wanted.route is None:
        return {"skipped": "the plan names no route"}
    with Book() as book:
        if book.find(wanted.route) is None:
            book.make(wanted.route, wanted.source, None, f"migration {wanted.name}")
    if _switched(wanted):
        return {"leads_to": wanted.target}
    return switch(wanted.route, wanted.target, why=f"migration {wanted.name}").to_dict()


_ACTS: dict[str, Callable[[Wanted, Progress], dict[str, Any]]] = {
    "backup": _backup,
    "check": _check,
    "prepare": _prepare,
    "copy": _copy,
    "compare": _compare,
    "switch": _switch,
}
