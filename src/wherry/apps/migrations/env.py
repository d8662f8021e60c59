"""Run the revisions of an app over the connection that `AppDatabase.upgrade` hands over."""

from __future__ import annotations

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given["metadata"],
    version_table=given["version_table"],
    version_table_schema=given["schema"],
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
