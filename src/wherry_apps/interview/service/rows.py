"""Rows as JSON, and whose they are."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import MOST_ID
from wherry_apps.interview.tables import (
    Base,
    Company,
    InterviewResult,
    InterviewSession,
    Job,
    JobChunk,
    Persona,
    Transcript,
)

T = TypeVar("T", bound=Base)
_HIDDEN = {"embedding", "owner"}


def whose(model: type[Base], owner: str | None) -> sa.ColumnElement[bool]:
    """Return the condition by which a row is its owner's; rows below another one are whose that one is."""
    if owner is None:
        return sa.true()
    if model is InterviewResult or model is Transcript:
        key = InterviewResult.interview_id if model is InterviewResult else Transcript.session_id
        return key.in_(sa.select(InterviewSession.id).where(InterviewSession.owner == owner))
    if model is JobChunk:
        return JobChunk.job_id.in_(sa.select(Job.id).where(Job.owner == owner))
    if model is Persona:
        return Persona.company_id.in_(sa.select(Company.id).where(Company.owner == owner))
    return sa.column("owner", _selectable=model.__table__) == owner


def fetched(session: Session, model: type[T], id: int, owner: str | None, *, lock: bool = False) -> T:
    """Return a row by its id. lock: nobody changes it before the transaction ends. Raises NotFound."""
    statement = sa.select(model).where(model.__table__.c.id == id, whose(model, owner))
    # A number that no id can be is nothing's; the database would call it an error.
    found = session.scalar(statement.with_for_update() if lock else statement) if 0 <= id <= MOST_ID else None
    if found is None:
        raise wherry.NotFound(f"there is no {word(model)} {id}", where=f"{word(model)}_id")
    return found


def word(model: type[Base]) -> str:
    """Return what one row of a table is called: company, job, question, session, result, ..."""
    return {
        "companies": "company",
        "job_chunks": "chunk",
        "interview_sessions": "session",
        "interview_results": "result",
        "session_transcripts": "turn",
    }.get(model.__tablename__, model.__tablename__.removesuffix("s"))


def shown(row: Base, *without: str) -> dict[str, Any]:
    """Return a row as a JSON object: by column name, without vectors and owner."""
    mapper = sa.inspect(type(row))
    values = {one.columns[0].name: getattr(row, one.key) for one in mapper.column_attrs}
    return {name: plain(value) for name, value in values.items() if name not in _HIDDEN and name not in without}


def plain(value: Any) -> Any:
    """Return a value as JSON has it: times in ISO form, an enumeration by its value."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
