"""A migration in a process of its own, which dies by its own hand in the middle of a phase."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wherry.moving.progress import Progress
from wherry.routing import migration
from wherry.routing.migration import Wanted, migrate


def begun(wanted: dict[str, Any], phase: str, log: str) -> list[str]:
    """Carry a migration out and put down each phase that begins; die in `phase`, after its act and before it is noted.

    What such a death leaves is the most there can be: everything was done, and nobody knows.
    """
    if phase:
        act = migration._ACTS[phase]
        migration._ACTS[phase] = _dying(act)
    heard: list[str] = []

    def hear(found: migration.Phase) -> None:
        if found.state == "waiting":
            heard.append(found.name)
            with Path(log).open("a") as file:
                file.write(f"{found.name}\n")

    migrate(Wanted(**wanted), heard=hear)
    return heard


def _dying(act: Callable[[Wanted, Progress], dict[str, Any]]) -> Callable[[Wanted, Progress], dict[str, Any]]:
    def acted(wanted: Wanted, progress: Progress) -> dict[str, Any]:
        act(wanted, progress)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    return acted
