"""The tables of version 1: made where there are none, brought up in place where an earlier program made them."""

from __future__ import annotations

from alembic import op

from wherry_apps.body.legacy import bring_up

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, or bring those of an earlier program up; nothing is changed where they are right."""
    bring_up(op.get_bind())
