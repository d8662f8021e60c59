"""What children of the runner do with collections of a framework's layout."""

from __future__ import annotations

import os
import signal
from typing import Any

import wherry.moving.sync as moving
from wherry.moving.verify import verify
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target
from wherry.testing.samples import sample

DIMENSION, ROWS, BATCH = 8, 280, 40


def fill(address: str) -> int:
    """Make a collection of sample records; return how many."""
    store = open_target(address)
    space = Space(dimension=DIMENSION, metric=Metric.COSINE)
    store.prepare(space, Index(), ROWS)
    store.upsert(sample(ROWS, DIMENSION))
    store.finish(space, Index())
    store.close()
    return ROWS


def sync(source: str, target: str) -> dict[str, Any]:
    """Sync in small batches; return what was done."""
    moving.WRITE_ROWS = BATCH
    result = moving.sync(source, target, accept_losses=True, allow_mass_delete=True)
    return {"equal": result.equal, "written": result.written}


def sync_and_die(source: str, target: str, method: str, call: int, after: bool) -> None:
    """Sync, and be killed before or after the target's `call`-th call of a method."""
    from wherry.stores.pgvector.target import PgTarget

    moving.WRITE_ROWS = BATCH
    real, seen = getattr(PgTarget, method), 0

    def counted(self: PgTarget, *arguments: Any, **named: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(self, *arguments, **named)
        if seen == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(PgTarget, method, counted)
    moving.sync(source, target, accept_losses=True, allow_mass_delete=True)


def differing(source: str, target: str) -> list[str]:
    """Return the ids in which two collections differ, null texts aside, and those that are there twice."""
    return [f"{d.id} {d.kind} {d.field}" for d in verify(source, target).differences]
