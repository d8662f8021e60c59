"""Writing by a route: to the live side, and behind it to the side that is to follow.

    step                              a crash right after it leaves
    1 the ids, in the outbox          ids whose records are alike: a replay, a minute later, finds nothing to do
    2 the write, on the live side     the other side behind, and the outbox knows by which ids
    3 the ids are due                 the same, for the next replay
    4 replay: what the live side      the same ids once more, which changes nothing
      holds of them, on the other
    5 the ids, out of the outbox      both sides alike

A replay does not repeat writes, it reconciles: it reads what the live side holds of some ids now and makes the
other side hold the same. So it needs no order, may be repeated, and can never bring back an older value. The
writer waits for the live side alone; what the other side does is never its affair.

A writer takes turns with whoever leads the route elsewhere (`turns.py`): no write lands on a side that was left
meanwhile.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from wherry.errors import WherryError
from wherry.postgres.link import Server
from wherry.record import Record, from_records
from wherry.routing import turns
from wherry.routing.book import Book, Route, shown
from wherry.routing.disk import require_room
from wherry.stores.base import Collection, Publishing, Readable, Writable
from wherry.stores.registry import open_source, open_target

_IDS_AT_ONCE = 2000
_ROWS_AT_ONCE = 500
_AGAIN_S = 1.0
_PAUSE_S = 0.1
# Any number that no other program takes, with the hash of the route's name beside it.
_LOCK = 0x77686572
_PUT = "INSERT INTO wherry.route_outbox (route, target, ids, due) VALUES ($1, $2, $3, $4) RETURNING id"
_DUE = "UPDATE wherry.route_outbox SET due = true WHERE id = $1"
# What a living writer has not finished yet is not looked at: it would be looked at too early.
_TAKE = (
    "SELECT id, ids FROM wherry.route_outbox WHERE route = $1 AND target = $2"
    " AND (due OR $4 OR at < now() - interval '60 s') ORDER BY id LIMIT $3"
)
_FAILED = "UPDATE wherry.route_outbox SET attempts = attempts + 1, error = $3 WHERE route = $1 AND target = $2"
Open = Callable[[str], Writable]


@dataclass(frozen=True)
class Replayed:
    """What a replay did. records: ids made alike. waiting: writes that are still in the outbox, and why."""

    records: int
    waiting: int
    error: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object that `wherry route replay` prints."""
        return dict(self.__dict__)


class Writer:
    """A route, open for writing. With a side that is to follow, a thread brings it up to date behind the writes.

    Threads may share a writer. Use as a context manager: leaving waits a moment for the outbox to be empty, and
    what is left there waits for the next replay. Writes are refused (DiskFull) shortly before the disk of the live
    side is full.
    """

    def __init__(self, name: str, open_: Open = open_target) -> None:
        self.name = name
        self._open = open_
        self._book = Book()
        self._writing = threading.Lock()
        self._live: _Live | None = None
        self._follower = _Follower(name, open_)

    def upsert(self, records: pa.RecordBatch | Iterable[Record]) -> None:
        """Store records, each replacing what was under its id. Raises what the live side raises."""
        batch = records if isinstance(records, pa.RecordBatch) else from_records(records)
        if batch.num_rows:
            self._write(batch.column("id").to_pylist(), lambda live: live.upsert(batch))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records; ids that are not there are ignored. Raises what the live side raises."""
        if ids:
            self._write(list(ids), lambda live: live.delete(pa.array(ids, type=pa.string())))

    def close(self) -> None:
        """Wait a moment for the other side, then close; a second call does nothing."""
        self._follower.close()
        with self._writing:
            if self._live is not None:
                self._live.close()
                self._live = None
            self._book.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write(self, ids: list[str], write: Callable[[Writable], None]) -> None:
        with self._writing, turns.writing(self._book.database, self.name):
            route = self._book.require(self.name)
            if route.dual is None:
                self._store(route, write)
                return
            with self._noted(route, json.dumps(ids)):
                self._store(route, write)
        self._follower.wake()

    def _store(self, route: Route, write: Callable[[Writable], None]) -> None:
        live = self._side(route)
        require_room(live.volume, self.name)
        write(live.store)
        if live.publishes:
            # Readers of such a side see nothing before it, and a process that ends would lose it.
            live.store.finish(live.card.space, live.card.index)

    @contextmanager
    def _noted(self, route: Route, ids: str) -> Iterator[None]:
        """Note some ids before the live side is written to, and that they are due when it answered or failed."""
        database = self._book.database
        number = database.ask(_PUT, [route.name, route.dual, ids, False])[0][0]
        try:
            yield
        finally:
            # A writer that took very long may have been taken for dead, and what it noted replayed too early.
            if not database.tell(_DUE, [number]):
                database.ask(_PUT, [route.name, route.dual, ids, True])

    def _side(self, route: Route) -> _Live:
        address = route.leads_to()
        if self._live is None or self._live.address != address:
            if self._live is not None:
                self._live.close()
                self._live = None
            store = self._open(address)
            self._live = _Live(address, store, store.describe(), isinstance(store, Publishing))
        return self._live


@dataclass(frozen=True)
class _Live:
    """The side that is written to. card: as it was when it was opened. publishes: only what is finished is seen."""

    address: str
    store: Writable
    card: Collection
    publishes: bool

    @property
    def volume(self) -> Path | None:
        return Path(self.card.volume) if self.card.volume else None

    def close(self) -> None:
        """Build what the writes left to be built, and close."""
        if self.card.exists:
            self.store.finish(self.card.space, self.card.index)
        self.store.close()


class _Follower:
    """Replays in a thread whenever it is woken, and again after a failure."""

    def __init__(self, name: str, open_: Open) -> None:
        self._name, self._open = name, open_
        self._woken, self._ending = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Hear that something is in the outbox."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="wherry-follow", daemon=True)
            self._thread.start()
        self._woken.set()

    def close(self, wait_s: float = 10.0) -> None:
        """End after what is in the outbox was tried once more."""
        self._ending.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _follow(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            ending = self._ending.is_set()
            left = replay(self._name, self._open).waiting
            if ending:
                return
            # What comes within a moment is taken together, and others find the side free in between.
            self._ending.wait(_AGAIN_S if left else _PAUSE_S)
            if left:
                self._woken.set()


def replay(name: str, open_: Open = open_target) -> Replayed:
    """Bring the side that is to follow up to date by what the outbox names. Raises NoSuchRoute.

    A side that fails is told in the result; what it has not taken stays in the outbox.
    """
    with Book() as book:
        return drain(book, book.require(name), open_)


def drain(book: Book, route: Route, open_: Open = open_target, alone: bool = False) -> Replayed:
    """Do what `replay` does. alone: the caller holds the route alone, so no living writer has anything unfinished."""
    if route.dual is None:
        return Replayed(0, 0)
    done, failure = 0, None
    try:
        with replaying(book.database.server, route.name, wait=alone) as held:
            done = _replayed(book, route, open_, alone) if held else 0
    except WherryError as error:
        failure = error.what
        book.database.tell(_FAILED, [route.name, route.dual, f"{type(error).__name__}: {error.what}"])
    return Replayed(done, waiting(book, route), failure)


def waiting(book: Book, route: Route) -> int:
    """Return how many writes wait in the outbox for the side that follows a route."""
    counted = "SELECT count(*) FROM wherry.route_outbox WHERE route = $1 AND target = $2"
    return int(book.database.ask(counted, [route.name, route.dual])[0][0]) if route.dual else 0


def _replayed(book: Book, route: Route, open_: Open, alone: bool) -> int:
    done = 0
    assert route.dual is not None
    with ExitStack() as stack:
        live = stack.enter_context(closing(open_source(route.leads_to())))
        other = stack.enter_context(closing(open_(route.dual)))
        # A sync that is under way may write what it read before; its end is waited for, and the ids then read again.
        stack.enter_context(other.exclusive())
        while rows := book.database.ask(_TAKE, [route.name, route.dual, _ROWS_AT_ONCE, alone]):
            ids = list(dict.fromkeys(i for _, noted in rows for i in noted))
            make_alike(live, other, ids)
            book.database.tell("DELETE FROM wherry.route_outbox WHERE id = ANY ($1)", [[row[0] for row in rows]])
            done += len(ids)
        if done:
            card = other.describe()
            other.finish(card.space, card.index)
    return done


def make_alike(live: Readable, other: Writable, ids: list[str]) -> None:
    """Make the other side hold of some ids what the live side holds now."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[start : start + _IDS_AT_ONCE]
        page = live.fetch(pa.array(some, type=pa.string()))
        held = set(page.ids.to_pylist()) | {reject.id for reject in page.rejects}
        gone = [i for i in some if i not in held]
        if len(page.ids):
            other.upsert(page.records)
        if gone:
            other.delete(pa.array(gone, type=pa.string()))


@contextmanager
def replaying(server: Server, name: str, wait: bool) -> Iterator[bool]:
    """Hold the replays of a route against other processes; False when one is at it and it is not waited for."""
    with server.connect() as connection:
        if wait:
            connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", [_LOCK, name])
            held = True
        else:
            row = connection.execute("SELECT pg_try_advisory_lock($1, hashtext($2))", [_LOCK, name]).fetchone()
            held = bool(row and row[0])
        yield held
        # Otherwise it goes with the connection, however that ends; but the server comes to that later, and whoever asks
        # in between would be told that somebody is at it.
        if held:
            connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", [_LOCK, name])


def follow(name: str, target: str | None, why: str = "") -> Route:
    """Let a side follow the writes of a route, or none with target=None. Raises NoSuchRoute, Busy, BadAddress."""
    with Book() as book:
        if target is not None:
            shown(target)
        return book.change(book.require(name), "dual-write", why, dual=target)


def shadow(name: str, target: str | None, share: float = 1.0, why: str = "") -> Route:
    """Let a side be asked too, for a share of the questions, unseen by readers; none with target=None."""
    with Book() as book:
        if target is not None:
            shown(target)
        return book.change(book.require(name), "shadow", why, shadow=target, shadow_share=share if target else 0.0)


def writer(name: str) -> Writer:
    """Open a route for writing; a side that is to follow it does. Raises what the first write meets."""
    return Writer(name)
