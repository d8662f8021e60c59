"""What routes remember: where a name leads, who led it there and why, what readers saw, what is still to be written."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = (
    # target, previous: addresses as they were given. since: the marks of both sides when it was last switched.
    # toggle: {variable, on, off}: an environment variable of the reader that decides instead of target.
    """
    CREATE TABLE wherry.routes (
        name text COLLATE "C" PRIMARY KEY,
        target text NOT NULL,
        previous text,
        version bigint NOT NULL DEFAULT 1,
        since jsonb NOT NULL DEFAULT '{}',
        toggle jsonb,
        shadow text,
        shadow_share real NOT NULL DEFAULT 0,
        dual text,
        changed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # No reference to routes: history outlives the route.
    """
    CREATE TABLE wherry.route_events (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        route text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        who text NOT NULL,
        act text NOT NULL,
        came_from text,
        leads_to text,
        why text NOT NULL DEFAULT '',
        details jsonb NOT NULL DEFAULT '{}'
    )
    """,
    "CREATE INDEX route_events_by_route ON wherry.route_events (route, id)",
    # side: `live` or `shadow`. seconds: from the question to the answer. overlap: share of the live answer that the
    # shadow gave too.
    """
    CREATE TABLE wherry.route_reads (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        route text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        side text NOT NULL,
        target text NOT NULL,
        seconds real NOT NULL,
        error text,
        overlap real
    )
    """,
    "CREATE INDEX route_reads_by_route ON wherry.route_reads (route, at)",
    # ids: a JSON list. due: whether the live side has done its part; until then the writer is at work, or died.
    """
    CREATE TABLE wherry.route_outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        route text COLLATE "C" NOT NULL,
        target text NOT NULL,
        ids jsonb NOT NULL,
        due boolean NOT NULL DEFAULT false,
        at timestamptz NOT NULL DEFAULT now(),
        attempts int NOT NULL DEFAULT 0,
        error text
    )
    """,
    "CREATE INDEX route_outbox_by_route ON wherry.route_outbox (route, target, id)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables; where readers went and what was still to be written is lost."""
    for name in ("route_outbox", "route_reads", "route_events", "routes"):
        op.execute(f"DROP TABLE wherry.{name}")
