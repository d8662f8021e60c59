"""Taking turns at a route: writers beside each other, and alone whoever leads it elsewhere.

A write by a route goes to the side that is live when it begins. Were the route led elsewhere in the middle, the write
would land on a side that nobody reads any more. So a writer holds the route together with other writers, and a switch
or a rollback, in its last moment, holds it alone. Whoever dies lets go: the hold is one of a database connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from wherry.errors import Busy
from wherry.postgres.database import Database
from wherry.postgres.failures import translated

# Any number that no other program takes, with the hash of the route's name beside it.
_HOLD = 0x77686573
# A write that takes longer hangs; readers and writers go on then, and the switch is told.
WAIT_S = 30.0


@contextmanager
def writing(database: Database, name: str) -> Iterator[None]:
    """Hold a route together with other writers, over the connection of `database`."""
    database.ask("SELECT pg_advisory_lock_shared($1, hashtext($2))", [_HOLD, name])
    try:
        yield
    finally:
        database.ask("SELECT pg_advisory_unlock_shared($1, hashtext($2))", [_HOLD, name])


@contextmanager
def leading(database: Database, name: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold a route alone, over a connection of its own; writers that come wait. Raises Busy after `wait_s` seconds."""
    server = database.server
    with server.connect() as connection:
        with translated(server.shown, server.secrets):
            connection.execute("SELECT set_config('lock_timeout', $1, false)", [f"{round(wait_s * 1000)}ms"])
            try:
                connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", [_HOLD, name])
            except psycopg.errors.LockNotAvailable:
                raise _hangs(name, wait_s) from None
        yield


def _hangs(name: str, wait_s: float) -> Busy:
    return Busy(
        f"a write by {name} has not ended for {wait_s:.0f} s, or somebody else leads it elsewhere",
        where=name,
        left="readers go on as before",
        next=f"wherry route show {name}, then try again",
    )
