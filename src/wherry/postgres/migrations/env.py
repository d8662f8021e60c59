"""How Alembic reaches the database: over the connection that `upgrade` hands it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from wherry.postgres.migrations import SCHEMA

connection = context.config.attributes["connection"]
connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
context.configure(connection=connection, version_table_schema=SCHEMA, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
