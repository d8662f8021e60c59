"""The tables: conversations, documents, and the runs of the phases."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, String, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import wherry

LOCAL = "local"


class Base(DeclarativeBase):
    """The models of this app."""


class CheckupSession(Base):
    """A conversation of one person. owner: the tenant whose key began it. user_key: who, in the tenant's words."""

    __tablename__ = "checkup_sessions"
    session_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default=LOCAL)
    user_key: Mapped[str] = mapped_column(String(200))
    hospital_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    message_count: Mapped[int] = mapped_column(server_default="0")


class CheckupMessage(Base):
    """One turn. role: `user` or `assistant`. sources: what an answer rested on."""

    __tablename__ = "checkup_messages"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("checkup_sessions.session_id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str] = mapped_column(Text)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    __table_args__ = (Index("checkup_messages_session", "session_id", "id"),)


class CheckupDocument(Base):
    """A file of the common library (hospital_id null) or of a hospital. status: `indexed`, `failed` or `waiting`."""

    __tablename__ = "checkup_documents"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default=LOCAL)
    hospital_id: Mapped[str | None] = mapped_column(String(100))
    file_name: Mapped[str] = mapped_column(String(300))
    path: Mapped[str] = mapped_column(String(1000))
    title: Mapped[str | None] = mapped_column(String(300))
    file_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(20), server_default="waiting")
    indexed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    uploaded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    __table_args__ = (
        UniqueConstraint(
            "owner", "hospital_id", "path", name="checkup_documents_path", postgresql_nulls_not_distinct=True
        ),
    )


class CheckupRun(Base):
    """One phase that ran. root: the folder of the service it was about."""

    __tablename__ = "checkup_runs"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default=LOCAL)
    root: Mapped[str] = mapped_column(String(1000))
    phase: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ok: Mapped[bool | None] = mapped_column()
    report: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    __table_args__ = (Index("checkup_runs_root", "root", "id"),)


def database(url: str | None = None) -> wherry.AppDatabase:
    """Return the database of this app, its tables made."""
    found = wherry.AppDatabase(
        app="checkup", metadata=Base.metadata, migrations=Path(__file__).parent / "migrations", url=url
    )
    found.upgrade()
    return found
