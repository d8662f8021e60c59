"""Faults on purpose: any store, made to fail, to lose a reply or to kill its process at one call.

    calls = Calls(at=7, fault=Fault(Moment.AFTER, Unreachable))
    sync(faulty(source, calls), faulty(target, calls))

counts every call that goes to either store (each page of a scan is one) and lets the seventh be done
and then fail, as when a reply is lost. Run with at=1, then at=2, and so on until `calls.struck` stays
False: then there is no call left whose failure was not tried. Without an error a fault is SIGKILL,
which wants a process of its own (`wherry.testing.crash`). `tapped` counts the statements that change
the journal in the same row, so that a process can die between any two of them.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, cast
from unittest.mock import patch

import pyarrow as pa

from wherry.errors import DiskFull, RateLimited, TimedOut, Unreachable
from wherry.record import Page
from wherry.space import Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Index, Readable, Touched, Versioned, Writable

T = TypeVar("T")
_END = object()
_FILE_EVENTS = frozenset({"open", "os.rename", "os.remove", "os.truncate", "os.link"})
_READING = ("SELECT", "PRAGMA", "CREATE", "--", "ROLLBACK")


class Moment(StrEnum):
    """When a fault strikes: before the call, after half of its records, or after all of it."""

    BEFORE = "before"
    MIDDLE = "middle"
    AFTER = "after"


@dataclass(frozen=True)
class Fault:
    """What goes wrong at one call. error: the class raised; None = the process is killed."""

    moment: Moment
    error: type[Exception] | None = None

    def strike(self) -> None:
        """Raise the error, or end this process as a power switch would."""
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise self.error("a fault on purpose")

    def __str__(self) -> str:
        return f"{self.error.__name__ if self.error else 'SIGKILL'} {self.moment}"


KILLS = tuple(Fault(moment) for moment in Moment)
ERRORS = tuple(
    Fault(moment, error) for error in (Unreachable, TimedOut, RateLimited, DiskFull, RuntimeError) for moment in Moment
)


@dataclass
class Calls:
    """Counts calls and strikes at one of them.

    at: number of the call that goes wrong, from 1; 0 = none. only: count only calls whose names end
    with one of these words. names: every call so far. struck: whether the fault happened.
    """

    at: int = 0
    fault: Fault = KILLS[0]
    only: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    struck: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def run(self, name: str, act: Callable[[], T], half: Callable[[], object] | None = None) -> T:
        """Do `act` as the next call. half: does the first half of it, where it can be halved."""
        if not self._count(name):
            return act()
        if self.fault.moment is Moment.MIDDLE and half is not None:
            half()
        if self.fault.moment is Moment.BEFORE or (half is not None and self.fault.moment is Moment.MIDDLE):
            self.fault.strike()
        result = act()
        self.fault.strike()
        return result

    def mark(self, name: str) -> None:
        """Count a call that can only be struck before it happens."""
        if self._count(name):
            self.fault.strike()

    def _count(self, name: str) -> bool:
        if self.only and not name.endswith(self.only):
            return False
        with self._lock:
            self.names.append(name)
            due = len(self.names) == self.at
            self.struck |= due
            return due


class FaultyStore:
    """A store whose every call is counted, and one of which may fail. Use `faulty` to make one."""

    def __init__(self, store: Readable, calls: Calls, page_rows: int, label: str) -> None:
        self.store, self.calls, self.page_rows, self.label = store, calls, page_rows, label

    @property
    def address(self) -> str:
        """The address of the store inside."""
        return self.store.address

    @property
    def identity(self) -> str:
        """The identity of the store inside."""
        return self.store.identity

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the store inside."""
        return self.store.capabilities

    def describe(self) -> Collection:
        """Describe: one call."""
        return self._call("describe", self.store.describe)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Scan: one call per page, pages of at most `page_rows`."""
        return self._each("scan", self.store.scan(min(rows, self.page_rows)))

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """List the ids: one call per page."""
        return self._each("ids", self.store.ids(min(rows, self.page_rows)))

    def fetch(self, ids: pa.Array) -> Page:
        """Fetch: one call."""
        return self._call("fetch", lambda: self.store.fetch(ids))

    def close(self) -> None:
        """Close the store inside; never fails on purpose."""
        self.store.close()

    def _call(self, name: str, act: Callable[[], T], half: Callable[[], object] | None = None) -> T:
        return self.calls.run(f"{self.label} {name}", act, half)

    def _each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        iterator = iter(items)
        try:
            while (item := self._call(name, lambda: next(iterator, _END))) is not _END:
                yield cast(T, item)
        finally:
            # A scan given up half-way holds a cursor in the store inside.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()


class FaultyTarget(FaultyStore):
    """A store that can be written, with the same treatment."""

    store: Writable

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Prepare: one call."""
        self._call("prepare", lambda: self.store.prepare(space, index, rows))

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Upsert: one call, half of which may be done."""
        rows = batch.num_rows // 2
        self._call(
            "upsert",
            lambda: self.store.upsert(batch, absent),
            lambda: self.store.upsert(batch.slice(0, rows), absent),
        )

    def delete(self, ids: pa.Array) -> None:
        """Delete: one call, half of which may be done."""
        rows = len(ids) // 2
        self._call("delete", lambda: self.store.delete(ids), lambda: self.store.delete(ids.slice(0, rows)))

    def finish(self, space: Space, index: Index) -> None:
        """Finish: one call."""
        self._call("finish", lambda: self.store.finish(space, index))

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the store inside."""
        return self.store.exclusive()


class _Versions:
    """What a store that detects changes has besides."""

    def mark(self: Any) -> str | None:
        """Ask for a mark: one call."""
        return self._call("mark", self.store.mark)

    def touched(self: Any, mark: str) -> Touched | None:
        """Ask what was touched: one call."""
        return self._call("touched", lambda: self.store.touched(mark))


class _VersionedStore(_Versions, FaultyStore): ...


class _VersionedTarget(_Versions, FaultyTarget): ...


def faulty(store: Any, calls: Calls, *, page_rows: int = PAGE_ROWS, label: str = "store") -> Any:
    """Wrap an open store so that `calls` counts what is asked of it and strikes at one call.

    page_rows: the longest page, small so that a small collection has many. label: names the store in
    `calls.names`. The result has the Protocols of the store inside, no more and no less.
    """
    writable, versioned = isinstance(store, Writable), isinstance(store, Versioned)
    kinds = {
        (False, False): FaultyStore,
        (False, True): _VersionedStore,
        (True, False): FaultyTarget,
        (True, True): _VersionedTarget,
    }
    return kinds[writable, versioned](store, calls, page_rows, label)


@contextmanager
def tapped(calls: Calls, files: str = "/journal/") -> Iterator[None]:
    """Count the statements that change a SQLite file opened inside this block; kill between any two.

    files: part of the paths that matter. Only faults that kill can strike here: SQLite swallows what
    its trace hook raises.
    """
    connect = sqlite3.connect
    label = files.strip("/.")

    def tap(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, *args, **options)
        if files in str(database):
            connection.set_trace_callback(_Tap(connection, calls, label))
        return connection

    with patch.object(sqlite3, "connect", tap):
        yield


def watch_files(calls: Calls, folder: Path) -> None:
    """Count every file below a folder that is opened for writing, renamed or deleted, and every fsync.

    For a process that is about to end: an audit hook cannot be taken back.
    """
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        calls.mark("file fsync")
        fsync(descriptor)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS and str(folder) in str(arguments[0]):
            reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if not reads:
                calls.mark(f"file {event}")

    os.fsync = counted
    sys.addaudithook(hear)


@dataclass
class _Tap:
    """Hears every statement of one connection, and counts those that matter."""

    connection: sqlite3.Connection
    calls: Calls
    label: str
    last: str = ""

    def __call__(self, statement: str) -> None:
        words = " ".join(statement.split()[:3])
        # Rows of one executemany inside a transaction are one step: nothing of them is on disk yet.
        repeated = words == self.last and self.connection.in_transaction
        self.last = words
        if not repeated and not words.upper().startswith(_READING):
            self.calls.mark(f"{self.label} {words}")
