"""The runs of this machine, as the journals remember them, for operators."""

from __future__ import annotations

from typing import Any

from wherry.errors import JournalCorrupt
from wherry.moving.journal import Journal, folder

_PLAIN = ("id", "act", "source", "target", "status", "started", "ended", "quarantined")
_COUNTS = ("read", "written", "unchanged", "deleted", "seconds")


def runs(last: int) -> dict[str, Any]:
    """Return the latest runs, latest first, and the journals that cannot be read."""
    found: list[dict[str, Any]] = []
    unreadable: list[dict[str, Any]] = []
    for path in sorted(folder().glob("*.sqlite3")):
        try:
            with Journal("", path) as journal:
                found += [_brief(run) for run in journal.runs()]
        except JournalCorrupt as error:
            unreadable.append(error.to_dict())
    found.sort(key=lambda run: (run["started"], run["id"]), reverse=True)
    return {"runs": found[:last], "count": len(found), "unreadable": unreadable}


def _brief(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in _PLAIN} | {name: run["outcome"].get(name) for name in _COUNTS}
