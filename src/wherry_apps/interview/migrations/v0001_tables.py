"""Every table; what an older program left is carried over in the same transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from wherry_apps.interview.carrying.act import carry, move_aside

revision, down_revision = "0001", None
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the tables, and fill them with the rows of older ones."""
    connection = op.get_bind()
    aside = move_aside(connection)
    op.execute((Path(__file__).parent / "v0001_tables.sql").read_text(encoding="utf-8"))
    carry(connection, aside)


def downgrade() -> None:
    """Refuse: older programs have no place for what is here."""
    raise NotImplementedError("there is no way back: restore a backup instead")
