"""The tables of Body, as SQLAlchemy models.

A person (`users`) has sheets, reports, goals, plans and chats; whoever deletes a person deletes those. `owner` says
whose person this is: the tenant of the key that made it, `local` for the command line. Names and mail addresses are
unique among the persons of one owner, so that nobody learns whom another one looks after. Vectors of other lengths
than 1,536 and 1,024 are in a collection of their own (see `vectors.py`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import orjson
from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, Date, DateTime, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

OPENAI, SMALLER = "embedding_1536", "embedding_1024"
# Dimension of an embedder -> the column its vectors are in.
COLUMNS = {1536: OPENAI, 1024: SMALLER}
STATUS_ANALYSIS = "status_analysis"
_NOW = func.now()


class Components(Vector):
    """A vector column that is written quickly: float32 as text, by a serialiser instead of number by number."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Any:
        """Return what turns a vector into the text PostgreSQL reads."""

        def text_of(value: Any) -> str | None:
            if value is None:
                return None
            vector = np.ascontiguousarray(value, dtype=np.float32)
            return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()

        return text_of


class Base(DeclarativeBase):
    """The models of Body."""

    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSONB,
        datetime: DateTime(timezone=True),
        date: Date,
    }


def _user() -> Mapped[int]:
    return mapped_column(ForeignKey("users.id", ondelete="CASCADE"))


def _nearest(column: str) -> Index:
    return Index(
        f"idx_analysis_reports_{column}_hnsw",
        column,
        postgresql_using="hnsw",
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_ops={column: "vector_cosine_ops"},
    )


class User(Base):
    """A person who is measured."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("owner", "username", name="users_owner_username"),
        UniqueConstraint("owner", "email", name="users_owner_email"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default="local")
    username: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    records: Mapped[list[HealthRecord]] = relationship(back_populates="user", passive_deletes=True)
    reports: Mapped[list[AnalysisReport]] = relationship(back_populates="user", passive_deletes=True)
    goals: Mapped[list[UserGoal]] = relationship(back_populates="user", passive_deletes=True)
    plans: Mapped[list[WeeklyPlan]] = relationship(back_populates="user", passive_deletes=True)


class HealthRecord(Base):
    """One sheet. measurements: by the keys of the flat sheet, the original under `_raw`."""

    __tablename__ = "health_records"
    __table_args__ = (
        Index("idx_health_records_user_date", "user_id", text("record_date DESC")),
        Index("idx_health_records_measurements", "measurements", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _user()
    record_date: Mapped[datetime] = mapped_column(server_default=_NOW)
    source: Mapped[str] = mapped_column(String(100), server_default="manual")
    measurements: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    user: Mapped[User] = relationship(back_populates="records")
    reports: Mapped[list[AnalysisReport]] = relationship(back_populates="record", passive_deletes=True)


class AnalysisReport(Base):
    """What was written about one sheet.

    embedding_info: column -> who made its vector: provider, model, normalised, text_sha256 of what was embedded.
    """

    __tablename__ = "analysis_reports"
    __table_args__ = (
        Index("idx_analysis_reports_user_date", "user_id", text("report_date DESC")),
        Index("idx_analysis_reports_record", "record_id"),
        _nearest(OPENAI),
        _nearest(SMALLER),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _user()
    record_id: Mapped[int | None] = mapped_column(ForeignKey("health_records.id", ondelete="CASCADE"))
    llm_output: Mapped[str] = mapped_column(Text)
    model_version: Mapped[str | None] = mapped_column(String(100))
    analysis_type: Mapped[str] = mapped_column(String(50), server_default=STATUS_ANALYSIS)
    report_date: Mapped[datetime] = mapped_column(server_default=_NOW)
    embedding_1536: Mapped[Any] = mapped_column(Components(1536), nullable=True, deferred=True)
    embedding_1024: Mapped[Any] = mapped_column(Components(1024), nullable=True, deferred=True)
    embedding_info: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))

    user: Mapped[User] = relationship(back_populates="reports")
    record: Mapped[HealthRecord | None] = relationship(back_populates="reports")


class UserGoal(Base):
    """What a person wants. is_active: 0 once it has ended."""

    __tablename__ = "user_goals"
    __table_args__ = (
        Index("idx_user_goals_user", "user_id"),
        CheckConstraint("is_active IN (0, 1)", name="user_goals_is_active"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _user()
    goal_type: Mapped[str | None] = mapped_column(String(255))
    goal_description: Mapped[str | None] = mapped_column(Text)
    goal_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    preferences: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    health_specifics: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    started_at: Mapped[datetime | None] = mapped_column(server_default=_NOW)
    ended_at: Mapped[datetime | None]
    is_active: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    user: Mapped[User] = relationship(back_populates="goals")


class WeeklyPlan(Base):
    """A plan for the seven days from start_date to end_date."""

    __tablename__ = "weekly_plans"
    __table_args__ = (
        Index("idx_weekly_plans_user", "user_id"),
        Index("idx_weekly_plans_user_week", "user_id", "week_number"),
        CheckConstraint("week_number >= 1", name="weekly_plans_week_number"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _user()
    week_number: Mapped[int]
    start_date: Mapped[date]
    end_date: Mapped[date]
    plan_data: Mapped[dict[str, Any]]
    model_version: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)

    user: Mapped[User] = relationship(back_populates="plans")


class BodyChat(Base):
    """One turn of a conversation. subject: report or plan; subject_id: its id."""

    __tablename__ = "body_chats"
    __table_args__ = (Index("idx_body_chats_subject", "subject", "subject_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _user()
    subject: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[int]
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
