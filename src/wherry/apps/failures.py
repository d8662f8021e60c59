"""What SQLAlchemy and the driver raise, in the errors of Wherry; values of rows and passwords never show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from wherry.apps.pool import VARIABLES
from wherry.errors import Conflict, StoreError, TimedOut, WherryError
from wherry.postgres.failures import translate
from wherry.postgres.link import Server

_CONFLICTS = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.ExclusionViolation,
)


@contextmanager
def translated(server: Server) -> Iterator[None]:
    """Raise what is raised inside as an error of Wherry. Raises Conflict, TimedOut, Unreachable, Rejected, ..."""
    try:
        yield
    except exc.TimeoutError:
        raise TimedOut(
            "every connection of the pool is in use",
            where=server.shown,
            left="nothing was written",
            next=f"raise {VARIABLES}, or ask less at once",
        ) from None
    except exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise StoreError(f"the driver failed: {type(error.orig).__name__}", where=server.shown) from error
        raise _meaning(error.orig, server) from error
    except psycopg.Error as error:
        raise _meaning(error, server) from error


def _meaning(error: psycopg.Error, server: Server) -> WherryError:
    if isinstance(error, _CONFLICTS):
        table, constraint = error.diag.table_name or "a table", error.diag.constraint_name or "a constraint"
        return Conflict(
            f"another row of {table} stands against it ({constraint})",
            where=server.shown,
            left="nothing was written",
            next="give another value, or change the row that is there",
        )
    return translate(error, server.shown, server.secrets)
