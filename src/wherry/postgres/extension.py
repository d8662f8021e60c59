"""pgvector in a database: installed where it is missing."""

from __future__ import annotations

import psycopg

from wherry.errors import Refused, Unsupported


def extend(connection: psycopg.Connection, where: str) -> None:
    """Install pgvector in the database. Raises Unsupported or Refused when that cannot be."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.errors.InsufficientPrivilege:
        raise Refused(
            "the database has no pgvector, and this user may not install it",
            where=where,
            left="nothing was made",
            next="ask its administrator to run: CREATE EXTENSION vector",
        ) from None
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
        raise Unsupported(
            "the server has no pgvector",
            where=where,
            left="nothing was made",
            next="install pgvector 0.8.4 or later on the server",
        ) from None
