"""Create, read, change and delete the six kinds of records; only those of their owner, and whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import (
    MOST_ID,
    ApplicantForm,
    CompanyForm,
    Form,
    JobForm,
    QuestionForm,
    ResultForm,
    SessionChange,
    SessionForm,
    storable,
    validated,
)
from wherry_apps.interview.rules.evidence import quoted
from wherry_apps.interview.rules.scores import COLUMNS, overall
from wherry_apps.interview.rules.text import clean
from wherry_apps.interview.service import jobs, people, sessions
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, shown, whose
from wherry_apps.interview.tables import (
    LOCAL,
    Applicant,
    Base,
    Company,
    InterviewResult,
    InterviewSession,
    InterviewStatus,
    Job,
    Persona,
    Question,
)

_SAME = 0.001


@dataclass(frozen=True)
class Kind:
    """A kind of record: its model, the form it comes in, and the columns a list may be narrowed by."""

    model: type[Base]
    form: type[Form]
    filters: tuple[str, ...] = ()


KINDS = {
    "companies": Kind(Company, CompanyForm),
    "applicants": Kind(Applicant, ApplicantForm, ("company_id",)),
    "jobs": Kind(Job, JobForm, ("company_id", "index_status")),
    "questions": Kind(Question, QuestionForm, ("job_id", "question_type")),
    "sessions": Kind(InterviewSession, SessionForm, ("applicant_id", "job_id", "company_id", "status")),
    "results": Kind(InterviewResult, ResultForm, ("interview_id", "question_id", "job_id")),
}
MOST = 1_000


def create(on: Interview, owner: str | None, kind: str, content: Any, tenant: str = LOCAL) -> dict[str, Any]:
    """Store a record. tenant: whose it becomes, where nothing it belongs to says so.

    Raises BadRecord with the fields that cannot be taken, NotFound for what it refers to, Conflict for what is taken.
    """
    form = validated(KINDS[kind].form, content)
    if isinstance(form, JobForm):
        return one(on, owner, kind, jobs.typed(on, owner, form).job_id)
    if isinstance(form, SessionForm):
        return sessions.create(on, owner, form)
    with on.session() as session:
        row = KINDS[kind].model(**_values(session, owner, form, tenant, form.model_dump()))
        session.add(row)
        session.flush()
        session.refresh(row)
        return shown(row)


def listed(
    on: Interview, owner: str | None, kind: str, filters: Mapping[str, Any], limit: int = 100, after: int = -1
) -> list[dict[str, Any]]:
    """Return records by id, at most `limit`, those after an id. filters: by column; None is no filter, 0 is one."""
    wrong = [name for name, value in filters.items() if not _may_be(name, value)]
    wrong += [name for name, bad in (("limit", not 1 <= limit <= MOST), ("after", abs(after) > MOST_ID)) if bad]
    if wrong:
        raise wherry.BadRecord(f"these cannot be: {', '.join(wrong)} (limit is 1 to {MOST})", fields=wrong)
    if kind == "applicants":
        return people.applicants(on, owner, filters.get("company_id"), limit, after)
    model = KINDS[kind].model
    columns = model.__table__.c
    inside = [columns[name] == value for name, value in filters.items() if value is not None]
    with on.session() as session:
        statement = sa.select(model).where(whose(model, owner), columns.id > after, *inside)
        return [shown(row) for row in session.scalars(statement.order_by(columns.id).limit(limit))]


def _may_be(name: str, value: Any) -> bool:
    """Tell whether a filter may have a value."""
    if value is None:
        return True
    if name == "status":
        return value in tuple(InterviewStatus)
    return abs(value) <= MOST_ID if isinstance(value, int) else storable(str(value))


def one(on: Interview, owner: str | None, kind: str, id: int, reveal: bool = False) -> dict[str, Any]:
    """Return a record. reveal: an applicant with what a blind company hides. Raises NotFound."""
    if kind == "applicants":
        return people.applicant(on, owner, id, reveal)
    with on.session() as session:
        row = fetched(session, KINDS[kind].model, id, owner)
        return sessions.told(session, row) if isinstance(row, InterviewSession) else shown(row)


def change(on: Interview, owner: str | None, kind: str, id: int, content: Any) -> dict[str, Any]:
    """Change the given fields of a record; what it then is as a whole must fit its form. Raises as `create`."""
    if not isinstance(content, Mapping):
        raise wherry.BadRecord("a change is an object of fields", fields=["(whole)"], left="nothing was written")
    if kind == "sessions":
        status = validated(SessionChange, content).status
        return sessions.move(on, owner, id, InterviewStatus(status))
    # Before the transaction: it never waits for a model.
    cut = jobs.embedded(on, clean(content["description"])) if _recuts(kind, content) else None
    with on.session() as session:
        row = fetched(session, KINDS[kind].model, id, owner, lock=True)
        form = validated(KINDS[kind].form, {**_now(row, KINDS[kind].form), **content})
        given = {name: value for name, value in form.model_dump().items() if name in content}
        _apply(session, owner, row, form, given)
        if cut is not None:
            jobs.recut(session, row, *cut)
        session.flush()
    return one(on, owner, kind, id, reveal=True)


def remove(on: Interview, owner: str | None, kind: str, id: int) -> None:
    """Delete a record with everything below it. Raises NotFound."""
    with on.session() as session:
        session.delete(fetched(session, KINDS[kind].model, id, owner, lock=True))


def _recuts(kind: str, content: Mapping[str, Any]) -> bool:
    return kind == "jobs" and isinstance(content.get("description"), str)


def _apply(session: Session, owner: str | None, row: Any, form: Form, given: dict[str, Any]) -> None:
    values = _values(session, owner, form, row.owner if hasattr(row, "owner") else LOCAL, given)
    if isinstance(row, Job):
        values = jobs.settled(values)
        if "description" in values:
            values["description"] = clean(values["description"])
    for name, value in values.items():
        if name != "owner":
            setattr(row, name, value)


def _now(row: Base, form: type[Form]) -> dict[str, Any]:
    """Return a row as its form would bring it."""
    return {name: value for name, value in shown(row).items() if name in form.model_fields and value is not None}


def _values(session: Session, owner: str | None, form: Form, tenant: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row. Raises NotFound for what a form refers to and its owner has not."""
    if isinstance(form, ResultForm):
        return _result(session, owner, form, given)
    if isinstance(form, QuestionForm):
        job = None if form.job_id is None else fetched(session, Job, form.job_id, owner)
        mine = job.owner if job else tenant
        if form.persona_id is not None:
            fetched(session, Persona, form.persona_id, mine)
        return {**given, "owner": mine}
    if isinstance(form, JobForm):
        company = fetched(session, Company, form.company_id, owner)
        return {**given, "owner": company.owner}
    return {**given, "owner": tenant}


def _result(session: Session, owner: str | None, form: ResultForm, given: dict[str, Any]) -> dict[str, Any]:
    row = fetched(session, InterviewSession, form.interview_id, owner)
    question = None if form.question_id is None else fetched(session, Question, form.question_id, row.owner)
    if form.job_id is not None:
        fetched(session, Job, form.job_id, row.owner)
    values = dict(given)
    for name in ("strengths", "weaknesses"):
        if name in values or "stt_full_text" in values:
            values[name] = _evidence(getattr(form, name), name, form.stt_full_text)
    dimensions = {**{name: getattr(form, name) for name in COLUMNS}, **form.scores}
    values["overall_score"] = _overall(form, given, dimensions, question.dimension_weights if question else None)
    if "question_text" in values and values["question_text"] is None and question is not None:
        values["question_text"] = question.question_text
    if "metadata" in values:
        values["interview_metadata"] = values.pop("metadata")
    return values


def _overall(form: ResultForm, given: dict[str, Any], dimensions: dict[str, Any], shares: Any) -> float | None:
    """Return the mean of the dimensions. Raises BadRecord where another overall score was sent with them."""
    found = overall(dimensions, shares)
    stated = given.get("overall_score")
    if found is None:
        return form.overall_score
    if stated is not None and abs(stated - found) > _SAME:
        raise wherry.BadRecord(
            f"overall_score: the mean of the dimensions is {found:g}",
            fields=["overall_score"],
            left="nothing was written",
            next="leave overall_score out: it is worked out",
        )
    return found


def _evidence(given: list[Any], name: str, answer: str) -> list[Any]:
    """Return statements as they are stored. Raises BadRecord for a quote that was not said."""
    found: list[Any] = []
    wrong = []
    for place, one in enumerate(given):
        if isinstance(one, str):
            found.append(one)
            continue
        placed = quoted(one.text, one.quote, answer)
        if placed is None:
            wrong.append(f"{name}.{place}.quote")
        else:
            found.append(placed.to_dict())
    if wrong:
        raise wherry.BadRecord(
            f"{', '.join(wrong)}: these words are not in the answer", fields=wrong, left="nothing was written"
        )
    return found
