"""Keeping an index whole while Chroma rewrites its files.

Chroma rewrites the files of an index in place: a process killed in that moment leaves files that cannot
be read, and the vectors are lost, for Chroma drops them from its log once they are in the index. So
before a write that makes Chroma do that, the files are copied aside, and the copy goes when the write
is done. Whoever opens the folder next through Wherry finds a copy that was left behind and

    the log says the files were not finished     puts the copy back; Chroma replays the log over it
    the log says they were                       drops the copy

A lock tells a copy that is in use from one that was left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.stores.chroma.backlog import Backlog, backlog, indexed

_HOME = ".wherry-guard"
_LOCK = "lock"
_HALF = ".half"


@contextmanager
def guarded(folder: Path, collection: str, threshold: int | None, operations: int) -> Iterator[None]:
    """Run one write of `operations` operations, with a copy of the index if Chroma is about to rewrite it.

    threshold: the collection's `sync_threshold` as Chroma has it loaded; None = there is no such index.
    """
    state = backlog(folder, collection) if threshold is not None else None
    if state is None or threshold is None or state.waiting + operations < threshold:
        yield
        return
    with _locked(folder, wait=True):
        copy = _copied(folder, state)
        # Left in place by an exception or a kill: recover() decides then what it is good for.
        yield
        _drop(copy)
        _sync_folder(folder / state.segment)


def recover(folder: Path) -> list[str]:
    """Mend what a killed write left behind; return the segments whose files were put back.

    Does nothing while another process is in the middle of such a write.
    """
    home = folder / _HOME
    if not home.is_dir():
        return []
    with _locked(folder, wait=False) as held:
        return [name for copy in sorted(home.iterdir()) if held and (name := _settle(folder, copy))]


def _settle(folder: Path, copy: Path) -> str | None:
    if not copy.is_dir():
        return None
    segment, _, number = copy.name.partition("@")
    if copy.suffix == _HALF or indexed(folder, segment) != int(number):
        shutil.rmtree(copy)
        return None
    files = folder / segment
    if files.exists():
        shutil.rmtree(files)
    copy.rename(files)
    _sync_folder(folder)
    return segment


def _copied(folder: Path, state: Backlog) -> Path:
    """Copy the index files aside; the copy has its name only when it is complete and on disk."""
    copy = folder / _HOME / f"{state.segment}@{state.indexed}"
    half = copy.with_name(copy.name + _HALF)
    if half.exists():
        shutil.rmtree(half)
    if copy.exists():
        # A write failed half-way and no index was finished since: this copy is the last whole one.
        return copy
    files = folder / state.segment
    # Nothing was written to the files yet: an empty folder is what Chroma starts from.
    if state.indexed and files.is_dir():
        shutil.copytree(files, half)
    else:
        half.mkdir(parents=True)
    _sync_folder(half)
    half.rename(copy)
    _sync_folder(copy.parent)
    return copy


def _drop(copy: Path) -> None:
    # Renamed first: half a removal must never be taken for a copy.
    gone = copy.with_name(copy.name + _HALF)
    copy.rename(gone)
    shutil.rmtree(gone)


@contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[bool]:
    """Hold the guard's lock; yields False when it is taken and was not waited for."""
    home = folder / _HOME
    home.mkdir(exist_ok=True)
    with (home / _LOCK).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def _sync_folder(folder: Path) -> None:
    """Bring a folder and the files in it to disk."""
    if not folder.is_dir():
        return
    for path in [*(p for p in folder.iterdir() if p.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
