"""One run at a time: a row that says who is at work, renewed while the work goes on.

A row and not a lock of a session, because poolers hand sessions around. A run that was killed leaves its row
behind: on this machine the next one sees that the process is gone and takes over at once, elsewhere it waits
until the row runs out. The fence is a number that grows with every holder; each transaction of a run checks
it, so a run that lost its lease while it slept can write nothing any more.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from wherry.errors import Busy, WherryError
from wherry.postgres.database import Database

LEASE_S = 60.0
_BEATS = 4

# Free: let go of, run out, or held by the process that the caller found dead ($9 is its fence).
_TAKE = """
INSERT INTO wherry.leases AS l ("index", fence, run, act, host, place, process, started, since, until)
VALUES ($1, 1, $2, $3, $4, $5, $6, $7, now(), now() + make_interval(secs => $8))
ON CONFLICT ("index") DO UPDATE SET fence = l.fence + 1, run = EXCLUDED.run, act = EXCLUDED.act,
  host = EXCLUDED.host, place = EXCLUDED.place, process = EXCLUDED.process, started = EXCLUDED.started,
  since = EXCLUDED.since, until = EXCLUDED.until
WHERE l.run IS NULL OR l.until < now() OR l.fence = $9
RETURNING fence
"""
_HOLDER = """
SELECT fence, act, host, place, process, started, since::timestamp(0)::text FROM wherry.leases WHERE "index" = $1
"""
_RENEW = """
UPDATE wherry.leases SET until = now() + make_interval(secs => $3) WHERE "index" = $1 AND fence = $2
"""
_LET_GO = 'UPDATE wherry.leases SET run = NULL, until = now() WHERE "index" = $1 AND fence = $2'
_CHECK = 'SELECT 1 FROM wherry.leases WHERE "index" = $1 AND fence = $2 FOR SHARE'


@dataclass(frozen=True)
class Lease:
    """The right to write an index. fence: the number of this holder."""

    index: int
    fence: int
    shown: str

    def require(self, connection: psycopg.Connection) -> None:
        """Raise Busy, within the transaction that is about to write, when another run has taken over."""
        if connection.execute(_CHECK, [self.index, self.fence]).fetchone() is None:
            raise Busy(
                "another run has taken over this index",
                where=self.shown,
                left="this run stopped; what it had finished stays",
                next="wait for the other run to end, then run the same command again",
            )


@contextmanager
def held(database: Database, index: int, run: str, act: str, shown: str, lease_s: float = LEASE_S) -> Iterator[Lease]:
    """Hold an index for the length of the block, or raise Busy and name who has it."""
    lease = _take(database, index, run, act, shown, lease_s)
    stop = threading.Event()
    beat = threading.Thread(target=_renewing, args=(database.again(), lease, lease_s, stop), daemon=True)
    beat.start()
    try:
        yield lease
    except BaseException:
        _end(stop, beat)
        # What went wrong is told; a lease that cannot be let go of runs out by itself.
        with suppress(WherryError):
            database.tell(_LET_GO, [index, lease.fence])
        raise
    _end(stop, beat)
    database.tell(_LET_GO, [index, lease.fence])


def _end(stop: threading.Event, beat: threading.Thread) -> None:
    stop.set()
    beat.join()


def holder(database: Database, index: int) -> dict[str, object] | None:
    """Return who is at work on an index; None when nobody is."""
    rows = database.ask(
        "SELECT act, host, process, since::timestamp(0)::text FROM wherry.leases"
        ' WHERE "index" = $1 AND run IS NOT NULL AND until > now()',
        [index],
    )
    return dict(zip(("act", "host", "process", "since"), rows[0], strict=True)) if rows else None


def _take(database: Database, index: int, run: str, act: str, shown: str, lease_s: float) -> Lease:
    mine = [index, run, act, socket.gethostname(), _place(), os.getpid(), _started(os.getpid()), lease_s]
    fence = database.ask(_TAKE, [*mine, None])
    if not fence:
        found = database.ask(_HOLDER, [index])
        dead = found[0][0] if found and _is_dead(*found[0][3:6]) else None
        fence = database.ask(_TAKE, [*mine, dead]) if dead is not None else []
        if not fence:
            raise _busy(found, shown)
    return Lease(index, int(fence[0][0]), shown)


def _busy(found: list[tuple[object, ...]], shown: str) -> Busy:
    who = ""
    if found:
        _, act, host, _, process, _, since = found[0]
        who = f": {act} by process {process} on {host}, since {since}"
    return Busy(
        f"another run is at work on this index{who}",
        where=shown,
        left="nothing was touched",
        next="wait for it to end, then run the same command again",
    )


def _renewing(database: Database, lease: Lease, lease_s: float, stop: threading.Event) -> None:
    try:
        while not stop.wait(lease_s / _BEATS):
            try:
                if not database.tell(_RENEW, [lease.index, lease.fence, lease_s]):
                    return
            except WherryError as error:
                # The lease lasts for several beats; the run itself meets a server that is gone for good.
                if not error.retryable:
                    return
    finally:
        database.close()


def _place() -> str:
    """Return what two processes share exactly when one can see whether the other lives."""
    parts = [socket.gethostname()]
    for path, read in (
        ("/proc/sys/kernel/random/boot_id", lambda p: Path(p).read_text().strip()),
        ("/proc/self/ns/pid", lambda p: str(Path(p).readlink())),
    ):
        if Path(path).exists():
            parts.append(read(path))
    return "/".join(parts)


def _started(process: int) -> str | None:
    """Return when a process began, in the kernel's ticks, so that a number used again is not mistaken."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def _is_dead(place: str, process: int, started: str | None) -> bool:
    if place != _place():
        return False
    if Path("/proc/self/stat").exists():
        return _started(process) != started
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
