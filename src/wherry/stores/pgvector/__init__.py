"""PostgreSQL with pgvector: the embedded server, or any other.

    pgvector:#docs                                 a table of the embedded server
    postgresql://user:pw@host/db#docs?sslmode=require
    pgvector:#pages?id=page_id&vector=embedding_1024&text=body&metadata=attributes&schema=app

Options that name no column, schema or metric are the driver's.
"""

from __future__ import annotations

import os

from wherry.address import Address
from wherry.errors import MissingExtra, NoSuchCollection, WherryError
from wherry.postgres import server
from wherry.postgres.link import VARIABLE, Server, server_of
from wherry.stores.base import Probe
from wherry.stores.pgvector.source import OPTIONS, PgSource
from wherry.stores.pgvector.target import PgTarget

__all__ = ["PgSource", "PgTarget", "open_source", "open_target", "probe"]


def open_source(address: Address) -> PgSource:
    """Open a table for reading. Raises NoSuchCollection, also where no embedded server was made yet."""
    found = server_of(address, OPTIONS)
    if found.embedded and not server.was_made():
        raise NoSuchCollection(
            f"there is no table {address.collection!r}: the embedded PostgreSQL was not made yet",
            where=str(address),
            next="check WHERRY_HOME, or sync something into it first",
        )
    return PgSource(address, found)


def open_target(address: Address) -> PgTarget:
    """Open a table for writing; it is made by `prepare`."""
    return PgTarget(address, server_of(address, OPTIONS))


def probe() -> Probe:
    """Tell the versions of PostgreSQL and pgvector; no server is started for that."""
    try:
        if os.environ.get(VARIABLE):
            return Probe("pgvector", True, _asked(server_of(Address("pgvector", ""), OPTIONS), VARIABLE))
        if server.was_made() and server.is_running():
            return Probe("pgvector", True, _asked(Server(None, "pgvector:"), "embedded, running"))
        postgres, vector = server.package_versions()
    except MissingExtra as error:
        return Probe("pgvector", False, error.next)
    except WherryError as error:
        return Probe("pgvector", False, error.what)
    state = "stopped" if server.was_made() else "not started yet"
    return Probe("pgvector", True, f"PostgreSQL {postgres}, pgvector {vector} (embedded, {state})")


def _asked(found: Server, place: str) -> str:
    with found.connect() as connection:
        version = connection.execute("SHOW server_version").fetchone()
        vector = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    shown = f"pgvector {vector[0]}" if vector else "no pgvector yet"
    return f"PostgreSQL {version[0] if version else '?'}, {shown} ({place})"
