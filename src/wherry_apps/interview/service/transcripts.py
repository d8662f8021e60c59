"""Transcripts of interviews that were held elsewhere: three shapes, one session.

T1  {interview_id, applicant_id, job_id, persona_meta, weights, segments: [...]}
T2  the same with types, competencies and confidences per segment, and full_transcript
T3  a bare list of {global_index, interviewer_id, question, answer, ...}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import validated
from wherry_apps.interview.rules.weights import weights
from wherry_apps.interview.service import results
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched
from wherry_apps.interview.service.sessions import moved
from wherry_apps.interview.service.transcript_forms import Spoken, T3Turn, Transcript12
from wherry_apps.interview.tables import (
    Applicant,
    InterviewResult,
    InterviewSession,
    InterviewStatus,
    Job,
    Question,
    SessionJob,
    Transcript,
)

_MOST_TURNS = 2_000


@dataclass(frozen=True)
class Read:
    """A transcript, read. shape: T1, T2 or T3."""

    shape: str
    turns: list[Spoken]
    sha256: str
    interview_id: int | None = None
    applicant_id: int | None = None
    job_id: int | None = None
    competency_weights: dict[str, float] = field(default_factory=dict)
    category_weights: dict[str, float] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


def import_transcript(
    on: Interview,
    owner: str | None,
    content: Any,
    applicant_id: int | None = None,
    job_id: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Store a transcript as a session and evaluate it; return its results, its shape and what was not scored.

    applicant_id, job_id: instead of those in the file; a T3 file has none. The same transcript of the same applicant
    comes in once, unless forced. A session that the file names, of the same applicant and not answered yet, takes it.
    Raises BadRecord with every field that does not fit, before anything is written; NotFound.
    """
    read = reading(content)
    applicant = applicant_id if applicant_id is not None else read.applicant_id
    job = job_id if job_id is not None else read.job_id
    if applicant is None:
        raise wherry.BadRecord(
            "the transcript does not say whose it is", fields=["applicant_id"], left="nothing was written",
            next="name the applicant: --applicant-id N",
        )  # fmt: skip
    with on.session() as session:
        person = fetched(session, Applicant, applicant, owner, lock=True)
        there = None if force else _same(session, person, job, read)
        if there is None:
            row = _session(session, person, job, read)
            _store(session, row, read)
            moved(row, InterviewStatus.COMPLETED)
            session.flush()
    told = results.evaluate(on, owner, row.id if there is None else there.id)
    unscored = [one["id"] for one in told["results"] if one["overall_score"] is None]
    return {**told, "shape": read.shape, "existing": there is not None, "not_scored": unscored}


def reading(content: Any) -> Read:
    """Return a transcript of any of the three shapes. Raises BadRecord with the fields that do not fit."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True, default=str).encode()).hexdigest()
    if isinstance(content, list):
        turns = [validated_at(T3Turn, one, place).spoken() for place, one in enumerate(content)]
        return Read("T3", _ordered(turns), digest)
    given = validated(Transcript12, content)
    shares = weights(given.weights.competency)
    return Read(
        "T2" if given.is_second else "T1",
        _ordered([one.spoken(given.full_transcript) for one in given.segments]),
        digest,
        given.interview_id,
        given.applicant_id,
        given.job_id,
        {} if shares.source == "default" else shares.values,
        given.weights.category,
        {"persona_meta": given.persona_meta} if given.persona_meta else {},
    )


def validated_at(form: Any, content: Any, place: int) -> Any:
    """Return one turn as its form; the fields of an error begin with its place in the list."""
    try:
        return validated(form, content)
    except wherry.BadRecord as error:
        error.fields = [f"{place}.{name}" for name in error.fields]
        error.what = f"turn {place}: {error.what}"
        raise


def _ordered(turns: list[Spoken]) -> list[Spoken]:
    if not 1 <= len(turns) <= _MOST_TURNS:
        raise wherry.BadRecord(
            f"a transcript has 1 to {_MOST_TURNS:,} turns, not {len(turns):,}",
            fields=["segments"],
            left="nothing was written",
        )
    return sorted(turns, key=lambda one: one.order)


def _same(session: Session, person: Applicant, job_id: int | None, read: Read) -> InterviewSession | None:
    same = (InterviewSession.applicant_id == person.id, InterviewSession.source_sha256 == read.sha256)
    job = InterviewSession.job_id.is_(None) if job_id is None else InterviewSession.job_id == job_id
    return session.scalar(sa.select(InterviewSession).where(*same, job).limit(1))


def _session(session: Session, person: Applicant, job_id: int | None, read: Read) -> InterviewSession:
    """Return the session that takes a transcript: the one it names where that is still empty, else a new one."""
    job = None if job_id is None else fetched(session, Job, job_id, person.owner)
    row = _waiting(session, person, job_id, read)
    if row is None:
        row = InterviewSession(
            owner=person.owner, applicant_id=person.id, job_id=job_id, company_id=job.company_id if job else None
        )
        session.add(row)
        session.flush()
        session.refresh(row)
        if job is not None:
            session.add(SessionJob(session_id=row.id, job_id=job.id, position=0))
    if row.status is InterviewStatus.PENDING:
        moved(row, InterviewStatus.IN_PROGRESS)
    row.source_sha256 = read.sha256
    row.competency_weights, row.category_weights = read.competency_weights, read.category_weights
    return row


def _waiting(session: Session, person: Applicant, job_id: int | None, read: Read) -> InterviewSession | None:
    if read.interview_id is None:
        return None
    row = session.get(InterviewSession, read.interview_id, with_for_update=True)
    if row is None or row.applicant_id != person.id or (job_id is not None and row.job_id != job_id):
        return None
    answered = session.scalar(sa.select(InterviewResult.id).where(InterviewResult.interview_id == row.id).limit(1))
    open_ = row.status in (InterviewStatus.PENDING, InterviewStatus.IN_PROGRESS)
    return row if open_ and answered is None else None


def _store(session: Session, row: InterviewSession, read: Read) -> None:
    known = _known_questions(session, row, read)
    for turn, one in enumerate(read.turns):
        question = known.get(one.question_id) if one.question_id is not None else None
        kind = one.question_type or (question.question_type if question else None)
        session.add(
            InterviewResult(
                interview_id=row.id,
                question_id=question.id if question else None,
                question_text=one.question,
                question_type=kind[:50] if kind else None,
                is_common=one.common,
                job_id=None if one.common else row.job_id,
                stt_full_text=one.answer,
                interview_metadata={
                    "turn_type": one.turn_type,
                    "target_competencies": one.competencies,
                    **({"source_question_id": one.question_id} if one.question_id and not question else {}),
                    **one.measured,
                },
            )
        )
        # In the order of the turns, whatever the unit of work would prefer.
        session.flush()
        session.add(_turn(row, 2 * turn, one.interviewer or "interviewer", one.question, {**one.meta, **read.meta}))
        session.add(_turn(row, 2 * turn + 1, "applicant", one.answer, one.measured))


def _turn(row: InterviewSession, turn: int, speaker: str, text: str, meta: dict[str, Any]) -> Transcript:
    return Transcript(session_id=row.id, turn=turn, speaker=speaker[:50], text=text, meta=meta)


def _known_questions(session: Session, row: InterviewSession, read: Read) -> dict[int, Question]:
    """Return the questions a transcript names that are its owner's; other systems number theirs otherwise."""
    named = [one.question_id for one in read.turns if one.question_id is not None]
    statement = sa.select(Question).where(Question.id.in_(named), Question.owner == row.owner)
    of_job = sa.or_(Question.job_id.is_(None), Question.job_id == row.job_id)
    return {one.id: one for one in session.scalars(statement.where(of_job))}
