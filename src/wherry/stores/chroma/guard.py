"""Keeping an index whole while Chroma rewrites its files.

Chroma rewrites the files of an index in place: a process killed in that moment leaves files that cannot
be read, and the vectors are lost, for Chroma drops them from its log once they are in the index. So
before a write that makes Chroma do that, the files are copied aside, and the copy goes when the write
is done. Whoever opens the folder next through Wherry finds a copy that was left behind and

    the log says the files were not finished     puts the copy back; Chroma replays the log over it
    the log says they were                       drops the copy

A lock keeps readers out while a copy is in use. All of this is against a kill; against
a power cut helps only `finish`, for Chroma forgets its log before the files are surely on disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import Busy
from wherry.stores.chroma.backlog import Backlog, indexed
from wherry.stores.chroma.holds import processes_with

_HOME = ".wherry-guard"
_LOCK = "lock"
_HALF = ".half"


@contextmanager
def guarded(folder: Path, state: Backlog | None) -> Iterator[None]:
    """Run one write with a copy of an index's files, which it makes Chroma rewrite; None = it does not."""
    if state is None:
        yield
        return
    with _locked(folder):
        copy = _copied(folder, state)
        # Left in place by an exception or a kill: recover() decides then what it is good for.
        yield
        _drop(copy)


def recover(folder: Path) -> list[str]:
    """Mend what a killed write left behind; return the segments whose files were put back.

    Waits while another process is in the middle of such a write: its files are no sight for anybody.
    Raises Busy when there is something to mend and another process has the folder open.
    """
    if not _copies(folder):
        return []
    with _locked(folder):
        copies = _copies(folder)
        others = processes_with(folder) if copies else []
        if others:
            raise Busy(
                f"a killed write left the index half-written, and {', '.join(others)} has the folder open",
                where=str(folder),
                left="nothing was touched",
                next="close it, then run again: the index is put back first",
            )
        return [name for copy in copies if (name := _settle(folder, copy))]


def _copies(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / _HOME).glob("*@*") if path.is_dir())


def _settle(folder: Path, copy: Path) -> str | None:
    segment, _, number = copy.name.partition("@")
    if copy.suffix == _HALF or indexed(folder, segment) != int(number):
        shutil.rmtree(copy)
        return None
    files = folder / segment
    if files.exists():
        shutil.rmtree(files)
    copy.rename(files)
    return segment


def _copied(folder: Path, state: Backlog) -> Path:
    """Copy the index files aside; the copy has its name only when it is complete."""
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
    half.rename(copy)
    return copy


def _drop(copy: Path) -> None:
    # Renamed first: half a removal must never be taken for a copy.
    gone = copy.with_name(copy.name + _HALF)
    copy.rename(gone)
    shutil.rmtree(gone)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    home = folder / _HOME
    home.mkdir(exist_ok=True)
    with (home / _LOCK).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def bring_to_disk(folder: Path) -> None:
    """Bring a folder and the files in it to disk, which Chroma leaves to the system."""
    if not folder.is_dir():
        return
    for path in [*(p for p in folder.iterdir() if p.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
