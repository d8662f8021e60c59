"""Evaluation of a session, its results, and the comparison of applicants. Nobody is told whom to hire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.rules.scores import COLUMNS, MOST, band, mean, strongest, weakest
from wherry_apps.interview.rules.weights import weights
from wherry_apps.interview.service import people, scoring
from wherry_apps.interview.service.asking import asked_of, written
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, shown
from wherry_apps.interview.service.sessions import moved
from wherry_apps.interview.tables import (
    Applicant,
    InterviewResult,
    InterviewSession,
    InterviewStatus,
    Job,
    Question,
    SessionJob,
)


def evaluate(on: Interview, owner: str | None, session_id: int, force: bool = False) -> dict[str, Any]:
    """Score every answer that has no scores yet, end the session and return its results.

    It runs once; force: all answers are scored anew. Raises Conflict for a session without answers, or a failed one.
    """
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner)
        if row.evaluation_completed and not force:
            return {**_results(session, row), "evaluated": 0}
        answers = _answers(session, row.id)
        _require_answers(row, answers)
        todo = [one for one in answers if force or one.scored_by is None]
        asked = [asked_of(session, row, _question(session, one), one.question_text) for one in todo]
    # No transaction is open while a model is asked.
    found = [scoring.scored(on, question, one.stt_full_text) for question, one in zip(asked, todo, strict=True)]
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner, lock=True)
        if row.evaluation_completed and not force:
            return {**_results(session, row), "evaluated": 0}
        for one, question, scores in zip(todo, asked, found, strict=True):
            here = session.get(InterviewResult, one.id)
            if here is not None:
                written(here, scores, question.weights)
        if row.status is InterviewStatus.IN_PROGRESS:
            moved(row, InterviewStatus.COMPLETED)
        row.evaluation_completed = True
        session.flush()
        return {**_results(session, row), "evaluated": len(todo)}


def results(on: Interview, owner: str | None, session_id: int) -> dict[str, Any]:
    """Return every question of a session with its answer, scores, keywords and quoted evidence; and what they sum to.

    Raises NotFound.
    """
    with on.session() as session:
        return _results(session, fetched(session, InterviewSession, session_id, owner))


def compare(on: Interview, owner: str | None, job_id: int) -> dict[str, Any]:
    """Return the applicants that were interviewed for a job side by side, the highest score first.

    An applicant with several interviews has the one that was evaluated last. Raises NotFound.
    """
    with on.session() as session:
        job = fetched(session, Job, job_id, owner)
        rows = _evaluated(session, job)
        blind = people.is_blind_job(session, job)
        told = [_compared(session, row, blind) for row in rows]
        order = sorted(told, key=lambda one: (one["score"] is None, -(one["score"] or 0), one["interview_id"]))
        return {"job_id": job.id, "title": job.title, "competency_weights": job.competency_weights, "applicants": order}


def summary(row: InterviewSession, answers: Sequence[InterviewResult], shares: dict[str, float]) -> dict[str, Any]:
    """Return what the answers of a session sum to; what was not scored is counted, never a zero.

    shares: weights of competencies, for the mean over those that answers were aimed at. Categories are weighted by
    what came with a transcript.
    """
    scored = [one for one in answers if one.overall_score is not None]
    score = mean(one.overall_score for one in scored)
    dimensions = {name: mean(_dimension(one, name) for one in scored) for name in _names(scored)}
    competencies = _competencies(scored)
    categories = {
        "common": mean(one.overall_score for one in scored if one.is_common),
        "job_specific": mean(one.overall_score for one in scored if not one.is_common),
    }
    return {
        "answers": len(answers),
        "scored": len(scored),
        "unscored": len(answers) - len(scored),
        "score": score,
        "band": band(score),
        "dimensions": dimensions,
        "competencies": competencies,
        "competency_score": _weighted(competencies, shares),
        "categories": categories,
        "category_score": _weighted(categories, row.category_weights),
        "strong_dimensions": strongest(dimensions),
        "weak_dimensions": weakest(dimensions),
        "strengths": _best(scored, "strengths", True),
        "weaknesses": _best(scored, "weaknesses", False),
        "scored_by": sorted({one.scored_by for one in answers if one.scored_by}),
    }


def _results(session: Session, row: InterviewSession) -> dict[str, Any]:
    answers = _answers(session, row.id)
    return {
        "interview_id": row.id,
        "applicant": people.shown_applicant(session, row),
        "job_id": row.job_id,
        "status": row.status.value,
        "evaluation_completed": row.evaluation_completed,
        "summary": summary(row, answers, _shares(session, row)),
        "results": [{**shown(one), "band": band(one.overall_score)} for one in answers],
    }


def _answers(session: Session, session_id: int) -> list[InterviewResult]:
    statement = sa.select(InterviewResult).where(InterviewResult.interview_id == session_id)
    return list(session.scalars(statement.order_by(InterviewResult.id)))


def _question(session: Session, one: InterviewResult) -> Question | None:
    return None if one.question_id is None else session.get(Question, one.question_id)


def _require_answers(row: InterviewSession, answers: Sequence[InterviewResult]) -> None:
    if row.status not in (InterviewStatus.IN_PROGRESS, InterviewStatus.COMPLETED) or not answers:
        why = "has no answers" if row.status is not InterviewStatus.FAILED else "failed"
        raise wherry.Conflict(
            f"session {row.id} is {row.status.value} and {why}: there is nothing to evaluate",
            where="status",
            left="nothing was changed",
            next=f"wherry interview answer --interview-id {row.id} TEXT",
        )


def _dimension(one: InterviewResult, name: str) -> float | None:
    return getattr(one, name) if name in COLUMNS else one.scores.get(name)


def _names(scored: Iterable[InterviewResult]) -> list[str]:
    return list(dict.fromkeys([*COLUMNS, *(name for one in scored for name in one.scores)]))


def _competencies(scored: Iterable[InterviewResult]) -> dict[str, float | None]:
    found: dict[str, list[float | None]] = {}
    for one in scored:
        for name in one.interview_metadata.get("target_competencies") or []:
            found.setdefault(str(name), []).append(one.overall_score)
    return {name: mean(values) for name, values in found.items()}


def _weighted(competencies: dict[str, float | None], shares: dict[str, float]) -> float | None:
    known = {name: value for name, value in competencies.items() if value is not None and shares.get(name, 0) > 0}
    total = sum(shares[name] for name in known)
    return round(sum(value * shares[name] for name, value in known.items()) / total, 3) if total else None


def _shares(session: Session, row: InterviewSession) -> dict[str, float]:
    """Return the competency weights of a session: those of its transcript, else those of its job."""
    if row.competency_weights:
        return {**row.competency_weights}
    job = session.get(Job, row.job_id) if row.job_id is not None else None
    return weights(job.competency_weights if job else None).values


def _best(scored: Sequence[InterviewResult], kind: str, high: bool) -> list[dict[str, Any]]:
    """Return up to three statements with quotes, from the highest answers, or from the lowest."""
    ordered = sorted(scored, key=lambda one: (one.overall_score or 0) * (-1 if high else 1))
    found = [{**told, "result_id": one.id} for one in ordered for told in getattr(one, kind) if isinstance(told, dict)]
    return found[:MOST]


def _evaluated(session: Session, job: Job) -> list[InterviewSession]:
    """Return the last evaluated session of each applicant for a job."""
    others = sa.select(SessionJob.session_id).where(SessionJob.job_id == job.id)
    mine = sa.or_(InterviewSession.job_id == job.id, InterviewSession.id.in_(others))
    statement = (
        sa.select(InterviewSession)
        .where(mine, InterviewSession.evaluation_completed, InterviewSession.owner == job.owner)
        .order_by(InterviewSession.applicant_id, InterviewSession.id.desc())
        .distinct(InterviewSession.applicant_id)
    )
    return list(session.scalars(statement))


def _compared(session: Session, row: InterviewSession, blind: bool) -> dict[str, Any]:
    applicant = session.get_one(Applicant, row.applicant_id)
    found = summary(row, _answers(session, row.id), _shares(session, row))
    return {"interview_id": row.id, "applicant": people.seen(applicant, blind), **found}
