"""What children of the runner do with several workers."""

from __future__ import annotations

from typing import Any

import wherry.moving.sync as moving
from tests.crash import acts


def sync(source: str, target: str, workers: int, engine: str = "local") -> dict[str, Any]:
    """Sync in many small batches."""
    moving.WRITE_ROWS = acts.BATCH
    result = moving.sync(source, target, allow_mass_delete=True, workers=workers, engine=engine)
    return {"equal": result.equal, "written": result.written, "deleted": result.deleted, "notes": list(result.notes)}
