"""The tables of Evals: what is indexed, from what, and which runs were stored here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Integer, MetaData, String, Text, func, text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Whoever asks sees guide and documents; runs belong to somebody.
SHARED = "*"
LOCAL = "local"
VECTOR_INDEX = "idx_rag_documents_embedding"
_EMPTY = text("'{}'::jsonb")
_OWNER = text("'local'")


class Base(DeclarativeBase):
    """The models of Evals."""

    # The vector index is made when the dimension is known, of the kind that the settings name.
    metadata = MetaData(info={"unmanaged": {VECTOR_INDEX}})
    type_annotation_map = {dict[str, Any]: JSONB, datetime: DateTime(timezone=True), str: Text}  # noqa: RUF012


class RagDocument(Base):
    """One document of a source. doc_id: its place in the source, from 0. embedding: of the table's one embedder."""

    __tablename__ = "rag_documents"
    __table_args__ = (
        Unique("source", "doc_id", "owner", name="rag_documents_source_doc_id_owner_key"),
        Index("idx_rag_documents_source", "source"),
        Index("idx_rag_documents_doc_id", "doc_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default=_OWNER)
    source: Mapped[str]
    source_hash: Mapped[str]
    doc_id: Mapped[int] = mapped_column(Integer)
    content: Mapped[str]
    embedding: Mapped[Any] = mapped_column(Vector())
    about: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=_EMPTY)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RagSource(Base):
    """What is known of a source: from what it was made, in which state it is, and how it came there.

    fingerprint: of the raw rows it was made of. facts: of a run, its sums and its cases, for questions about numbers.
    place: where it was read from.
    """

    __tablename__ = "rag_sources"
    __table_args__ = (
        CheckConstraint("state IN ('ready', 'indexing', 'failed')", name="rag_sources_state"),
        Index("idx_rag_sources_place", "place"),
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), primary_key=True, server_default=_OWNER)
    source_hash: Mapped[str] = mapped_column(server_default="")
    doc_count: Mapped[int] = mapped_column(Integer, server_default="0")
    embedder: Mapped[dict[str, Any]] = mapped_column(server_default=_EMPTY)
    chunker: Mapped[dict[str, Any]] = mapped_column(server_default=_EMPTY)
    state: Mapped[str] = mapped_column(server_default="ready")
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    indexed_at: Mapped[datetime | None]
    place: Mapped[str] = mapped_column(server_default="")
    fingerprint: Mapped[str] = mapped_column(server_default="")
    facts: Mapped[dict[str, Any]] = mapped_column(server_default=_EMPTY)


class RagPlace(Base):
    """A place that was read to its end. mark: while it stays the same, nothing there changed. recipe: of documents."""

    __tablename__ = "rag_places"

    place: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), primary_key=True, server_default=_OWNER)
    kind: Mapped[str]
    mark: Mapped[str | None]
    recipe: Mapped[str] = mapped_column(server_default="")
    sources: Mapped[int] = mapped_column(Integer, server_default="0")
    embedded: Mapped[int] = mapped_column(BigInteger, server_default="0")
    seconds: Mapped[float] = mapped_column(server_default="0")
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StoredRun(Base):
    """A run that was handed over by a client, as it was given."""

    __tablename__ = "rag_runs"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), primary_key=True, server_default=_OWNER)
    started_at: Mapped[str] = mapped_column(server_default="")
    run: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Removed(Base):
    """A source that was deleted here although the place it came from still has it: it is not indexed again."""

    __tablename__ = "rag_removed"

    source: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), primary_key=True, server_default=_OWNER)
    removed_at: Mapped[datetime] = mapped_column(server_default=func.now())
