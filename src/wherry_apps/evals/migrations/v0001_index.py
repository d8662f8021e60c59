"""The index, what is known of its sources, stored runs; a table of documents that is there already is brought along.

The product made such a table without metadata and without anything about its sources. Its rows stay; each of its
sources is noted with an unknown embedder, by which it counts as stale until it is indexed again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_EMPTY = sa.text("'{}'::jsonb")
_NOW = sa.text("now()")
_DOCUMENTS = "rag_documents"
_UNIQUE = "rag_documents_source_doc_id_owner_key"


def upgrade() -> None:
    """Make the tables, or bring an older one along."""
    there = sa.inspect(op.get_bind()).has_table(_DOCUMENTS)
    if there:
        _bring_along()
    else:
        _make_documents()
    op.create_unique_constraint(_UNIQUE, _DOCUMENTS, ["source", "doc_id", "owner"])
    for column in ("source", "doc_id"):
        op.create_index(f"idx_rag_documents_{column}", _DOCUMENTS, [column], if_not_exists=True)
    _make_sources()
    _make_others()
    if there:
        op.execute(
            "INSERT INTO rag_sources (source, owner, source_hash, doc_count, state, place)"
            " SELECT source, owner, min(source_hash), count(*), 'ready', '' FROM rag_documents GROUP BY 1, 2"
        )


def _make_documents() -> None:
    op.create_table(
        _DOCUMENTS,
        sa.Column("id", sa.BigInteger(), nullable=False),
        _owner(),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_hash", sa.Text(), nullable=False),
        sa.Column("doc_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("embedding", Vector(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _bring_along() -> None:
    """Give an older table the columns it lacks, and one place per document."""
    found = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(_DOCUMENTS)}
    op.execute("ALTER TABLE rag_documents ALTER COLUMN id TYPE bigint, ALTER COLUMN doc_id TYPE int")
    if "owner" not in found:
        op.add_column(_DOCUMENTS, _owner())
    if "metadata" not in found:
        op.add_column(_DOCUMENTS, sa.Column("metadata", postgresql.JSONB(), server_default=_EMPTY, nullable=False))
    else:
        op.execute("UPDATE rag_documents SET metadata = '{}' WHERE metadata IS NULL")
        op.execute(
            "ALTER TABLE rag_documents ALTER COLUMN metadata TYPE jsonb USING metadata::jsonb,"
            " ALTER COLUMN metadata SET DEFAULT '{}'::jsonb, ALTER COLUMN metadata SET NOT NULL"
        )
    if "created_at" not in found:
        op.add_column(
            _DOCUMENTS, sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False)
        )
    else:
        op.execute("UPDATE rag_documents SET created_at = now() WHERE created_at IS NULL")
        op.execute(
            "ALTER TABLE rag_documents ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN created_at SET NOT NULL"
        )
    _drop_unique()
    # Two rows at one place: both stay, numbered anew in the order they had.
    op.execute(
        "UPDATE rag_documents d SET doc_id = n.place FROM ("
        " SELECT id, source, row_number() OVER (PARTITION BY source ORDER BY doc_id, id) - 1 AS place"
        " FROM rag_documents) n WHERE n.id = d.id AND d.source IN"
        " (SELECT source FROM rag_documents GROUP BY source, doc_id HAVING count(*) > 1)"
    )


def _drop_unique() -> None:
    for constraint in sa.inspect(op.get_bind()).get_unique_constraints(_DOCUMENTS):
        if set(constraint["column_names"]) == {"source", "doc_id"}:
            op.drop_constraint(str(constraint["name"]), _DOCUMENTS, type_="unique")
    for index in sa.inspect(op.get_bind()).get_indexes(_DOCUMENTS):
        if index["unique"] and set(index["column_names"]) == {"source", "doc_id"}:
            op.drop_index(str(index["name"]), table_name=_DOCUMENTS)


def _make_sources() -> None:
    op.create_table(
        "rag_sources",
        sa.Column("source", sa.Text(), nullable=False),
        _owner(),
        sa.Column("source_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("doc_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("embedder", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.Column("chunker", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.Column("fingerprint", sa.Text(), server_default="", nullable=False),
        sa.Column("facts", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.CheckConstraint("state IN ('ready', 'indexing', 'failed')", name="rag_sources_state"),
        sa.PrimaryKeyConstraint("source", "owner"),
    )
    op.create_index("idx_rag_sources_place", "rag_sources", ["place"])


def _make_others() -> None:
    op.create_table(
        "rag_places",
        sa.Column("place", sa.Text(), nullable=False),
        _owner(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("recipe", sa.Text(), server_default="", nullable=False),
        sa.Column("sources", sa.Integer(), server_default="0", nullable=False),
        sa.Column("embedded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("place", "owner"),
    )
    op.create_table(
        "rag_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        _owner(),
        sa.Column("started_at", sa.Text(), server_default="", nullable=False),
        sa.Column("run", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "owner"),
    )
    op.create_table(
        "rag_removed",
        sa.Column("source", sa.Text(), nullable=False),
        _owner(),
        sa.Column("removed_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("source", "owner"),
    )


def _owner() -> sa.Column[str]:
    return sa.Column("owner", sa.String(length=100), server_default=sa.text("'local'"), nullable=False)
