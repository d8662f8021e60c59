"""Goals of a person: set, changed, completed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wherry_apps.body.service.context import Context, Owner, iso, owned, person
from wherry_apps.body.tables import UserGoal
from wherry_apps.body.wishes import Goal, Preferences, read_goals, read_preferences, unwrapped

_TARGETS = ("target_weight", "target_body_fat", "target_muscle", "deadline", "priority")


class Goals:
    """The goals of a database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(
        self,
        owner: Owner,
        user_id: int,
        goal: Goal,
        description: str | None = None,
        preferences: Preferences | None = None,
        health_specifics: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Set a goal. Raises NotFound for a person who is not the owner's."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            row = UserGoal(
                user_id=user_id,
                goal_type=goal.goal_type,
                goal_description=description,
                goal_data=goal.model_dump(include=set(_TARGETS), exclude_none=True),
                preferences=preferences.model_dump() if preferences else None,
                health_specifics=health_specifics,
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return shown(row)

    def get(self, owner: Owner, goal_id: int) -> dict[str, Any]:
        """Return a goal. Raises NotFound."""
        with self._context.db.session() as session:
            return shown(owned(session, UserGoal, goal_id, owner))

    def all(self, owner: Owner, user_id: int, active: bool = False) -> list[dict[str, Any]]:
        """Return a person's goals, newest first. active: only those that go on."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            return [shown(row) for row in session.scalars(_of(user_id, active))]

    def change(self, owner: Owner, goal_id: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Change what is named; an explicit None clears it. Raises NotFound."""
        with self._context.db.session() as session:
            row = owned(session, UserGoal, goal_id, owner)
            data = dict(row.goal_data or {})
            for name, value in changes.items():
                if name in _TARGETS:
                    data[name] = value
                else:
                    setattr(row, name, value)
            row.goal_data = {name: value for name, value in data.items() if value is not None} or None
            session.flush()
            session.refresh(row)
            return shown(row)

    def complete(self, owner: Owner, goal_id: int) -> dict[str, Any]:
        """End a goal: it has an end and is not active. One that has ended keeps its end. Raises NotFound."""
        with self._context.db.session() as session:
            row = owned(session, UserGoal, goal_id, owner)
            row.ended_at, row.is_active = row.ended_at or datetime.now(UTC), 0
            session.flush()
            return shown(row)

    def delete(self, owner: Owner, goal_id: int) -> None:
        """Delete a goal. Raises NotFound."""
        with self._context.db.session() as session:
            session.delete(owned(session, UserGoal, goal_id, owner))


def active_wishes(session: Session, user_id: int) -> tuple[list[Goal], Preferences | None]:
    """Return a person's active goals, and the preferences of the newest that has some. Raises BadRecord."""
    rows = list(session.scalars(_of(user_id, active=True)))
    goals = [goal for row in rows for goal in _goal_of(row)]
    wishes = next((row.preferences for row in rows if row.preferences), None)
    return goals, None if wishes is None else read_preferences(wishes)


def shown(row: UserGoal) -> dict[str, Any]:
    """Return a goal as a JSON object."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "goal_type": row.goal_type,
        "goal_description": row.goal_description,
        "goal_data": unwrapped(row.goal_data, "goal_data") if isinstance(row.goal_data, dict) else row.goal_data,
        "preferences": row.preferences,
        "health_specifics": row.health_specifics,
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at),
        "is_active": row.is_active,
        "created_at": iso(row.created_at),
    }


def _of(user_id: int, active: bool) -> Any:
    asked = select(UserGoal).where(UserGoal.user_id == user_id)
    if active:
        asked = asked.where(UserGoal.is_active == 1, UserGoal.ended_at.is_(None))
    return asked.order_by(func.coalesce(UserGoal.started_at, UserGoal.created_at).desc(), UserGoal.id.desc())


def _goal_of(row: UserGoal) -> list[Goal]:
    """Return a stored goal as it is planned by; earlier programs kept other keys beside, which mean nothing here."""
    if not row.goal_type:
        return []
    data = row.goal_data if isinstance(row.goal_data, dict) else {}
    kept = {name: data[name] for name in _TARGETS if data.get(name) is not None}
    return read_goals([{"goal_type": row.goal_type, **kept}])
