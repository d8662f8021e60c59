"""What indexing remembers: indexes and their generations, documents, vectors that were paid for, leases."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    # target: equal for two addresses exactly when they mean one collection. live: the generation readers use.
    """
    CREATE TABLE wherry.indexes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        target text COLLATE "C" NOT NULL UNIQUE,
        shown text NOT NULL,
        live int,
        made_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # place: where the rows are ({schema, table, layout, columns} or {address}). relation: the oid of the table.
    """
    CREATE TABLE wherry.generations (
        "index" bigint NOT NULL REFERENCES wherry.indexes ON DELETE CASCADE,
        number int NOT NULL,
        state text NOT NULL CHECK (state IN ('building', 'live', 'retired', 'dropped')),
        embedder text NOT NULL,
        space jsonb NOT NULL,
        place jsonb NOT NULL,
        relation oid,
        made_at timestamptz NOT NULL DEFAULT now(),
        switched_at timestamptz,
        PRIMARY KEY ("index", number)
    )
    """,
    # clean: what the last run that succeeded found; null while a run is at work and after one that did not end.
    # unread: documents the system would not let be read then, which no stamp tells about.
    """
    CREATE TABLE wherry.sources (
        "index" bigint NOT NULL,
        generation int NOT NULL,
        name text COLLATE "C" NOT NULL,
        chunker text NOT NULL,
        origin text,
        recipe_fp bytea NOT NULL,
        clean bytea,
        scan_fp bytea,
        unsure_fp bytea,
        unread text[] NOT NULL DEFAULT '{{}}',
        read_from_ns bigint NOT NULL DEFAULT 0,
        documents bigint NOT NULL DEFAULT 0,
        chunks bigint NOT NULL DEFAULT 0,
        failed bigint NOT NULL DEFAULT 0,
        finished_at timestamptz,
        PRIMARY KEY ("index", generation, name),
        FOREIGN KEY ("index", generation) REFERENCES wherry.generations ON DELETE CASCADE
    )
    """,
    # size, mtime_ns, inode: null where only reading tells whether it changed. chunk_fps, meta_fps: 32 bytes each.
    """
    CREATE TABLE wherry.documents (
        "index" bigint NOT NULL,
        generation int NOT NULL,
        source text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        size bigint,
        mtime_ns bigint,
        inode bigint,
        source_fp bytea,
        recipe_fp bytea NOT NULL,
        doc_fp bytea NOT NULL,
        chunk_fps bytea NOT NULL,
        meta_fps bytea NOT NULL,
        chunks int NOT NULL,
        indexed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY ("index", generation, source, id),
        FOREIGN KEY ("index", generation) REFERENCES wherry.generations ON DELETE CASCADE
    )
    """,
    # Vectors of any dimension, so the type has no modifier. Nothing is ever changed here, only added.
    """
    CREATE TABLE wherry.vectors (
        embed_fp bytea PRIMARY KEY,
        vector {vector} NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now()
    ) WITH (toast_tuple_target = 4080)
    """,
    """
    CREATE TABLE wherry.leases (
        "index" bigint PRIMARY KEY REFERENCES wherry.indexes ON DELETE CASCADE,
        fence bigint NOT NULL,
        run text,
        act text,
        host text,
        place text,
        process bigint,
        started text,
        since timestamptz,
        until timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE wherry.dead_letters (
        "index" bigint NOT NULL,
        generation int NOT NULL,
        source text COLLATE "C" NOT NULL,
        document text COLLATE "C" NOT NULL,
        source_fp bytea,
        recipe_fp bytea NOT NULL,
        chunk_fp bytea,
        error text NOT NULL,
        message text NOT NULL,
        attempts int NOT NULL DEFAULT 1,
        first_at timestamptz NOT NULL DEFAULT now(),
        last_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY ("index", generation, source, document),
        FOREIGN KEY ("index", generation) REFERENCES wherry.generations ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE wherry.runs (
        id text PRIMARY KEY,
        "index" bigint NOT NULL REFERENCES wherry.indexes ON DELETE CASCADE,
        generation int NOT NULL,
        act text NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
        started_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        statistics jsonb NOT NULL DEFAULT '{{}}',
        error text
    )
    """,
    'CREATE INDEX runs_of_index ON wherry.runs ("index", started_at)',
    # For stores that cannot join a transaction: what was about to be written when a run ended early.
    """
    CREATE TABLE wherry.intents (
        "index" bigint NOT NULL,
        generation int NOT NULL,
        source text COLLATE "C" NOT NULL,
        document text COLLATE "C" NOT NULL,
        put text[] NOT NULL,
        drop text[] NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'ready')),
        noted_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY ("index", generation, source, document),
        FOREIGN KEY ("index", generation) REFERENCES wherry.generations ON DELETE CASCADE
    )
    """,
)
_VECTOR = """
SELECT quote_ident(n.nspname) || '.vector' FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""


def upgrade() -> None:
    """Make the tables."""
    vector = op.get_bind().exec_driver_sql(_VECTOR).scalar_one()
    for statement in _TABLES:
        op.get_bind().exec_driver_sql(statement.format(vector=vector))


def downgrade() -> None:
    """Remove them, and with them all that was paid for."""
    for table in (
        "intents", "runs", "dead_letters", "leases", "vectors", "documents", "sources", "generations", "indexes",
    ):  # fmt: skip
        op.get_bind().exec_driver_sql(f"DROP TABLE wherry.{table}")
