"""Diagnostic tests: started, submitted once, graded by the rules. A session belongs to the student who started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wherry import AppDatabase, BadRecord, NotFound, Refused, Usage
from wherry_apps.tutor import rules
from wherry_apps.tutor.bank import shown
from wherry_apps.tutor.tables import (
    DiagnosisQuestion,
    DiagnosisResponse,
    DiagnosisSession,
    DiagnosisTest,
    Question,
)

RUNNING, COMPLETED, EXPIRED = "in_progress", "completed", "expired"
_LONGEST_S = 7 * 24 * 3600
_LONGEST_NAME = 100
Rows = Sequence[tuple[DiagnosisQuestion, Question]]


class Diagnosis:
    """Tests and sessions in the database. owner: whose sessions are meant; None is the operator, who sees all."""

    def __init__(self, db: AppDatabase) -> None:
        self._db = db

    def tests(self, student: bool = False) -> list[dict[str, Any]]:
        """Return the tests, the active ones alone for a student."""
        query = select(DiagnosisTest).order_by(DiagnosisTest.id)
        if student:
            query = query.where(DiagnosisTest.status == "active")
        with self._db.session() as session:
            counts = dict(
                session.execute(select(DiagnosisQuestion.test_id, func.count()).group_by(DiagnosisQuestion.test_id))
                .tuples()
                .all()
            )
            return [_described(test, counts.get(test.id, 0)) for test in session.scalars(query)]

    def activate(self, number: int) -> dict[str, Any]:
        """Open a test to students. Raises Refused while a question of it is not approved, NotFound."""
        with self._db.session() as session:
            test = _test(session, number, False)
            rows = _rows(session, number)
            waiting = [q.id for _, q in rows if q.approval_status != "approved" or not q.is_active]
            if waiting or not rows:
                raise Refused(
                    f"test {number} has questions that are not approved: {', '.join(map(str, waiting))}"
                    if rows
                    else f"test {number} has no question",
                    left="the test stays as it was",
                    next=f"wherry tutor approve --test {number}",
                )
            test.status = "active"
            return _described(test, len(rows))

    def archive(self, number: int) -> dict[str, Any]:
        """Close a test; what was answered stays. Raises NotFound."""
        with self._db.session() as session:
            test = _test(session, number, False)
            test.status = "archived"
            return _described(test, len(_rows(session, number)))

    def start(self, number: int, owner: str) -> dict[str, Any]:
        """Start a session, or go on with the one that runs; return it with the questions, without answers.

        Raises NotFound, Refused for a test that is not open, Usage for a name that cannot be.
        """
        if not 1 <= len(owner) <= _LONGEST_NAME or "\x00" in owner:
            raise Usage(f"the name of a user has 1 to {_LONGEST_NAME} characters", where="user")
        with self._db.session() as session:
            # Two starts at once are one: the second waits here and then finds the session of the first.
            test = session.get(DiagnosisTest, number, with_for_update=True)
            if test is None:
                raise NotFound(f"there is no test {number}")
            if test.status != "active":
                raise Refused(
                    f"test {number} is not open, it is {test.status}", next=f"wherry tutor test activate {number}"
                )
            mine = select(DiagnosisSession).where(DiagnosisSession.test_id == number, DiagnosisSession.user_id == owner)
            known = list(session.scalars(mine.order_by(DiagnosisSession.attempt)))
            running = [one for one in known if one.status == RUNNING and not _expire(one, test)]
            one = running[-1] if running else _begun(session, number, owner, len(known))
            return _told(one, test) | {"questions": _sheet(_rows(session, number))}

    def sessions(self, owner: str | None, limit: int = 100) -> list[dict[str, Any]]:
        """Return sessions, latest first."""
        query = select(DiagnosisSession, DiagnosisTest).join(DiagnosisTest).order_by(DiagnosisSession.id.desc())
        if owner is not None:
            query = query.where(DiagnosisSession.user_id == owner)
        with self._db.session() as session:
            return [_told(*row) for row in session.execute(query.limit(limit))]

    def session(self, number: int, owner: str | None) -> dict[str, Any]:
        """Return one session; the right answers only when it is over. Raises NotFound."""
        with self._db.session() as session:
            one, test = _session(session, number, owner)
            _expire(one, test)
            found = _told(one, test)
            if one.status == RUNNING:
                return found | {"questions": _sheet(_rows(session, one.test_id))}
            return found | {"responses": _answered(session, one)}

    def submit(
        self,
        number: int,
        answers: Mapping[int, str | None],
        owner: str | None,
        seconds: Mapping[int, int] | None = None,
    ) -> dict[str, Any]:
        """Grade a session and close it; a second submit changes nothing and returns the first result.

        answers, seconds: by question number; what is not there is unanswered. Raises NotFound, Refused for a session
        that expired, BadRecord naming questions that are not in the test.
        """
        with self._db.session() as session:
            one, test = _session(session, number, owner, lock=True)
            if one.status == COMPLETED:
                return _told(one, test)
            expired = _expire(one, test)
            if not expired:
                rows = _rows(session, one.test_id)
                _require_answers(rows, answers, seconds or {})
                _grade(session, one, test, rows, answers, seconds or {})
            found = _told(one, test)
        if expired:
            raise Refused(
                f"session {number} expired",
                left="no answer was taken",
                next=f"start again: wherry tutor test start {found['test']}",
            )
        return found

    def hidden_from(self, number: int, owner: str) -> bool:
        """Tell whether a question is in an open test that this student did not finish: nothing may explain it."""
        open_tests = select(DiagnosisQuestion.test_id).join(DiagnosisTest).where(
            DiagnosisQuestion.question_id == number, DiagnosisTest.status == "active"
        )  # fmt: skip
        finished = select(DiagnosisSession.test_id).where(
            DiagnosisSession.user_id == owner, DiagnosisSession.status == COMPLETED
        )
        running = select(DiagnosisSession.test_id).where(
            DiagnosisSession.user_id == owner, DiagnosisSession.status == RUNNING
        )
        with self._db.session() as session:
            tests = set(session.scalars(open_tests))
            return bool((tests - set(session.scalars(finished))) | (tests & set(session.scalars(running))))

    def counts(self, owner: str | None) -> dict[str, Any]:
        """Return how many sessions there are by status, and the mean percentage of the completed ones."""
        mine = [DiagnosisSession.user_id == owner] if owner is not None else []
        by = select(DiagnosisSession.status, func.count()).where(*mine).group_by(DiagnosisSession.status)
        with self._db.session() as session:
            mean = session.scalar(select(func.avg(DiagnosisSession.percentage)).where(*mine))
            return {
                "sessions": dict(session.execute(by).tuples().all()),
                "mean_percentage": None if mean is None else round(float(mean), 2),
            }


def _test(session: Session, number: int, student: bool) -> DiagnosisTest:
    test = session.get(DiagnosisTest, number)
    if test is None or (student and test.status != "active"):
        raise NotFound(f"there is no test {number}")
    return test


def _described(test: DiagnosisTest, count: int) -> dict[str, Any]:
    return {
        "id": test.id, "title": test.title, "department": test.department, "round": test.round,
        "time_limit": test.time_limit, "declared_total": test.declared_total, "questions": count,
        "status": test.status,
    }  # fmt: skip


def _rows(session: Session, test: int) -> Rows:
    query = select(DiagnosisQuestion, Question).join(Question).where(DiagnosisQuestion.test_id == test)
    return [(place, question) for place, question in session.execute(query.order_by(DiagnosisQuestion.position))]


def _session(
    session: Session, number: int, owner: str | None, lock: bool = False
) -> tuple[DiagnosisSession, DiagnosisTest]:
    one = session.get(DiagnosisSession, number, with_for_update=lock)
    if one is None or (owner is not None and one.user_id != owner):
        raise NotFound(f"there is no session {number}")
    return one, session.get_one(DiagnosisTest, one.test_id)


def _begun(session: Session, test: int, owner: str, before: int) -> DiagnosisSession:
    one = DiagnosisSession(
        test_id=test, user_id=owner, attempt=before + 1, status=RUNNING, started_at=datetime.now(UTC)
    )
    session.add(one)
    session.flush()
    return one


def _expire(one: DiagnosisSession, test: DiagnosisTest) -> bool:
    """Mark a session whose time is over; tell whether it is."""
    if one.status == RUNNING and test.time_limit is not None and one.started_at is not None:
        over = datetime.now(UTC) > one.started_at + timedelta(minutes=test.time_limit)
        one.status = EXPIRED if over else one.status
    return one.status == EXPIRED


def _told(one: DiagnosisSession, test: DiagnosisTest) -> dict[str, Any]:
    result = one.result or {}
    return {
        "session": one.id, "test": test.id, "title": test.title, "user": one.user_id, "attempt": one.attempt,
        "status": one.status, "department": test.department, "time_limit": test.time_limit,
        "started_at": one.started_at.isoformat() if one.started_at else None,
        "completed_at": one.completed_at.isoformat() if one.completed_at else None,
        "percentage": one.percentage, "level": one.level, "learning_level": one.learning_level,
        **{key: result.get(key) for key in ("raw", "total", "adjusted_level", "recommended_difficulty")},
        **{key: result.get(key, []) for key in ("areas", "weak", "strong", "missed")},
    }  # fmt: skip


def _sheet(rows: Rows) -> list[dict[str, Any]]:
    return [
        {"position": place.position, "points": float(place.points), **shown(question, True)} for place, question in rows
    ]


def _answered(session: Session, one: DiagnosisSession) -> list[dict[str, Any]]:
    query = (
        select(DiagnosisResponse, Question)
        .join(Question)
        .where(DiagnosisResponse.session_id == one.id)
        .order_by(DiagnosisResponse.id)
    )
    return [
        {
            "question": response.question_id, "answer": response.answer, "correct": response.is_correct,
            "correct_answer": question.correct_answer, "points_earned": float(response.points_earned),
            "seconds": response.seconds,
        }
        for response, question in session.execute(query)
    ]  # fmt: skip


def _require_answers(rows: Rows, answers: Mapping[int, str | None], seconds: Mapping[int, int]) -> None:
    known = {question.id: question for _, question in rows}
    faults = [f"question {n} is not in this test" for n in sorted({*answers, *seconds} - set(known))]
    for number, answer in answers.items():
        options = known[number].options if number in known else None
        if answer is not None and options and str(answer) not in options:
            faults.append(f"question {number} has no option {str(answer)[:20]!r}")
    faults += [f"question {n}: {taken!r} seconds cannot be" for n, taken in seconds.items() if not _is_time(taken)]
    if faults:
        raise BadRecord("; ".join(faults[:20]), left="nothing was graded", fields=faults)


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST_S


def _grade(
    session: Session,
    one: DiagnosisSession,
    test: DiagnosisTest,
    rows: Rows,
    answers: Mapping[int, str | None],
    seconds: Mapping[int, int],
) -> None:
    graded, missed = [], []
    for place, question in rows:
        answer = answers.get(question.id)
        correct = answer is not None and str(answer).strip() == question.correct_answer
        taken = seconds.get(question.id)
        graded.append(
            rules.Graded(
                correct, place.points, question.difficulty or 3, question.subject or "", question.area or "", taken
            )
        )
        missed += [] if correct else [question.id]
        session.add(
            DiagnosisResponse(
                session_id=one.id, question_id=question.id, answer=None if answer is None else str(answer),
                is_correct=correct, points_earned=place.points if correct else Decimal(0), seconds=taken,
            )
        )  # fmt: skip
    found = rules.outcome(graded, test.scoring_criteria.get("level_classification"))
    one.status, one.completed_at, one.raw_score = COMPLETED, datetime.now(UTC), found.raw
    one.percentage, one.level, one.learning_level = found.percentage, found.level, found.learning_level
    one.result = found.to_dict() | {"missed": missed}
