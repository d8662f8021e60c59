"""The way of a session, and when a question wants a follow-up."""

from __future__ import annotations

from wherry_apps.interview.rules.speech import evasion

PENDING, IN_PROGRESS, COMPLETED, FAILED = "pending", "in_progress", "completed", "failed"
STATUSES = (PENDING, IN_PROGRESS, COMPLETED, FAILED)
_MOVES = {PENDING: {IN_PROGRESS}, IN_PROGRESS: {COMPLETED, FAILED}}
SHORT, SHORT_EVASIVE = 100, 150


def may_move(before: str, after: str) -> bool:
    """Tell whether a session may go from one status to another: pending → in_progress → completed or failed."""
    return after in _MOVES.get(before, set())


def follow_up_due(answer: str, weak: bool = False) -> bool:
    """Tell whether an answer wants a follow-up: short, evasive and not long, or weak in the model's words."""
    length = len(answer.strip())
    return weak or length < SHORT or (length < SHORT_EVASIVE and evasion(answer) is not None)
