"""Who may do what at the same time: threads on one client, runs on one folder."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wherry.errors import Busy
from wherry.stores.chroma.place import DATABASE_FILE, Place

_LOCK = ".wherry.lock"
_PROCESSES = Path("/proc")


class Gate:
    """Many may be inside, or one alone. Not re-entrant."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Be inside with others; waits while one is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside alone; waits until everybody left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


_holding = threading.Lock()
_held: dict[Path, tuple[IO[str], set[str]]] = {}


@contextmanager
def held(place: Place, folder: Path) -> Iterator[None]:
    """Hold one collection of a folder against other writers, or raise Busy.

    The folder is locked against every other process, for Chroma's index files bear one writer; within
    this process other collections stay free. A process that has the folder open by Chroma's own client,
    a Chroma server too, counts as a writer (seen on Linux only). The lock goes with the process.
    """
    _enter(place, folder)
    try:
        yield
    finally:
        _leave(place, folder)


def _enter(place: Place, folder: Path) -> None:
    with _holding:
        if folder in _held:
            if place.name in _held[folder][1]:
                raise _busy(place, "another run of this process")
            _held[folder][1].add(place.name)
            return
        folder.mkdir(parents=True, exist_ok=True)
        handle = _locked(place, folder)
        others = processes_with(folder)
        if others:
            handle.close()
            raise _foreign(place, others)
        _held[folder] = (handle, {place.name})


def _leave(place: Place, folder: Path) -> None:
    with _holding:
        handle, names = _held[folder]
        names.discard(place.name)
        if not names:
            del _held[folder]
            handle.close()


def _locked(place: Place, folder: Path) -> IO[str]:
    handle = (folder / _LOCK).open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise _busy(place, f"process {holder}") from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _busy(place: Place, holder: str) -> Busy:
    return Busy(
        f"another run is writing {place.shown} ({holder})",
        where=place.shown,
        left="nothing was touched",
        next="wait for it to end, then run the same command again",
    )


def _foreign(place: Place, others: list[str]) -> Busy:
    return Busy(
        f"{', '.join(others)} has the folder open, and Chroma damages an index that two processes write",
        where=place.shown,
        left="nothing was touched",
        next="close it and run again; if it is a Chroma server, write chroma+http://HOST:PORT#NAME",
    )


def processes_with(folder: Path) -> list[str]:
    """Name the other processes that have the folder's database open, as "process 12 (python)"."""
    try:
        wanted = (folder / DATABASE_FILE).stat()
    except FileNotFoundError:
        return []
    others = [entry for entry in _entries(_PROCESSES) if entry.name.isdigit() and entry.name != str(os.getpid())]
    return [f"process {process.name} ({_name(process)})" for process in others if _has_open(process, wanted)]


def _has_open(process: os.DirEntry[str], wanted: os.stat_result) -> bool:
    # Every file that any program has open is looked at here, whenever a folder is described.
    for handle in _entries(f"{process.path}/fd"):
        try:
            found = handle.stat()
        except OSError:
            continue
        if found.st_ino == wanted.st_ino and found.st_dev == wanted.st_dev:
            return True
    return False


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        # No such folder on this system; or a process that ended meanwhile, or may not be looked into.
        return []


def _name(process: os.DirEntry[str]) -> str:
    try:
        return Path(process.path, "comm").read_text().strip()
    except OSError:
        return "ended meanwhile"
