"""The one history of Interview's tables, as Alembic revisions."""
