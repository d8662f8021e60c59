"""The tables of Interview, as SQLAlchemy models.

The index of the vectors is HNSW over cosine distance: m = 16 is how many neighbours a vector keeps per layer (more
find better and take more room), ef_construction = 64 how many candidates are looked at while it is built (more find
better and take longer). It is made on the empty table, so that it can never fail for want of rows.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DIMENSION = 1024
LOCAL = "local"
_EMPTY_LIST, _EMPTY_OBJECT = text("'[]'::jsonb"), text("'{}'::jsonb")


class InterviewStatus(StrEnum):
    """Where a session is on its way."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class IndexStatus(StrEnum):
    """How much of a job post can be found: none of its chunks was tried, some have vectors, all have, none could."""

    NONE = "none"
    PARTIAL = "partial"
    COMPLETE = "complete"
    FAILED = "failed"


class Base(DeclarativeBase):
    """What every model has: times are UTC, a JSON value is an object or a list."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        Any: JSONB,
        str: Text,
    }


def _owner() -> Mapped[str]:
    return mapped_column(String(100), server_default=LOCAL, index=True)


def _made() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def _changed() -> Mapped[datetime]:
    return mapped_column(server_default=func.now(), onupdate=func.now())


def _list() -> Mapped[list[Any]]:
    return mapped_column(server_default=_EMPTY_LIST)


def _object() -> Mapped[dict[str, Any]]:
    return mapped_column(server_default=_EMPTY_OBJECT)


def _to(column: str, **how: Any) -> Mapped[Any]:
    return mapped_column(ForeignKey(column, ondelete="CASCADE"), index=True, **how)


class Company(Base):
    """Who hires. blind_mode: names, ages, education and gender of applicants are shown to nobody."""

    __tablename__ = "companies"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = _owner()
    name: Mapped[str] = mapped_column(String(200), index=True)
    values_text: Mapped[str | None]
    culture_desc: Mapped[str | None]
    core_values: Mapped[list[Any]] = _list()
    category_weights: Mapped[dict[str, Any]] = _object()
    priority_weights: Mapped[dict[str, Any]] = _object()
    blind_mode: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = _made()
    updated_at: Mapped[datetime] = _changed()


class Applicant(Base):
    """Who applies."""

    __tablename__ = "applicants"
    # Per owner: that somebody applied elsewhere must not show as a conflict.
    __table_args__ = (UniqueConstraint("owner", "email", name="uq_applicants_owner_email"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = _owner()
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str | None] = mapped_column(String(200))
    age: Mapped[int | None]
    education: Mapped[str | None]
    gender: Mapped[str | None] = mapped_column(String(20))
    skills: Mapped[list[Any]] = _list()
    domain_experience: Mapped[list[Any]] = _list()
    special_experience: Mapped[list[Any]] = _list()
    total_experience_years: Mapped[int] = mapped_column(server_default=text("0"))
    resume_parsed_data: Mapped[dict[str, Any]] = _object()
    created_at: Mapped[datetime] = _made()
    updated_at: Mapped[datetime] = _changed()


class Job(Base):
    """A job post with what was found in it."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("index_status IN ('none', 'partial', 'complete', 'failed')", name="ck_jobs_index_status"),
        Index("ix_jobs_source_sha256", "company_id", "source_sha256"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = _owner()
    company_id: Mapped[int] = _to("companies.id")
    title: Mapped[str] = mapped_column(String(500))
    description: Mapped[str | None]
    required_skills: Mapped[list[Any]] = _list()
    preferred_skills: Mapped[list[Any]] = _list()
    domain_requirements: Mapped[list[Any]] = _list()
    dynamic_evaluation_criteria: Mapped[list[Any]] = _list()
    competency_weights: Mapped[dict[str, Any]] = _object()
    weights_source: Mapped[str | None] = mapped_column(String(50))
    main_responsibilities: Mapped[list[Any]] = _list()
    position_type: Mapped[str | None] = mapped_column(String(100))
    seniority_level: Mapped[str | None] = mapped_column(String(50))
    analysis_source: Mapped[str | None] = mapped_column(String(200))
    source_file: Mapped[str | None] = mapped_column(String(500))
    source_sha256: Mapped[str | None] = mapped_column(String(64))
    index_status: Mapped[str] = mapped_column(String(10), server_default=IndexStatus.NONE.value)
    created_at: Mapped[datetime] = _made()
    updated_at: Mapped[datetime] = _changed()


class JobChunk(Base):
    """A piece of a job post: chunk_text is the cleaned text from start_char to end_char."""

    __tablename__ = "job_chunks"
    __table_args__ = (
        UniqueConstraint("job_id", "chunk_index", name="uq_job_chunks_job_id_chunk_index"),
        Index(
            "idx_job_chunks_embedding_hnsw",
            "embedding",
            postgresql_using="hnsw",
            postgresql_with={"m": 16, "ef_construction": 64},
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    chunk_text: Mapped[str]
    embedding: Mapped[Any | None] = mapped_column(Vector(DIMENSION))
    chunk_index: Mapped[int]
    start_char: Mapped[int | None]
    end_char: Mapped[int | None]
    # {provider, model, dim, normalised}: vectors of two embedders are never compared.
    embedder: Mapped[dict[str, Any] | None]
    embed_error: Mapped[str | None]
    embed_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = _made()


class Persona(Base):
    """An interviewer: how it asks and what it looks for."""

    __tablename__ = "personas"
    __table_args__ = (
        CheckConstraint("archetype IN ('analytical', 'supportive', 'stress_tester')", name="ck_personas_archetype"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = _to("companies.id")
    persona_name: Mapped[str] = mapped_column(String(200))
    archetype: Mapped[str] = mapped_column(String(20), server_default="analytical")
    focus_keywords: Mapped[list[Any]] = _list()
    focus_areas: Mapped[list[Any]] = _list()
    system_prompt: Mapped[str | None]
    welcome_message: Mapped[str | None]


class Question(Base):
    """A question; without a job it may be asked in any interview of its owner."""

    __tablename__ = "questions"
    __table_args__ = (CheckConstraint("difficulty_level BETWEEN 1 AND 5", name="ck_questions_difficulty_level"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = _owner()
    job_id: Mapped[int | None] = _to("jobs.id")
    persona_id: Mapped[int | None] = mapped_column(ForeignKey("personas.id", ondelete="SET NULL"))
    question_type: Mapped[str] = mapped_column(String(50))
    question_text: Mapped[str]
    # A list of words, or {technical, soft_skills, domain}.
    expected_keywords: Mapped[Any] = mapped_column(JSONB, server_default=_EMPTY_LIST)
    evaluation_criteria: Mapped[Any] = mapped_column(JSONB, server_default=_EMPTY_LIST)
    evaluation_dimensions: Mapped[list[Any]] = _list()
    dimension_weights: Mapped[dict[str, Any]] = _object()
    target_competencies: Mapped[list[Any]] = _list()
    follow_up_if_weak: Mapped[str | None]
    difficulty_level: Mapped[int] = mapped_column(server_default=text("3"))
    is_common: Mapped[bool] = mapped_column(server_default=false())
    made_by: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = _made()


class InterviewSession(Base):
    """One interview of one applicant. question_ids: what is asked, in order; current_question_index: from 0."""

    __tablename__ = "interview_sessions"
    __table_args__ = (Index("ix_interview_sessions_source_sha256", "source_sha256"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = _owner()
    applicant_id: Mapped[int] = _to("applicants.id")
    job_id: Mapped[int | None] = _to("jobs.id")
    company_id: Mapped[int | None] = _to("companies.id")
    status: Mapped[InterviewStatus] = mapped_column(
        Enum(InterviewStatus, name="interview_status", values_callable=lambda kind: [one.value for one in kind]),
        server_default=InterviewStatus.PENDING.value,
    )
    question_ids: Mapped[list[Any]] = _list()
    current_question_index: Mapped[int] = mapped_column(server_default=text("0"))
    current_persona_index: Mapped[int] = mapped_column(server_default=text("0"))
    competency_weights: Mapped[dict[str, Any]] = _object()
    category_weights: Mapped[dict[str, Any]] = _object()
    evaluation_completed: Mapped[bool] = mapped_column(server_default=false())
    # Of an imported transcript: its digest, so that the same one comes in once.
    source_sha256: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _made()


class SessionJob(Base):
    """One of the jobs an interview is for. position: from 0."""

    __tablename__ = "interview_session_jobs"
    session_id: Mapped[int] = mapped_column(ForeignKey("interview_sessions.id", ondelete="CASCADE"), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(server_default=text("0"))


class InterviewResult(Base):
    """One question with the answer that was given, and its scores from 0 to 100; null where it was not scored."""

    __tablename__ = "interview_results"
    __table_args__ = (
        *(
            CheckConstraint(f"{name} BETWEEN 0 AND 100", name=f"ck_interview_results_{name}")
            for name in ("logic_score", "relevance_score", "technical_score", "communication_score", "overall_score")
        ),
        Index("ix_interview_results_interview_id_question_id", "interview_id", "question_id"),
        Index("ix_interview_results_overall_score", "overall_score"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    interview_id: Mapped[int] = mapped_column(ForeignKey("interview_sessions.id", ondelete="CASCADE"))
    question_id: Mapped[int | None] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), index=True)
    question_text: Mapped[str | None]
    question_type: Mapped[str | None] = mapped_column(String(50))
    is_common: Mapped[bool] = mapped_column(server_default=false())
    job_id: Mapped[int | None] = _to("jobs.id")
    stt_full_text: Mapped[str]
    logic_score: Mapped[float | None]
    relevance_score: Mapped[float | None]
    technical_score: Mapped[float | None]
    communication_score: Mapped[float | None]
    overall_score: Mapped[float | None]
    scores: Mapped[dict[str, Any]] = _object()
    keywords: Mapped[dict[str, Any]] = _object()
    strengths: Mapped[list[Any]] = _list()
    weaknesses: Mapped[list[Any]] = _list()
    ai_feedback: Mapped[str | None]
    interview_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=_EMPTY_OBJECT)
    scored_by: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = _made()
    updated_at: Mapped[datetime] = _changed()


class Transcript(Base):
    """One turn that was spoken or written. turn: from 0 within its session."""

    __tablename__ = "session_transcripts"
    __table_args__ = (UniqueConstraint("session_id", "turn", name="uq_session_transcripts_session_id_turn"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("interview_sessions.id", ondelete="CASCADE"))
    turn: Mapped[int]
    speaker: Mapped[str] = mapped_column(String(50))
    text: Mapped[str]
    meta: Mapped[dict[str, Any]] = _object()


class SetAside(Base):
    """What a migration could not carry over: a value of a row, or a whole row; nothing is thrown away."""

    __tablename__ = "set_aside"
    id: Mapped[int] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(String(100))
    row_id: Mapped[str | None] = mapped_column(String(100))
    whole_row: Mapped[bool] = mapped_column(server_default=false())
    reason: Mapped[str]
    content: Mapped[dict[str, Any]] = _object()
    created_at: Mapped[datetime] = _made()


class MigrationReport(Base):
    """What one migration of older tables found and did."""

    __tablename__ = "migration_reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    report: Mapped[dict[str, Any]] = _object()
    created_at: Mapped[datetime] = _made()
