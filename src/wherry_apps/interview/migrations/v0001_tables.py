"""Every table."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision, down_revision = "0001", None
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute((Path(__file__).parent / "v0001_tables.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: older programs have no place for what is here."""
    raise NotImplementedError("there is no way back: restore a backup instead")
