"""Which kind of place a name means, and which one the settings name."""

from __future__ import annotations

import re
from pathlib import Path

from wherry import BadRecord, NoSuchCollection, Usage
from wherry_apps.evals.reading.base import RunSource
from wherry_apps.evals.reading.json_runs import JsonRuns
from wherry_apps.evals.reading.rows import PostgresRuns, SqliteRuns
from wherry_apps.evals.settings import Settings

_SERVERS = ("postgresql://", "postgres://", "postgresql+psycopg://")
# As libpq takes it: host=... dbname=...
_PARTS = re.compile(r"(?:^|\s)(?:host|dbname|service)\s*=")
_MAGIC = b"SQLite format 3\x00"
_LOOKED_AT = 4096


def open_runs(place: str) -> RunSource:
    """Open a place of runs: a path of SQLite or JSON, or the URL of a PostgreSQL database.

    Raises NoSuchCollection for a file that is not there, BadRecord for one that holds no runs.
    """
    if place.startswith(_SERVERS) or _PARTS.search(place):
        return PostgresRuns(place)
    path = Path(place).expanduser()
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchCollection(
            "there is no such file", where=str(path), left="nothing was made", next="check --source-db"
        ) from None
    except OSError as error:
        raise NoSuchCollection(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    if head.startswith(_MAGIC):
        return SqliteRuns(path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return JsonRuns(path)
    raise BadRecord(
        "this is neither a SQLite database nor JSON",
        where=str(path),
        left="nothing was indexed from it",
        next="name the database file, a JSON export, or postgresql://...",
    )


def configured(settings: Settings) -> str:
    """Return the place of runs that the settings name. Raises Usage where they name a backend nobody knows."""
    if settings.db_backend == "sqlite":
        return settings.db_path
    if settings.db_backend in ("postgres", "postgresql"):
        return settings.postgres_url()
    raise Usage(f"DB_BACKEND is {settings.db_backend!r}", where="DB_BACKEND", next="set it to sqlite or postgres")
