"""An interview: it starts, questions are answered one by one, weak answers are asked about once more, it ends.

What was answered is in the database before anything is said about it, so that a connection may be lost at any
moment: the interview goes on with the question at current_question_index.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import SessionForm
from wherry_apps.interview.rules.questions import follow_up
from wherry_apps.interview.rules.statuses import follow_up_due, may_move
from wherry_apps.interview.service import questions, scoring
from wherry_apps.interview.service.asking import asked_of, written
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, shown
from wherry_apps.interview.tables import (
    Applicant,
    Company,
    InterviewResult,
    InterviewSession,
    InterviewStatus,
    Job,
    Persona,
    Question,
    SessionJob,
    Transcript,
)

LONGEST = 20_000


def create(on: Interview, owner: str | None, form: SessionForm) -> dict[str, Any]:
    """Make a session that is pending, with its questions; they are made where the job has none.

    Raises NotFound for what is not the owner's, and BadRecord where there is nothing to ask about.
    """
    job_ids = list(dict.fromkeys([*([form.job_id] if form.job_id is not None else []), *form.job_ids]))
    if not job_ids and form.company_id is None:
        raise wherry.BadRecord("a session names a job or a company", fields=["job_id", "company_id"])
    if len(job_ids) > 3:
        raise wherry.BadRecord("a session is for three jobs at most", fields=["job_ids"])
    with on.session() as session:
        _parties(session, owner, form, job_ids)
        bare = [job_id for job_id in job_ids if not questions.have_own(session, job_id)]
    for job_id in bare:
        questions.make(on, owner, job_id)
    with on.session() as session:
        applicant, company_id = _parties(session, owner, form, job_ids)
        row = InterviewSession(
            owner=applicant.owner,
            applicant_id=applicant.id,
            job_id=job_ids[0] if job_ids else None,
            company_id=company_id,
            question_ids=questions.asked_in(session, applicant.owner, job_ids),
        )
        if not row.question_ids:
            raise wherry.BadRecord("there is no question to ask", fields=["company_id"], next="add questions first")
        session.add(row)
        session.flush()
        session.add_all(SessionJob(session_id=row.id, job_id=one, position=n) for n, one in enumerate(job_ids))
        session.flush()
        session.refresh(row)
        return told(session, row)


def start(on: Interview, owner: str | None, form: SessionForm) -> dict[str, Any]:
    """Make a session and begin it."""
    return begin(on, owner, create(on, owner, form)["id"])


def begin(on: Interview, owner: str | None, session_id: int) -> dict[str, Any]:
    """Begin a session that is pending. Raises Conflict for another one."""
    return move(on, owner, session_id, InterviewStatus.IN_PROGRESS)


def resume(on: Interview, owner: str | None, session_id: int) -> dict[str, Any]:
    """Return where a session stands, and begin it when it is pending."""
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner, lock=True)
        if row.status is InterviewStatus.PENDING:
            moved(row, InterviewStatus.IN_PROGRESS)
        return told(session, row)


def move(on: Interview, owner: str | None, session_id: int, status: InterviewStatus) -> dict[str, Any]:
    """Move a session on its way. Raises Conflict for a move that is none."""
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner, lock=True)
        moved(row, status)
        return told(session, row)


def moved(row: InterviewSession, status: InterviewStatus) -> None:
    """Move a row, and note when it began and ended: once. Raises Conflict."""
    if not may_move(row.status.value, status.value):
        raise wherry.Conflict(
            f"the session is {row.status.value} and cannot become {status.value}",
            where="status",
            left="nothing was changed",
            next="pending becomes in_progress, in_progress becomes completed or failed",
        )
    row.status = status
    now = datetime.now(UTC)
    if status is InterviewStatus.IN_PROGRESS:
        row.started_at = row.started_at or now
    else:
        row.completed_at = row.completed_at or now


def answer(on: Interview, owner: str | None, session_id: int, text: str, turn: int | None = None) -> dict[str, Any]:
    """Store an answer to the current question and return what comes next.

    turn: which one it answers; an answer that was stored already is not stored again, so it may be sent twice.
    Raises Conflict for a session that is not in progress, for another answer to the same turn, and for a later turn.
    """
    if len(text) > LONGEST:
        raise wherry.BadRecord(f"an answer has at most {LONGEST:,} characters", fields=["text"], left="nothing stored")
    judged = None
    if not on.offline:
        judged = _judged(on, owner, session_id, text, turn)
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner, lock=True)
        there = _already(session, row, text, turn)
        if there is not None:
            return {**told(session, row), "saved": there, "again": True}
        result = _stored(session, row, text, judged)
        return {**told(session, row), "saved": result.id, "again": False}


def state(on: Interview, owner: str | None, session_id: int) -> dict[str, Any]:
    """Return where a session stands."""
    with on.session() as session:
        return told(session, fetched(session, InterviewSession, session_id, owner))


def transcript(on: Interview, owner: str | None, session_id: int) -> list[dict[str, Any]]:
    """Return every turn of a session in order. Raises NotFound."""
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner)
        statement = sa.select(Transcript).where(Transcript.session_id == row.id).order_by(Transcript.turn)
        return [shown(one) for one in session.scalars(statement)]


def told(session: Session, row: InterviewSession) -> dict[str, Any]:
    """Return a session as a JSON object, with the question that is asked now."""
    jobs = sa.select(SessionJob.job_id).where(SessionJob.session_id == row.id).order_by(SessionJob.position)
    return {
        **shown(row, "source_sha256"),
        "job_ids": list(session.scalars(jobs)),
        "turn": _turns(session, row.id),
        "question": current(session, row),
    }


def current(session: Session, row: InterviewSession) -> dict[str, Any] | None:
    """Return the question that is asked now, None when there is none."""
    if row.status is not InterviewStatus.IN_PROGRESS:
        return None
    for index in range(row.current_question_index, len(row.question_ids)):
        question = session.get(Question, row.question_ids[index])
        # One that was deleted meanwhile is passed over.
        if question is not None:
            return _asked(session, row, index, question)
    return None


def _asked(session: Session, row: InterviewSession, index: int, question: Question) -> dict[str, Any]:
    due = _follow_up(session, row, index, question)
    return {
        "index": index,
        "of": len(row.question_ids),
        "question_id": question.id,
        "question_type": question.question_type,
        "question_text": due or question.question_text,
        "follow_up": due is not None,
        "persona": _persona(session, question),
    }


def _persona(session: Session, question: Question) -> dict[str, Any] | None:
    """Return who asks a question, None when it is nobody's."""
    found = None if question.persona_id is None else session.get(Persona, question.persona_id)
    return None if found is None else shown(found, "id", "company_id", "system_prompt", "focus_keywords", "focus_areas")


def _persona_index(session: Session, row: InterviewSession, question_id: int) -> int:
    """Return which of the personas of a session asks a question: from 0, in the order of their first questions."""
    statement = sa.select(Question.id, Question.persona_id).where(Question.id.in_(row.question_ids))
    whose = dict(session.execute(statement).tuples().all())
    order = list(dict.fromkeys(whose[id] for id in row.question_ids if whose.get(id) is not None))
    return order.index(whose[question_id]) if whose.get(question_id) in order else row.current_persona_index


def _follow_up(session: Session, row: InterviewSession, index: int, question: Question) -> str | None:
    """Return the follow-up that is due: the last answer was to this question, was weak, and was no follow-up."""
    last = _last(session, row.id)
    if last is None or last.interview_metadata.get("index") != index:
        return None
    return follow_up(question.question_text, question.follow_up_if_weak)


def _last(session: Session, session_id: int) -> InterviewResult | None:
    statement = sa.select(InterviewResult).where(InterviewResult.interview_id == session_id)
    return session.scalar(statement.order_by(InterviewResult.id.desc()).limit(1))


def _turns(session: Session, session_id: int) -> int:
    statement = sa.select(sa.func.count()).select_from(InterviewResult)
    return session.scalar(statement.where(InterviewResult.interview_id == session_id)) or 0


def _already(session: Session, row: InterviewSession, text: str, turn: int | None) -> int | None:
    """Return the result that holds this answer, None when it is new."""
    turns = _turns(session, row.id)
    if turn is not None and turn < turns:
        statement = sa.select(InterviewResult).where(InterviewResult.interview_id == row.id)
        there = session.scalar(statement.order_by(InterviewResult.id).offset(turn).limit(1))
        if there is not None and there.stt_full_text == text:
            return there.id
        raise wherry.Conflict(f"turn {turn} has another answer already", where="turn", left="the first one stays")
    if turn is not None and turn > turns:
        raise wherry.Conflict(f"the question that is asked is turn {turns}", where="turn", left="nothing was stored")
    if row.status is not InterviewStatus.IN_PROGRESS:
        raise wherry.Conflict(
            f"the session is {row.status.value}; only one in progress takes answers",
            where="status",
            left="nothing was stored",
            next="wherry interview start makes a new one",
        )
    return None


def _judged(on: Interview, owner: str | None, session_id: int, text: str, turn: int | None) -> Any:
    """Return what a model thinks of an answer before it is stored, since no transaction waits for a model."""
    with on.session() as session:
        row = fetched(session, InterviewSession, session_id, owner)
        if _already(session, row, text, turn) is not None:
            return None
        question = current(session, row)
        if question is None:
            return None
        asked = asked_of(session, row, session.get(Question, question["question_id"]), question["question_text"])
    return scoring.scored(on, asked, text)


def _stored(session: Session, row: InterviewSession, text: str, judged: Any) -> InterviewResult:
    question = current(session, row)
    if question is None:
        raise wherry.Conflict("no question is asked", where="status", left="nothing was stored")
    whole = session.get_one(Question, question["question_id"])
    result = InterviewResult(
        interview_id=row.id,
        question_id=whole.id,
        question_text=question["question_text"],
        question_type=whole.question_type,
        is_common=whole.is_common,
        job_id=whole.job_id,
        stt_full_text=text,
        interview_metadata={
            "index": question["index"],
            "turn_type": "follow_up" if question["follow_up"] else "main",
            "target_competencies": whole.target_competencies,
        },
    )
    if judged is not None:
        written(result, judged, whole.dimension_weights)
    session.add(result)
    _spoken(session, row.id, question, text)
    row.current_question_index = question["index"]
    row.current_persona_index = _persona_index(session, row, whole.id)
    weak = judged is not None and judged.weak
    if question["follow_up"] or not follow_up_due(text, weak):
        _advance(row)
    session.flush()
    return result


def _advance(row: InterviewSession) -> None:
    row.current_question_index += 1
    if row.current_question_index >= len(row.question_ids):
        moved(row, InterviewStatus.COMPLETED)


def _spoken(session: Session, session_id: int, question: dict[str, Any], text: str) -> None:
    statement = sa.select(sa.func.coalesce(sa.func.max(Transcript.turn) + 1, 0))
    turn = session.scalar(statement.where(Transcript.session_id == session_id)) or 0
    meta = {"question_id": question["question_id"], "follow_up": question["follow_up"]}
    told = ((turn, "interviewer", question["question_text"]), (turn + 1, "applicant", text))
    session.add_all(
        Transcript(session_id=session_id, turn=number, speaker=who, text=words, meta=meta)
        for number, who, words in told
    )


def _parties(
    session: Session, owner: str | None, form: SessionForm, job_ids: list[int]
) -> tuple[Applicant, int | None]:
    """Return the applicant and the company of a session; all are one owner's. Raises NotFound."""
    applicant = fetched(session, Applicant, form.applicant_id, owner)
    jobs = [fetched(session, Job, job_id, applicant.owner) for job_id in job_ids]
    company_id = form.company_id if form.company_id is not None else (jobs[0].company_id if jobs else None)
    if company_id is not None:
        fetched(session, Company, company_id, applicant.owner)
    return applicant, company_id
