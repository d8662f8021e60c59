"""What PostgreSQL says when something fails, in the errors of Wherry.

Only the primary message and the place in the batch are taken over: details and contexts of the server
quote the values of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from wherry.address import redact
from wherry.errors import (
    AuthFailed,
    DiskFull,
    NoSuchCollection,
    Rejected,
    StoreError,
    TimedOut,
    Unreachable,
    WherryError,
)

# SQLSTATE, or its first two characters -> (class, what to do next).
_CLASSES: dict[str, tuple[type[StoreError], str]] = {
    "08": (Unreachable, "check that the server runs, then run the same command again"),
    "57P": (Unreachable, "the server is stopping or starting: run the same command again"),
    "53300": (Unreachable, "the server has no free connection: close some, then run the same command again"),
    "40": (Unreachable, "run the same command again"),
    "53100": (DiskFull, "make room on the server's disk, then run the same command again"),
    "57014": (TimedOut, "the server cancelled the statement: raise its statement_timeout"),
    "55P03": (TimedOut, "another session holds the table: wait for it, then run the same command again"),
    "28": (AuthFailed, "check the user name and the password of the address"),
    "42501": (AuthFailed, "grant the right to this user, or use another one"),
    "3D000": (NoSuchCollection, "check the name of the database"),
    "42P01": (NoSuchCollection, "the table vanished meanwhile: check its name"),
    "25006": (Rejected, "the server can only be read; use its primary as the target"),
}
_LINE = re.compile(r"\bline (\d+)")
_LONGEST = 300


@contextmanager
def translated(where: str, secrets: Sequence[str] = (), ids: Sequence[str] = ()) -> Iterator[None]:
    """Raise what psycopg raises inside as an error of Wherry.

    where: what the error names as its place. secrets: hidden in messages. ids: of the batch being
    copied, so that a refused row is named.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, where, secrets, ids) from error


def translate(error: psycopg.Error, where: str, secrets: Sequence[str] = (), ids: Sequence[str] = ()) -> WherryError:
    """Return the error of Wherry that tells what a psycopg error means."""
    kind, advice = _meaning(error)
    what = redact(_words(error), *secrets) + _row(error, ids)
    return kind(what, where=where, left=_left(kind), next=advice)


def _meaning(error: psycopg.Error) -> tuple[type[StoreError], str]:
    state = error.sqlstate or ""
    for length in (5, 3, 2):
        if state[:length] in _CLASSES:
            return _CLASSES[state[:length]]
    # Without a state the connection itself failed, or the password did before there was one.
    if not state and isinstance(error, psycopg.OperationalError):
        return _CLASSES["28" if "authentication failed" in str(error) else "08"]
    return Rejected, ""


def _words(error: psycopg.Error) -> str:
    words = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    return f"PostgreSQL: {words if len(words) <= _LONGEST else words[:_LONGEST] + '...'}"


def _row(error: psycopg.Error, ids: Sequence[str]) -> str:
    line = _LINE.search(error.diag.context or "")
    number = int(line.group(1)) if line else 0
    return f" (record {ids[number - 1]!r})" if 0 < number <= len(ids) else ""


def _left(kind: type[StoreError]) -> str:
    if kind is TimedOut:
        return "the statement was rolled back"
    return "nothing of the batch was written" if kind in (Rejected, DiskFull) else ""
