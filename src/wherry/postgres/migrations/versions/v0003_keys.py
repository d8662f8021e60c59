"""Who may read by the service: keys of tenants, and the routes granted to each."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = (
    # id: the public part of a key. digest: of salt and secret; the secret itself is nowhere.
    """
    CREATE TABLE wherry.api_keys (
        id text COLLATE "C" PRIMARY KEY,
        tenant text COLLATE "C" NOT NULL,
        salt bytea NOT NULL,
        digest bytea NOT NULL,
        read_only boolean NOT NULL DEFAULT false,
        operator boolean NOT NULL DEFAULT false,
        made_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        removed_at timestamptz
    )
    """,
    # A grant ends with its route: a later route of the same name is another one.
    """
    CREATE TABLE wherry.grants (
        tenant text COLLATE "C" NOT NULL,
        route text COLLATE "C" NOT NULL REFERENCES wherry.routes (name) ON DELETE CASCADE,
        made_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant, route)
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables; every key is lost."""
    op.execute("DROP TABLE wherry.grants")
    op.execute("DROP TABLE wherry.api_keys")
