"""What every part of the service shares, and the one place that says whose a row is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

import wherry
from wherry_apps.body.settings import Models, Settings
from wherry_apps.body.tables import AnalysisReport, HealthRecord, User, UserGoal, WeeklyPlan

Owner = str | None
Row = TypeVar("Row", HealthRecord, AnalysisReport, UserGoal, WeeklyPlan)
_WORDS = {HealthRecord: "record", AnalysisReport: "report", UserGoal: "goal", WeeklyPlan: "plan"}
_MOST = 2**31 - 1


@dataclass
class Context:
    """The database, the settings and the models of one service."""

    db: wherry.AppDatabase
    settings: Settings
    models: Models


def person(session: Session, owner: Owner, user_id: int) -> User:
    """Return a person of an owner; None is the operator, who sees all. Raises NotFound, also for another's."""
    found = session.get(User, user_id) if 0 < user_id <= _MOST else None
    if found is None or (owner is not None and found.owner != owner):
        raise missing("user", user_id)
    return found


def owned(session: Session, model: type[Row], number: int, owner: Owner) -> Row:
    """Return a row by its id, if its person is the owner's. Raises NotFound."""
    found = None
    if 0 < number <= _MOST:
        asked = select(model).join(User, User.id == model.user_id).where(model.id == number)
        found = session.scalar(asked if owner is None else asked.where(User.owner == owner))
    if found is None:
        raise missing(_WORDS[model], number)
    return found


def missing(what: str, number: int) -> wherry.NotFound:
    """Return the error for what is not there, or not there for this caller."""
    return wherry.NotFound(
        f"there is no {what} {number}", where=what, left="nothing", next=f"check the id of the {what}"
    )


def require_text(value: str, name: str, most: int) -> str:
    """Return a text of one line that PostgreSQL can keep. Raises BadRecord naming the field."""
    plain = value.strip()
    try:
        plain.encode()
    except UnicodeEncodeError:
        plain = ""
    if not 0 < len(plain) <= most or "\x00" in plain:
        raise wherry.BadRecord(f"{name} is not a text of 1 to {most} characters", fields=[name], left="nothing")
    return plain


def aware(moment: datetime | None) -> datetime | None:
    """Return a time with its zone; one without is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def iso(moment: datetime | None) -> str | None:
    """Return a time as text in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat()
