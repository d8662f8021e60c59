"""A question as scoring needs it, and scores as a row holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from wherry_apps.interview.rules.answers import Expected, Scored
from wherry_apps.interview.rules.scores import overall
from wherry_apps.interview.service.scoring import Asked
from wherry_apps.interview.tables import Applicant, Company, InterviewResult, InterviewSession, Job, Question


def asked_of(session: Session, row: InterviewSession, question: Question | None, text: str | None) -> Asked:
    """Return a question of a session; what a blind company hides about the applicant is among it."""
    hidden = hidden_words(session, row)
    if question is None:
        return Asked(text or "", hidden=hidden)
    return Asked(
        text or question.question_text,
        Expected.read(question.expected_keywords),
        question.evaluation_criteria,
        tuple(one for one in question.evaluation_dimensions if isinstance(one, str)),
        question.dimension_weights,
        hidden,
    )


def hidden_words(session: Session, row: InterviewSession) -> tuple[str, ...]:
    """Return the words about an applicant that no model may see; none where the company is not blind."""
    if not is_blind(session, row):
        return ()
    applicant = session.get_one(Applicant, row.applicant_id)
    ages = () if applicant.age is None else (f"{applicant.age}세", f"{applicant.age}살", f"{applicant.age} years old")
    words = (applicant.name, _given(applicant.name), applicant.education, applicant.gender, *ages)
    return tuple(word for word in words if word)


def is_blind(session: Session, row: InterviewSession) -> bool:
    """Tell whether a session is one of a blind company: its own, or that of its job."""
    of_job = sa.select(Job.company_id).where(Job.id == row.job_id).scalar_subquery()
    statement = sa.select(sa.func.bool_or(Company.blind_mode))
    return bool(session.scalar(statement.where(sa.or_(Company.id == row.company_id, Company.id == of_job))))


def written(result: InterviewResult, found: Scored, weights: Mapping[str, Any] | None) -> None:
    """Write the scores of an answer into its row."""
    for name, score in found.scores.items():
        setattr(result, name, score)
    result.scores = dict(found.extra)
    result.overall_score = overall(found.dimensions, weights)
    result.keywords = found.keywords
    result.strengths = [one.to_dict() for one in found.strengths]
    result.weaknesses = [one.to_dict() for one in found.weaknesses]
    result.ai_feedback = found.feedback
    result.scored_by = found.scored_by
    kept = {name: value for name, value in (result.interview_metadata or {}).items() if name not in _OURS}
    reason = {"not_scored": found.reason} if found.reason else {}
    result.interview_metadata = {**kept, **found.notes, **reason}


_OURS = ("not_scored", "fallback", "relevance", "quotes_removed", "keywords_removed", "decision_removed")


def _given(name: str) -> str | None:
    """Return the given name of a Korean full name of three syllables, by which people speak of themselves."""
    return name[1:] if len(name) == 3 and all("가" <= sign <= "힣" for sign in name) else None
