"""The tables of Tutor.

A jsonb value is replaced whole: SQLAlchemy does not see an edit inside one, and such an edit would be lost.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

QUESTION_TYPES = (
    "multiple_choice", "short_answer", "true_false", "matching", "ordering", "fill_in_blank", "essay",
    "multi_choice_selection", "other",
)  # fmt: skip
APPROVALS = ("pending", "approved", "rejected", "archived")
Json = dict[str, Any]
_EMPTY = text("'{}'::jsonb")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    """The models of Tutor."""

    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSONB,
        datetime: DateTime(timezone=True),
        str: Text,
        list[str]: ARRAY(Text),
    }


class Question(Base):
    """A question of the bank. options: key -> text, in order of the keys. correct_answer: one of the keys.

    content_sha256: of the content alone; with department, year and number it says which question this is.
    """

    __tablename__ = "questions"
    __table_args__ = (
        CheckConstraint(_one_of("question_type", QUESTION_TYPES), name="questions_type"),
        CheckConstraint(_one_of("approval_status", APPROVALS), name="questions_approval"),
        CheckConstraint("difficulty BETWEEN 1 AND 5", name="questions_difficulty"),
        Index("questions_department", "department", "approval_status", "is_active"),
        Index("questions_subject", "subject", "difficulty"),
        Index("questions_year", "year"),
        UniqueConstraint(
            "content_sha256", "department", "year", "question_number",
            name="questions_once", postgresql_nulls_not_distinct=True,
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    question_number: Mapped[int] = mapped_column(Integer)
    question_type: Mapped[str] = mapped_column(default="multiple_choice", server_default="multiple_choice")
    content: Mapped[str]
    description: Mapped[list[str] | None]
    options: Mapped[Json | None]
    correct_answer: Mapped[str | None] = mapped_column(String(10))
    subject: Mapped[str | None]
    area: Mapped[str | None]
    department: Mapped[str | None]
    year: Mapped[int | None] = mapped_column(Integer)
    difficulty: Mapped[int | None] = mapped_column(Integer)
    difficulty_source: Mapped[str | None]
    approval_status: Mapped[str] = mapped_column(default="pending", server_default="pending")
    is_active: Mapped[bool] = mapped_column(Boolean, default=True, server_default=text("true"))
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    question_metadata: Mapped[Json] = mapped_column(default=dict, server_default=_EMPTY)
    ai_integration: Mapped[Json] = mapped_column(default=dict, server_default=_EMPTY)
    source_info: Mapped[Json] = mapped_column(default=dict, server_default=_EMPTY)
    content_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class QuestionVector(Base):
    """Where the vector of a question is. embedder: {provider, model, dim, normalised}; error: why there is none."""

    __tablename__ = "question_vectors"

    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), primary_key=True)
    store: Mapped[str]
    collection: Mapped[str]
    embedder: Mapped[Json] = mapped_column(default=dict, server_default=_EMPTY)
    text_sha256: Mapped[str] = mapped_column(String(64))
    indexed_at: Mapped[datetime | None]
    error: Mapped[str | None]


class DiagnosisTest(Base):
    """A diagnostic test. time_limit: minutes, None for none. scoring_criteria: as its file has them."""

    __tablename__ = "diagnosis_tests"
    __table_args__ = (
        CheckConstraint(_one_of("status", ("draft", "active", "archived")), name="diagnosis_tests_status"),
        UniqueConstraint("department", "round", name="diagnosis_tests_round"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str]
    department: Mapped[str | None]
    round: Mapped[int | None] = mapped_column(Integer)
    time_limit: Mapped[int | None] = mapped_column(Integer)
    declared_total: Mapped[int] = mapped_column(Integer)
    scoring_criteria: Mapped[Json] = mapped_column(default=dict, server_default=_EMPTY)
    status: Mapped[str] = mapped_column(default="draft", server_default="draft")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DiagnosisQuestion(Base):
    """A question of a test: where it stands and what it is worth."""

    __tablename__ = "diagnosis_questions"
    __table_args__ = (
        CheckConstraint("points > 0", name="diagnosis_questions_points"),
        UniqueConstraint("test_id", "question_id", name="diagnosis_questions_once"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    test_id: Mapped[int] = mapped_column(ForeignKey("diagnosis_tests.id", ondelete="CASCADE"))
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(Integer)
    points: Mapped[Decimal] = mapped_column(Numeric)


class DiagnosisSession(Base):
    """One student's attempt at a test. user_id: the tenant of the student's key. result: as `rules.Outcome` says it."""

    __tablename__ = "diagnosis_sessions"
    __table_args__ = (
        CheckConstraint(
            _one_of("status", ("not_started", "in_progress", "completed", "expired")), name="diagnosis_sessions_status"
        ),
        UniqueConstraint("test_id", "user_id", "attempt", name="diagnosis_sessions_attempt"),
        Index("diagnosis_sessions_user", "user_id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    test_id: Mapped[int] = mapped_column(ForeignKey("diagnosis_tests.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(100), default="local", server_default="local")
    attempt: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(default="not_started", server_default="not_started")
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    raw_score: Mapped[Decimal | None] = mapped_column(Numeric)
    percentage: Mapped[float | None] = mapped_column(Float)
    level: Mapped[str | None]
    learning_level: Mapped[float | None] = mapped_column(Float)
    result: Mapped[Json | None]


class DiagnosisResponse(Base):
    """One answer of a session; answer None is an unanswered question. seconds: None where nobody measured."""

    __tablename__ = "diagnosis_responses"
    __table_args__ = (UniqueConstraint("session_id", "question_id", name="diagnosis_responses_once"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("diagnosis_sessions.id", ondelete="CASCADE"))
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), index=True)
    answer: Mapped[str | None]
    is_correct: Mapped[bool]
    points_earned: Mapped[Decimal] = mapped_column(Numeric)
    seconds: Mapped[int | None] = mapped_column(Integer)


class StudyDocument(Base):
    """A study document; importing its title again replaces it."""

    __tablename__ = "tutor_documents"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str | None]
    sha256: Mapped[str] = mapped_column(String(64))
    department: Mapped[str | None]
    subject: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StudyChunk(Base):
    """A passage of a document; its id is the id of its point. start_char, end_char: its place in the text."""

    __tablename__ = "tutor_chunks"
    __table_args__ = (UniqueConstraint("document_id", "chunk_index", name="tutor_chunks_once"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("tutor_documents.id", ondelete="CASCADE"))
    chunk_index: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]
    start_char: Mapped[int] = mapped_column(Integer)
    end_char: Mapped[int] = mapped_column(Integer)


class Setting(Base):
    """A switch of the service, such as the chat model in use; the environment overrules it."""

    __tablename__ = "tutor_settings"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Checkpoint(Base):
    """A point to go back to. archive: the collection as a Parquet file; revision: of the tables."""

    __tablename__ = "tutor_checkpoints"

    name: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str]
    settings: Mapped[Json]
    store: Mapped[str]
    archive: Mapped[str | None]
    points: Mapped[int] = mapped_column(Integer)
    revision: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Comparison(Base):
    """A measured comparison. kind: `llm` or `store`; result: its figures; passed: whether they reach the bars."""

    __tablename__ = "tutor_comparisons"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    old: Mapped[str]
    new: Mapped[str]
    passed: Mapped[bool]
    result: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
