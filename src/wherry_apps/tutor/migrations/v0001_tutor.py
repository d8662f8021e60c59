"""The question bank, diagnostic tests, study documents, and what a move writes down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    for make in (_bank, _tests, _sessions, _study, _moves):
        make()


def downgrade() -> None:
    """Drop them, the last made first."""
    for table in (
        "diagnosis_responses",
        "tutor_chunks",
        "question_vectors",
        "diagnosis_sessions",
        "diagnosis_questions",
        "tutor_settings",
        "tutor_documents",
        "tutor_comparisons",
        "tutor_checkpoints",
        "questions",
        "diagnosis_tests",
    ):
        op.drop_table(table)


def _bank() -> None:
    op.create_table(
        "questions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question_number", sa.Integer(), nullable=False),
        sa.Column("question_type", sa.Text(), server_default="multiple_choice", nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("description", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("options", postgresql.JSONB(), nullable=True),
        sa.Column("correct_answer", sa.String(length=10), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("area", sa.Text(), nullable=True),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("difficulty", sa.Integer(), nullable=True),
        sa.Column("difficulty_source", sa.Text(), nullable=True),
        sa.Column("approval_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("question_metadata", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("ai_integration", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("source_info", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "approval_status IN ('pending', 'approved', 'rejected', 'archived')", name="questions_approval"
        ),
        sa.CheckConstraint(
            "question_type IN ('multiple_choice', 'short_answer', 'true_false', 'matching', "
            "'ordering', 'fill_in_blank', 'essay', 'multi_choice_selection', 'other')",
            name="questions_type",
        ),
        sa.CheckConstraint("difficulty BETWEEN 1 AND 5", name="questions_difficulty"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "content_sha256",
            "department",
            "year",
            "question_number",
            name="questions_once",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("questions_department", "questions", ["department", "approval_status", "is_active"], unique=False)
    op.create_index("questions_subject", "questions", ["subject", "difficulty"], unique=False)
    op.create_index("questions_year", "questions", ["year"], unique=False)
    op.create_table(
        "question_vectors",
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("embedder", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("question_id"),
    )


def _tests() -> None:
    op.create_table(
        "diagnosis_tests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("time_limit", sa.Integer(), nullable=True),
        sa.Column("declared_total", sa.Integer(), nullable=False),
        sa.Column("scoring_criteria", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'active', 'archived')", name="diagnosis_tests_status"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("department", "round", name="diagnosis_tests_round"),
    )
    op.create_table(
        "diagnosis_questions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("points", sa.Numeric(), nullable=False),
        sa.CheckConstraint("points > 0", name="diagnosis_questions_points"),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["test_id"], ["diagnosis_tests.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("test_id", "question_id", name="diagnosis_questions_once"),
    )
    op.create_index(op.f("ix_diagnosis_questions_question_id"), "diagnosis_questions", ["question_id"], unique=False)


def _sessions() -> None:
    op.create_table(
        "diagnosis_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=100), server_default="local", nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="not_started", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("raw_score", sa.Numeric(), nullable=True),
        sa.Column("percentage", sa.Float(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("learning_level", sa.Float(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "status IN ('not_started', 'in_progress', 'completed', 'expired')", name="diagnosis_sessions_status"
        ),
        sa.ForeignKeyConstraint(["test_id"], ["diagnosis_tests.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("test_id", "user_id", "attempt", name="diagnosis_sessions_attempt"),
    )
    op.create_index("diagnosis_sessions_user", "diagnosis_sessions", ["user_id"], unique=False)
    op.create_table(
        "diagnosis_responses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("is_correct", sa.Boolean(), nullable=False),
        sa.Column("points_earned", sa.Numeric(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["session_id"], ["diagnosis_sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("session_id", "question_id", name="diagnosis_responses_once"),
    )
    op.create_index(op.f("ix_diagnosis_responses_question_id"), "diagnosis_responses", ["question_id"], unique=False)


def _study() -> None:
    op.create_table(
        "tutor_documents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("title"),
    )
    op.create_table(
        "tutor_chunks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("chunk_index", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["tutor_documents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("document_id", "chunk_index", name="tutor_chunks_once"),
    )


def _moves() -> None:
    op.create_table(
        "tutor_checkpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("archive", sa.Text(), nullable=True),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "tutor_comparisons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tutor_settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
