"""What a place of runs is to the rest: pages of runs, newest first, each with a fingerprint of its raw rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from wherry_apps.evals.runs import Json

PAGE = 100


@dataclass(frozen=True)
class Raw:
    """A run that was read and not looked into yet. fingerprint: equal exactly when its raw values are.

    document: its JSON object; raises BadRecord for values that cannot be read.
    """

    run_id: str
    fingerprint: str
    document: Callable[[], Json]


class RunSource(Protocol):
    """A place that holds runs; opened read-only."""

    @property
    def place(self) -> str:
        """Return its stable name, fit to print: no password in it."""
        ...

    def mark(self) -> str | None:
        """Return a cheap mark of all it holds: while it stays the same, nothing changed. None where none is sure."""
        ...

    def pages(self, limit: int | None = None) -> Iterator[list[Raw]]:
        """Yield runs by (started_at descending, run_id), 100 at a time. limit: only so many, the newest."""
        ...

    def ids(self) -> set[str]:
        """Return the ids of all its runs."""
        ...

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        ...
