"""How Alembic reaches an app's database; each app's revisions are in a folder of its own."""
