"""Conversations, documents, runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "checkup_sessions",
        sa.Column("session_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(100), nullable=False, server_default="local"),
        sa.Column("user_key", sa.String(200), nullable=False),
        sa.Column("hospital_id", sa.String(100)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("message_count", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_table(
        "checkup_messages",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "session_id",
            sa.String(64),
            sa.ForeignKey("checkup_sessions.session_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sources", JSONB, nullable=False, server_default="[]"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    op.create_index("checkup_messages_session", "checkup_messages", ["session_id", "id"])
    op.create_table(
        "checkup_documents",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("owner", sa.String(100), nullable=False, server_default="local"),
        sa.Column("hospital_id", sa.String(100)),
        sa.Column("file_name", sa.String(300), nullable=False),
        sa.Column("path", sa.String(1000), nullable=False),
        sa.Column("title", sa.String(300)),
        sa.Column("file_sha256", sa.String(64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False, server_default="waiting"),
        sa.Column("indexed_at", sa.DateTime(timezone=True)),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.UniqueConstraint(
            "owner", "hospital_id", "path", name="checkup_documents_path", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "checkup_runs",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("owner", sa.String(100), nullable=False, server_default="local"),
        sa.Column("root", sa.String(1000), nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("ok", sa.Boolean),
        sa.Column("report", JSONB, nullable=False, server_default="{}"),
    )
    op.create_index("checkup_runs_root", "checkup_runs", ["root", "id"])


def downgrade() -> None:
    """Remove them, in the order in which they lean on each other."""
    for table in ("checkup_messages", "checkup_sessions", "checkup_documents", "checkup_runs"):
        op.drop_table(table)
