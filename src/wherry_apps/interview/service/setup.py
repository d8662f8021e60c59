"""Init: connection, extension, tables, index, and that all of it is there. Nothing is ever asked."""

from __future__ import annotations

from typing import Any

import wherry
from wherry_apps.interview.service.opened import Interview


def initialise(on: Interview) -> dict[str, Any]:
    """Make what is missing and return what is there: extension, tables, indexes; changed tells whether it was made now.

    Raises Unreachable, AuthFailed or StoreError, naming the command an administrator must run where the extension may
    not be installed; Refused where an older program's tables stand; Integrity where something is missing afterwards.
    """
    before = on.database.revision()
    if before is None:
        on.refuse_older()
    on.upgrade()
    found = on.database.check()
    missing = [
        *found["missing_tables"],
        *found["missing_indexes"],
        *([] if found["pgvector"] else ["extension vector"]),
    ]
    if missing:
        raise wherry.Integrity(
            f"these are missing after init: {', '.join(missing)}",
            where=found["database"],
            left="what was there stays",
            next="restore them from a backup, or start with an empty schema",
        )
    return {**found, "changed": found["revision"] != before}
