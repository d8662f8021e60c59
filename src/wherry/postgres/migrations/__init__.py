"""Wherry's own tables: schema `wherry`, versioned by Alembic.

`upgrade` is cheap to call only when it is needed: Alembic takes a while to import. Callers compare the
version they read beside their own data with `HEAD` and call it when the two differ.
"""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg

from wherry.errors import Refused
from wherry.postgres import server as embedded
from wherry.postgres.failures import translated
from wherry.postgres.link import Server

SCHEMA = "wherry"
HEAD = "0003"
# Any number that no other program takes; every process that upgrades waits for the same one.
_LOCK = 0x77686572_72790001
# Alembic keeps what it works on in globals of its modules: one upgrade at a time in a process.
ALONE = threading.RLock()
_NO_EXTENSION = "the database has no pgvector, and this user may not install it"


def upgrade(server: Server) -> None:
    """Bring the tables of a server's database to the version of this program; safe to repeat and to race.

    Raises Refused when the user may not make them, Unreachable and the like when the server fails.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    conninfo = embedded.start() if server.conninfo is None else server.conninfo
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with ALONE, translated(server.shown, server.secrets), psycopg.connect(conninfo, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        _extend(holder, server.shown)
        try:
            with engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DBAPIError as error:
            # The driver's own error says what happened; it is translated like every other one.
            raise error.orig if isinstance(error.orig, psycopg.Error) else error from None


def _extend(connection: psycopg.Connection, where: str) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
        raise Refused(
            _NO_EXTENSION, where=where, left="nothing was made", next="ask its administrator: CREATE EXTENSION vector"
        ) from None
