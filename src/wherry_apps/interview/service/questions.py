"""Questions: made from what a job post asks for, or read from a file of interviewers."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import QuestionFile, validated
from wherry_apps.interview.rules.posts import SOURCE
from wherry_apps.interview.rules.questions import MOST, Drafted, drafted
from wherry_apps.interview.service import prompts
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, shown
from wherry_apps.interview.tables import Job, Persona, Question

_ARCHETYPES = {
    "analytical": "analytical",
    "technical": "analytical",
    "tech": "analytical",
    "supportive": "supportive",
    "hr": "supportive",
    "stress_tester": "stress_tester",
    "stress": "stress_tester",
    "executive": "stress_tester",
}


class QuestionOfModel(BaseModel):
    """A question as a model makes it."""

    question_type: Literal["technical", "behavioral", "situational"] = "behavioral"
    question_text: str = Field(min_length=5, max_length=2_000)
    expected_keywords: dict[str, list[str]] = Field(default_factory=dict)
    evaluation_criteria: list[str] = Field(default_factory=list)
    difficulty_level: int = Field(3, ge=1, le=5)


class QuestionsOfModel(BaseModel):
    """What a model answers."""

    questions: list[QuestionOfModel] = Field(min_length=1, max_length=MOST)


def make(on: Interview, owner: str | None, job_id: int) -> list[dict[str, Any]]:
    """Make questions for a job and store them. Raises NotFound."""
    with on.session() as session:
        job = fetched(session, Job, job_id, owner)
    made, made_by = _made(on, job)
    with on.session() as session:
        job = fetched(session, Job, job_id, owner)
        rows = [_row(job, one, made_by) for one in made]
        session.add_all(rows)
        session.flush()
        return [shown(row) for row in rows]


def read_file(on: Interview, owner: str | None, job_id: int, content: Any) -> list[dict[str, Any]]:
    """Store the questions of a file {interviewers: [...]}, and its interviewers as personas. Raises BadRecord."""
    given = validated(QuestionFile, content)
    with on.session() as session:
        job = fetched(session, Job, job_id, owner)
        rows = []
        for interviewer in given.interviewers:
            persona = Persona(
                company_id=job.company_id,
                persona_name=str(interviewer.id)[:200],
                archetype=_ARCHETYPES.get(interviewer.type.lower(), "analytical"),
            )
            session.add(persona)
            session.flush()
            rows += [_read(job, persona, interviewer.type, one) for one in interviewer.resume_based_questions]
        session.add_all(rows)
        session.flush()
        return [shown(row) for row in rows]


def asked_in(session: Session, owner: str, job_ids: list[int]) -> list[int]:
    """Return the ids of the questions of some jobs, and of those that every interview of the owner may have."""
    of_jobs = Question.job_id.in_(job_ids)
    general = sa.and_(Question.job_id.is_(None), Question.owner == owner)
    statement = sa.select(Question.id).where(sa.or_(of_jobs, general))
    # What everybody is asked comes first.
    return list(session.scalars(statement.order_by(Question.is_common.desc(), Question.id)))


def have_own(session: Session, job_id: int) -> bool:
    """Tell whether a job has questions of its own."""
    return session.scalar(sa.select(Question.id).where(Question.job_id == job_id).limit(1)) is not None


def _made(on: Interview, job: Job) -> tuple[list[Drafted], str]:
    if not on.offline:
        try:
            told = prompts.messages(
                prompts.QUESTIONS,
                title=job.title,
                required_skills=job.required_skills,
                criteria=job.dynamic_evaluation_criteria,
                duties=job.main_responsibilities,
                domain=job.domain_requirements,
            )
            came = wherry.structured(on.chat, told, QuestionsOfModel)
            return [_of_model(one) for one in came.questions], on.chat_name
        except wherry.WherryError as error:
            wherry.tell(f"{on.chat_spec} made no questions ({error.what}); they are made by rule")
    by_rule = drafted(job.title, job.required_skills, job.domain_requirements, job.dynamic_evaluation_criteria)
    return by_rule, SOURCE


def _of_model(one: QuestionOfModel) -> Drafted:
    return Drafted(
        one.question_type,
        one.question_text,
        one.expected_keywords,
        one.evaluation_criteria,
        one.difficulty_level,
    )


def _row(job: Job, one: Drafted, made_by: str) -> Question:
    return Question(
        owner=job.owner,
        job_id=job.id,
        question_type=one.kind,
        question_text=one.text,
        expected_keywords=one.keywords,
        evaluation_criteria=one.criteria,
        difficulty_level=one.difficulty,
        is_common=one.common,
        made_by=made_by,
    )


def _read(job: Job, persona: Persona, kind: str, one: Any) -> Question:
    return Question(
        owner=job.owner,
        job_id=job.id,
        persona_id=persona.id,
        question_type=kind[:50],
        question_text=one.question,
        evaluation_criteria=[one.intent] if one.intent else [],
        target_competencies=one.target_competencies,
        follow_up_if_weak=one.follow_up_if_weak,
        made_by="file",
    )
