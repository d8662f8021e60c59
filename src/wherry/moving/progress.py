"""How a run tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Something that wants to hear how far a run is."""

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Hear that `done` of `total` records of a phase are through; total None = not known."""
        ...


def silent(phase: str, done: int, total: int | None) -> None:
    """Hear everything and say nothing."""
