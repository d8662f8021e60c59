"""The notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner", sa.String(100), nullable=False, server_default="local"),
        sa.Column("title", sa.String(200), nullable=False, unique=True),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("embedding", Vector(64)),
    )
    op.create_index(
        "idx_notes_embedding",
        "notes",
        ["embedding"],
        postgresql_using="hnsw",
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_ops={"embedding": "vector_cosine_ops"},
    )


def downgrade() -> None:
    op.drop_table("notes")
