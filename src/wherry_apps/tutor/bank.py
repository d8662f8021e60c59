"""The question bank: imported, reviewed, approved, indexed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wherry import AppDatabase, BadRecord, Conflict, NotFound
from wherry_apps.tutor.importing import Item, Paper, digest, read_paper, require_plain
from wherry_apps.tutor.tables import DiagnosisQuestion, DiagnosisTest, Question

_COMPARED = ("options", "correct_answer", "subject", "area", "difficulty", "question_type", "description")
_EDITABLE = (*_COMPARED, "content", "department", "year", "is_active", "question_metadata", "ai_integration")
MOST = 1000


@dataclass(frozen=True)
class Imported:
    """What an import did. added, unchanged: ids. differs: ids of questions that are there and say something else."""

    file: str
    shape: str
    added: tuple[int, ...]
    unchanged: tuple[int, ...]
    differs: tuple[int, ...]
    test_id: int | None = None
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "file": self.file, "shape": self.shape, "added": len(self.added), "unchanged": len(self.unchanged),
            "differs": list(self.differs), "questions": [*self.added, *self.unchanged, *self.differs],
            "test": self.test_id, "warnings": list(self.warnings),
        }  # fmt: skip


class Bank:
    """The questions in the database; nothing here asks a model or a store."""

    def __init__(self, db: AppDatabase) -> None:
        self._db = db

    def store(self, paper: Paper) -> Imported:
        """Store what a file held, all of it or nothing; a question that is there already stays as it is."""
        found: dict[str, list[int]] = {"added": [], "unchanged": [], "differs": []}
        with self._db.session() as session:
            verdicts = _stored(session, paper.items)
            ids = [question.id for _, question in verdicts]
            for verdict, question in verdicts:
                found[verdict].append(question.id)
            test_id = _test(session, paper, ids) if paper.test is not None else None
        counts = {name: tuple(numbers) for name, numbers in found.items()}
        words = tuple(f"{code}: {text}" for code, text in paper.warnings)
        return Imported(paper.name, paper.shape, **counts, test_id=test_id, warnings=words)

    def get(self, number: int, student: bool = False) -> dict[str, Any]:
        """Return a question. student: without its answer, and only one that students may see. Raises NotFound."""
        with self._db.session() as session:
            question = _visible(session.get(Question, number), number, student)
            return shown(question, student)

    def list(
        self, student: bool = False, status: str | None = None, limit: int = 50, after: int = 0, **wanted: Any
    ) -> dict[str, Any]:
        """Return questions by id, `limit` of those behind `after`, and how many there are.

        wanted: department, subject, area, difficulty, year, question_type; None is no wish.
        """
        chosen = [getattr(Question, name) == value for name, value in wanted.items() if value is not None]
        if student:
            chosen += [Question.approval_status == "approved", Question.is_active]
        elif status is not None:
            chosen.append(Question.approval_status == status)
        with self._db.session() as session:
            total = session.scalar(select(func.count()).select_from(Question).where(*chosen))
            page = select(Question).where(*chosen, Question.id > after).order_by(Question.id).limit(min(limit, MOST))
            rows = [shown(question, student) for question in session.scalars(page)]
        return {"total": total, "questions": rows}

    def approve(self, numbers: Sequence[int], by: str) -> None:
        """Approve questions: all of them or none. Raises NotFound, Conflict for one that was put out of use."""
        with self._db.session() as session:
            for question in _all(session, numbers):
                if not question.is_active:
                    raise Conflict(f"question {question.id} is not active", next="activate it first")
                require_whole(question)
                if question.approval_status != "approved":
                    question.approval_status, question.approved_by = "approved", by
                    question.approved_at = datetime.now(UTC)

    def reject(self, numbers: Sequence[int], status: str = "rejected") -> None:
        """Reject or archive questions; students no longer see them."""
        with self._db.session() as session:
            for question in _all(session, numbers):
                question.approval_status, question.approved_by, question.approved_at = status, None, None

    def edit(self, number: int, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change columns of a question and return it; jsonb is replaced whole. Raises NotFound, BadRecord, Conflict."""
        unknown = sorted(set(changes) - set(_EDITABLE))
        if unknown:
            raise BadRecord(f"{', '.join(unknown)} cannot be changed", fields=unknown)
        require_plain(dict(changes), "the change")
        with self._db.session() as session:
            question = _all(session, [number])[0]
            for name, value in changes.items():
                setattr(question, name, dict(value) if isinstance(value, Mapping) else value)
            if {"content", "options", "correct_answer", "description"} & set(changes):
                # What a model said was about the question as it was.
                kept = {key: value for key, value in question.ai_integration.items() if key != "explanation"}
                question.ai_integration = kept
            question.content_sha256 = digest(str(question.content))
            require_whole(question)
            session.flush()
            session.refresh(question)
            return shown(question, False)

    def note(self, number: int, ai_integration: Mapping[str, Any]) -> None:
        """Replace what models said about a question."""
        with self._db.session() as session:
            _all(session, [number])[0].ai_integration = dict(ai_integration)

    def pending(self, test: int | None = None, file: str | None = None) -> list[int]:
        """Return the numbers of pending questions: of a test, of a file, or all."""
        query = select(Question.id).where(Question.approval_status == "pending").order_by(Question.id)
        if test is not None:
            query = query.where(
                Question.id.in_(select(DiagnosisQuestion.question_id).where(DiagnosisQuestion.test_id == test))
            )
        if file is not None:
            query = query.where(Question.source_info["file"].astext == file)
        with self._db.session() as session:
            return list(session.scalars(query))

    def counts(self) -> dict[str, Any]:
        """Return how many questions there are, by approval and by department."""
        with self._db.session() as session:
            by = {
                name: dict(session.execute(select(column, func.count()).group_by(column).order_by(column)).all())
                for name, column in (("approval", Question.approval_status), ("department", Question.department))
            }
        return {name: {str(key or ""): count for key, count in found.items()} for name, found in by.items()}


def shown(question: Question, student: bool) -> dict[str, Any]:
    """Return a question as a JSON object; for a student without the answer and what goes with reviewing."""
    value = {
        "id": question.id, "question_number": question.question_number, "question_type": question.question_type,
        "content": question.content, "description": question.description or [], "options": question.options,
        "subject": question.subject, "area": question.area, "department": question.department,
        "year": question.year, "difficulty": question.difficulty,
    }  # fmt: skip
    if student:
        return value
    return value | {
        "correct_answer": question.correct_answer, "approval_status": question.approval_status,
        "is_active": question.is_active, "approved_by": question.approved_by,
        "approved_at": question.approved_at.isoformat() if question.approved_at else None,
        "difficulty_source": question.difficulty_source, "question_metadata": question.question_metadata,
        "ai_integration": question.ai_integration, "source_info": question.source_info,
    }  # fmt: skip


def require_whole(question: Question) -> None:
    """Raise BadRecord for a question that could not be asked, by the rules of an import."""
    row = {
        "question_number": question.question_number, "content": question.content, "options": question.options,
        "correct_answer": question.correct_answer, "difficulty": question.difficulty, "year": question.year,
        "question_type": question.question_type, "description": question.description,
    }  # fmt: skip
    try:
        read_paper({"meta": {}, "questions": [row]}, f"question {question.id}")
    except BadRecord as error:
        raise BadRecord(error.what, left="nothing was changed", next=f"correct question {question.id}") from None


def _visible(question: Question | None, number: int, student: bool) -> Question:
    hidden = question is not None and (question.approval_status != "approved" or not question.is_active)
    if question is None or (student and hidden):
        raise NotFound(f"there is no question {number}")
    return question


def _all(session: Session, numbers: Sequence[int]) -> list[Question]:
    rows = {q.id: q for q in session.scalars(select(Question).where(Question.id.in_(list(numbers))).with_for_update())}
    missing = [number for number in numbers if number not in rows]
    if missing:
        raise NotFound(f"there is no question {', '.join(map(str, missing[:20]))}", left="nothing was changed")
    return [rows[number] for number in dict.fromkeys(numbers)]


def _stored(session: Session, items: Sequence[Item]) -> list[tuple[str, Question]]:
    """Return what became of each item, and its question; new ones have their numbers by then."""
    hashes = [item.values["content_sha256"] for item in items]
    rows = session.scalars(select(Question).where(Question.content_sha256.in_(hashes)))
    known = {_identity(question.__dict__): question for question in rows}
    found = []
    for item in items:
        question = known.get(_identity(item.values))
        if question is None:
            question = known[_identity(item.values)] = Question(**item.values)
            session.add(question)
            found.append(("added", question))
        else:
            equal = all(getattr(question, name) == item.values[name] for name in _COMPARED)
            found.append(("unchanged" if equal else "differs", question))
    session.flush()
    return found


def _identity(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what says which question it is."""
    return tuple(values[key] for key in ("content_sha256", "department", "year", "question_number"))


def _test(session: Session, paper: Paper, ids: Sequence[int]) -> int:
    """Store a test as a draft and return its number; one that is there with the same questions stays."""
    test = paper.test or {}
    department = next((item.values["department"] for item in paper.items if item.values["department"]), None)
    worth = [(number, item.points) for number, item in zip(ids, paper.items, strict=True)]
    same = select(DiagnosisTest).where(
        DiagnosisTest.title == test["title"], DiagnosisTest.department.is_not_distinct_from(department)
    )
    for known in session.scalars(same):
        query = select(DiagnosisQuestion.question_id, DiagnosisQuestion.points)
        found = query.where(DiagnosisQuestion.test_id == known.id).order_by(DiagnosisQuestion.position)
        if [tuple(row) for row in session.execute(found)] == worth:
            return known.id
        raise Conflict(
            f"there is a test {known.id} called {test['title']!r} with other questions",
            where=paper.name,
            left="nothing of this file was stored",
            next="give the new one another title",
        )
    rounds = select(func.max(DiagnosisTest.round)).where(DiagnosisTest.department.is_not_distinct_from(department))
    made = DiagnosisTest(
        title=test["title"], department=department, round=(session.scalar(rounds) or 0) + 1,
        time_limit=test["time_limit"], declared_total=paper.declared, scoring_criteria=test["scoring_criteria"],
    )  # fmt: skip
    session.add(made)
    session.flush()
    for position, (number, points) in enumerate(worth, 1):
        session.add(DiagnosisQuestion(test_id=made.id, question_id=number, position=position, points=points))
    return made.id
