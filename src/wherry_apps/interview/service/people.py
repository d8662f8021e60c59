"""Applicants, in lists and beside their interviews: what a blind company hides is hidden there."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from wherry_apps.interview.service.asking import is_blind
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, plain, shown, whose
from wherry_apps.interview.tables import Applicant, Company, InterviewResult, InterviewSession, Job

HIDDEN = ("name", "email", "age", "education", "gender", "resume_parsed_data")


def seen(applicant: Applicant, blind: bool) -> dict[str, Any]:
    """Return an applicant as a list shows it. blind: without what would tell who it is."""
    told = shown(applicant, *(HIDDEN if blind else ("resume_parsed_data",)))
    return {**told, "hidden": list(HIDDEN)} if blind else told


def shown_applicant(session: Session, row: InterviewSession) -> dict[str, Any]:
    """Return the applicant of a session."""
    return seen(session.get_one(Applicant, row.applicant_id), is_blind(session, row))


def is_blind_job(session: Session, job: Job) -> bool:
    """Tell whether the company of a job is blind."""
    return session.get_one(Company, job.company_id).blind_mode


def hides() -> sa.ColumnElement[bool]:
    """Return, as a column beside applicants, whether a list must hide them.

    One is hidden when a blind company interviewed it; before any interview, when its owner has a blind company.
    """
    held, company = aliased(InterviewSession), aliased(Company)
    mine = held.applicant_id == Applicant.id
    of_job = sa.select(Job.company_id).where(Job.id == held.job_id).correlate(held).scalar_subquery()
    its = sa.or_(company.id == held.company_id, company.id == of_job)
    met = sa.select(held.id).join(company, its).where(mine, company.blind_mode).correlate(Applicant).exists()
    none_yet = ~sa.select(held.id).where(mine).correlate(Applicant).exists()
    blind = sa.select(company.id).where(company.owner == Applicant.owner, company.blind_mode)
    return sa.or_(met, sa.and_(none_yet, blind.correlate(Applicant).exists()))


def applicants(
    on: Interview, owner: str | None, company_id: int | None = None, limit: int = 100, after: int = -1
) -> list[dict[str, Any]]:
    """Return applicants with the number of their interviews and their mean score, in one statement.

    company_id: those a company interviewed, by ids alone. Raises NotFound.
    """
    with on.session() as session:
        inside = [whose(Applicant, owner), Applicant.id > after]
        if company_id is not None:
            fetched(session, Company, company_id, owner)
            inside.append(Applicant.id.in_(_interviewed_by(company_id)))
        interviews = sa.func.count(sa.distinct(InterviewSession.id))
        statement = (
            sa.select(Applicant, hides(), interviews, sa.func.avg(InterviewResult.overall_score))
            .outerjoin(InterviewSession, InterviewSession.applicant_id == Applicant.id)
            .outerjoin(InterviewResult, InterviewResult.interview_id == InterviewSession.id)
            .where(*inside)
            .group_by(Applicant.id)
            .order_by(Applicant.id)
            .limit(limit)
        )
        return [
            {**seen(one, blind), "interviews": count, "mean_score": None if score is None else round(score, 3)}
            for one, blind, count, score in session.execute(statement)
        ]


def applicant(on: Interview, owner: str | None, id: int, reveal: bool = False) -> dict[str, Any]:
    """Return one applicant. reveal: with what a blind company hides, for whoever asks for just this one."""
    with on.session() as session:
        found = fetched(session, Applicant, id, owner)
        blind = session.scalar(sa.select(hides()).select_from(Applicant).where(Applicant.id == id))
        told = seen(found, bool(blind) and not reveal)
        return told if "hidden" in told else {**told, "resume_parsed_data": plain(found.resume_parsed_data)}


def _interviewed_by(company_id: int) -> sa.Select[tuple[int]]:
    of_company = sa.select(Job.id).where(Job.company_id == company_id)
    theirs = sa.or_(InterviewSession.company_id == company_id, InterviewSession.job_id.in_(of_company))
    return sa.select(InterviewSession.applicant_id).where(theirs)
