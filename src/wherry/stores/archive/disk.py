"""Files as the archive engine sees them: opened once, checked for changes, and never half-written.

Beside an archive `a.json` a writer keeps, in the same folder and nowhere else:

    .a.json.wherry-staging   what is to be published: a SQLite file (with -wal and -shm while open), and
    .a.json.wherry-staging-vec   its vectors
    .a.json.wherry-tmp       the next archive while it is being written and read back
    .a.json.wherry-lock      held by the writer, removed when it is done
    .a.json.wherry-portion-00003   what one of several workers stages, with a lock of its own
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import io
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import (
    BadAddress,
    Busy,
    DiskFull,
    Integrity,
    NoSuchCollection,
    Refused,
    Rejected,
    StoreError,
    WherryError,
)

CHUNK = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LONGEST_NAME = 255
_DIGITS = 5


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from another: device, inode, size in bytes, time of change."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Return the stamp of the file at `path`, None when there is none."""
        try:
            return cls.from_stat(path.stat())
        except FileNotFoundError:
            return None

    @classmethod
    def from_stat(cls, found: os.stat_result) -> Stamp:
        """Return the stamp within a stat result."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def __str__(self) -> str:
        return f"{self.device}:{self.inode}:{self.size}:{self.modified_ns}"


@dataclass
class ArchiveFile:
    """An archive opened for reading; everything is read through one descriptor.

    A file that is replaced by another (as `finish` does) stays readable as it was when it was opened;
    one that is changed in place raises Integrity at the next `require_unchanged`.
    """

    path: Path
    shown: str
    descriptor: int
    stamp: Stamp
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, shown: str, options: dict[str, str] | None = None) -> ArchiveFile:
        """Open the file at `path`. Raises NoSuchCollection, Refused or Rejected; never creates it."""
        with reading(path, shown):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise Refused("this is not a regular file", where=shown, next="name an archive file")
        return cls(path, shown, descriptor, Stamp.from_stat(found), options or {})

    @property
    def size(self) -> int:
        """Bytes of the file when it was opened."""
        return self.stamp.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`, fewer only at the end of the file."""
        with reading(self.path, self.shown):
            data = os.pread(self.descriptor, length, offset)
            while 0 < len(data) < length and (
                more := os.pread(self.descriptor, length - len(data), offset + len(data))
            ):
                data += more
        return data

    def stream(self) -> ByteStream:
        """Return a reader of the whole file with a position of its own."""
        return ByteStream(self)

    def require_unchanged(self) -> None:
        """Raise Integrity when the file was changed in place since it was opened."""
        if Stamp.from_stat(os.fstat(self.descriptor)) != self.stamp:
            raise Integrity(
                "the file was changed while it was being read",
                where=self.shown,
                left="records read before the change may have been written already",
                next="wait until the file is complete, then run the same command again",
            )

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class ByteStream(io.RawIOBase):
    """A read-only, seekable view of an archive; several may be used at the same time."""

    def __init__(self, file: ArchiveFile) -> None:
        self.file = file
        self.position = 0

    def readable(self) -> bool:
        """A stream can be read."""
        return True

    def seekable(self) -> bool:
        """A stream can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; returns the new offset."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.file.size}[whence]
        self.position = start + offset
        return self.position

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, all that is left when negative."""
        wanted = self.file.size - self.position if size < 0 else size
        data = self.file.read_at(self.position, max(0, wanted))
        self.position += len(data)
        return data


def beside(path: Path, suffix: str) -> Path:
    """Return the place of one of the writer's own files beside an archive."""
    name = f".{path.name}.wherry-{suffix}"
    # SQLite adds up to four characters for its own companions.
    if len(name.encode()) + 4 > _LONGEST_NAME:
        name = f".{hashlib.sha256(path.name.encode()).hexdigest()}.wherry-{suffix}"
    return path.with_name(name)


def portion_path(path: Path, number: int) -> Path:
    """Return where one of several workers stages what it writes to an archive."""
    return beside(path, f"portion-{number:0{_DIGITS}d}")


def portions(path: Path) -> list[Path]:
    """Return the portions that lie beside an archive, in order."""
    first = portion_path(path, 0).name
    stem = glob.escape(first[:-_DIGITS])
    return sorted(path.parent.glob(stem + "[0-9]" * _DIGITS))


@contextmanager
def reading(path: Path, shown: str) -> Iterator[None]:
    """Turn what the operating system says about reading into Wherry's errors."""
    try:
        yield
    except FileNotFoundError:
        raise NoSuchCollection("there is no such file", where=shown, next="check the path") from None
    except IsADirectoryError:
        raise Refused("this is a folder", where=shown, next="name an archive file in it") from None
    except PermissionError:
        raise Rejected("the file may not be read", where=shown, next="check its permissions") from None
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror}", where=shown) from None


@contextmanager
def writing(path: Path, shown: str) -> Iterator[None]:
    """Turn what the operating system and SQLite say about writing into Wherry's errors."""
    try:
        yield
    except OSError as error:
        raise _write_error(error, path, shown) from error
    except sqlite3.DatabaseError as error:
        raise _staging_error(error, path, shown) from error


def _write_error(error: OSError, path: Path, shown: str) -> WherryError:
    if error.errno in _NO_ROOM:
        return _disk_full(path, shown)
    if isinstance(error, (PermissionError, FileNotFoundError)) or error.errno == errno.EROFS:
        return Rejected(
            f"the folder cannot be written: {error.strerror}", where=str(path.parent), left="nothing was changed"
        )
    return StoreError(f"writing failed: {error.strerror}", where=shown, left="the archive is as it was")


def _staging_error(error: sqlite3.DatabaseError, path: Path, shown: str) -> WherryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _disk_full(path, shown)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return Rejected(f"the folder cannot be written: {error}", where=str(path.parent), left="nothing was changed")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged_staging(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("another run is writing this archive", where=shown, next="wait for it to end")
    return StoreError(f"the staging file failed: {error}", where=str(path), left="the archive is as it was")


def damaged_staging(path: Path, words: str) -> Integrity:
    """Return the error for a file of a staging that cannot be believed."""
    return Integrity(
        f"the staging file is damaged: {words}",
        where=str(path),
        left="the archive itself is as it was",
        next="remove the staging files, then sync with --level deep",
    )


def _disk_full(path: Path, shown: str) -> DiskFull:
    held = sum(p.stat().st_size for p in path.parent.glob(f".{path.name}.wherry-*"))
    return DiskFull(
        f"the disk is full: {held:,} bytes beside {path.name} were written so far",
        where=str(path.parent),
        left=f"{shown} is as it was; finished batches are kept beside it",
        next="free some room there and run the same command again",
    )


class Hold:
    """The lock of one archive, taken once however often one store asks for it.

    The kernel drops it with the process, however that ends; its file goes with the last holder.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self.path, self.shown = path, shown
        self.file = beside(path, "lock")
        self._descriptor = -1
        self._depth = 0

    def take(self, patience_s: float = 0.0) -> None:
        """Take the lock, or raise Busy after `patience_s` seconds."""
        if self._depth == 0:
            with writing(self.path, self.shown):
                self._descriptor = self._wait(time.monotonic() + patience_s)
        self._depth += 1

    def release(self) -> None:
        """Give the lock back once; the last time it is free for others."""
        self._depth -= 1
        if self._depth == 0:
            self.file.unlink(missing_ok=True)
            os.close(self._descriptor)

    def _wait(self, until: float) -> int:
        while True:
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() >= until:
                    raise self._busy() from None
                time.sleep(0.05)
                continue
            # The last holder may have removed the file between our open and our lock.
            found = Stamp.of(self.file)
            if found is not None and found.inode == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)

    def _busy(self) -> Busy:
        return Busy(
            f"another run is writing {self.shown}",
            where=str(self.file),
            left="nothing was touched",
            next="wait for it to end, then run the same command again",
        )


def require_folder(path: Path, shown: str) -> None:
    """Raise BadAddress when the folder an archive shall be written to is not there."""
    if not path.parent.is_dir():
        raise BadAddress(
            f"the folder {path.parent} does not exist", where=shown, next=f"make it: mkdir -p {path.parent}"
        )
