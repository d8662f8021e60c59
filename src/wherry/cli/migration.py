"""`wherry migrate`: a line as each phase begins, and how it ended."""

from __future__ import annotations

from pathlib import Path

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.words import duration, safe
from wherry.routing.migration import Phase, migrate


def carry_out(plan: Path, until: str, json: bool) -> int:
    """Carry a migration out and print how every phase went."""
    with listening(json) as listener:
        done = migrate(plan, until=until, progress=listener, heard=lambda phase: out.tell(_line(phase)))
    if json:
        out.put_json(done.to_dict())
        return 0
    left = [phase.name for phase in done.phases if phase.state != "done"]
    way_back = done.phases[-1].way_back or "nothing to take back"
    state = f"{', '.join(left)} left" if left else "every phase is done"
    out.put_all([f"{safe(done.wanted.name)}: {state}", f"the way back: {way_back}"])
    return 0


def _line(phase: Phase) -> str:
    if phase.state == "waiting":
        return f"{phase.name} ...  (the way back: {phase.way_back})"
    told = ", ".join(f"{name} {value}" for name, value in phase.result.items() if isinstance(value, str | int | float))
    return f"{phase.name} {phase.state} in {duration(phase.seconds)}  {safe(told[:300])}"
