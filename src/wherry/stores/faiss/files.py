"""Files as the FAISS engine sees them: read at offsets, written durably, put in place by one rename.

A collection is a folder:

    current -> 0000000007-3fa9c1b2     a link to the live generation, replaced atomically
    0000000007-3fa9c1b2/               index.faiss, records.parquet, card.json (and vectors.f32)
    staging/                           what the next generation adds and removes: log, vectors
    portion-3/                         the log of what a worker adds: log, a lock of its own; vectors in staging/
    lock                               held by the writer
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from wherry.errors import (
    ArchiveCorrupt,
    Busy,
    DiskFull,
    Integrity,
    NoSuchCollection,
    Refused,
    Rejected,
    StoreError,
    WherryError,
)
from wherry.stores.durable import sync_folder, write_all

CHUNK = 1 << 20
CURRENT, STAGING, LOCK = "current", "staging", "lock"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """Turn what the operating system says about reading into Wherry's errors."""
    try:
        yield
    except FileNotFoundError:
        raise NoSuchCollection("there is no such file", where=shown, next="check the path") from None
    except PermissionError:
        raise Rejected("the file may not be read", where=shown, next="check its permissions") from None
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror or error}", where=shown) from None


@contextmanager
def writing(folder: Path, shown: str) -> Iterator[None]:
    """Turn what the operating system says about writing into Wherry's errors."""
    try:
        yield
    except OSError as error:
        raise _write_error(error, folder, shown) from error


def _write_error(error: OSError, folder: Path, shown: str) -> WherryError:
    left = f"{shown} is as it was; finished batches are kept beside it"
    if error.errno in _NO_ROOM:
        return DiskFull(
            "the disk is full",
            where=str(folder),
            left=left,
            next="free some room there and run the same command again",
        )
    if isinstance(error, (PermissionError, FileNotFoundError, NotADirectoryError)) or error.errno == errno.EROFS:
        return Rejected(f"the folder cannot be written: {error.strerror}", where=str(folder), left=left)
    return StoreError(f"writing failed: {error.strerror or error}", where=shown, left=left)


class Stored:
    """A file opened for reading. It stays readable after it was removed, until nobody refers to it."""

    def __init__(self, path: Path, shown: str) -> None:
        """Open the file at `path`. Raises NoSuchCollection, Refused or Rejected; never creates it."""
        with reading(shown):
            if not path.is_file():
                if path.exists():
                    raise Refused(f"{path.name} is not a regular file", where=shown)
                raise FileNotFoundError(path)
            self.source = pa.OSFile(str(path), "rb")
            self.size = int(self.source.size())
        self.path, self.shown = path, shown

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`. Raises Integrity when the file ends before."""
        with reading(self.shown):
            data = self.source.read_at(length, offset)
        if len(data) != length:
            raise Integrity(
                f"{self.path.name} was cut while it was being read",
                where=self.shown,
                next="wait until nobody writes it, then run the same command again",
            )
        return bytes(data)

    def floats_at(self, offset: int, rows: int, dimension: int) -> np.ndarray:
        """Return vectors as float32, shape (rows, dimension), read-only."""
        if rows == 0 or dimension == 0:
            return np.empty((rows, dimension), dtype=np.float32)
        data = self.read_at(offset, 4 * rows * dimension)
        return np.frombuffer(data, dtype="<f4").reshape(rows, dimension)

    def digest(self) -> str:
        """Return the XXH3-128 of all bytes."""
        digest = xxhash.xxh3_128()
        for offset in range(0, self.size, CHUNK):
            digest.update(self.read_at(offset, min(CHUNK, self.size - offset)))
        return digest.hexdigest()


def corrupt(shown: str, what: str, next: str = "restore the file from a backup, or make it anew") -> ArchiveCorrupt:
    """Return the error for a file that is damaged or contradicts itself."""
    return ArchiveCorrupt(what, where=shown, left="nothing was read from it", next=next)


class Output:
    """A file being written from front to back: counts and digests its bytes. Fit for Arrow's writers."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._digest = xxhash.xxh3_128()
        self.position = 0
        self.closed = False

    def write(self, data: bytes | memoryview | np.ndarray | pa.Buffer) -> int:
        """Append bytes; returns how many."""
        whole = (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast("B")
        self._digest.update(whole)
        write_all(self._descriptor, whole)
        self.position += len(whole)
        return len(whole)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.position

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Make the file durable and close it; a second call does nothing."""
        if not self.closed:
            self.closed = True
            os.fsync(self._descriptor)
            os.close(self._descriptor)

    def readable(self) -> bool:
        """An output cannot be read."""
        return False

    def writable(self) -> bool:
        """An output can be written."""
        return True

    def seekable(self) -> bool:
        """An output is written from front to back."""
        return False

    def hexdigest(self) -> str:
        """Return the XXH3-128 of what was written."""
        return self._digest.hexdigest()


def pointed(folder: Path) -> str | None:
    """Return the name of the live generation, None when there is none."""
    try:
        name = str((folder / CURRENT).readlink())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise corrupt(str(folder), "`current` is no link") from None
        raise
    if not is_generation(name):
        raise corrupt(str(folder), "`current` leads to something that is no generation")
    return name


def point(folder: Path, name: str) -> None:
    """Make `name` the live generation: the one step after which everybody sees the new one."""
    fresh = folder / f".{CURRENT}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(name, target_is_directory=True)
    fresh.replace(folder / CURRENT)
    sync_folder(folder)


def sweep(folder: Path, live: str | None) -> None:
    """Remove every generation that is not live; open ones stay readable for those who have them open."""
    for path in folder.iterdir():
        if path.name != live and path.is_dir() and not path.is_symlink() and is_generation(path.name):
            shutil.rmtree(path, ignore_errors=True)


def is_generation(name: str) -> bool:
    """Tell whether a name is that of a generation: ten digits, a hyphen, eight hexadecimal digits."""
    number, _, token = name.partition("-")
    return len(number) == 10 and number.isdecimal() and len(token) == 8


class Hold:
    """The writer's lock of one collection, taken once however often one store asks for it.

    The kernel drops it with the process, however that ends.
    """

    def __init__(self, folder: Path, shown: str) -> None:
        self.folder, self.shown = folder, shown
        self._descriptor = -1
        self._depth = 0

    @property
    def held(self) -> bool:
        """Whether this store has the lock."""
        return self._depth > 0

    def take(self, patience_s: float = 0.0) -> None:
        """Take the lock, or raise Busy after `patience_s` seconds."""
        if self._depth == 0:
            with writing(self.folder.parent, self.shown):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            until = time.monotonic() + patience_s
            while not self._taken():
                if time.monotonic() >= until:
                    os.close(self._descriptor)
                    raise self._busy()
                time.sleep(0.05)
        self._depth += 1

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back once; the last time it is free for others."""
        self._depth -= 1
        if self._depth == 0:
            # The lock's file stays: one that is removed could be held twice.
            os.close(self._descriptor)

    def _busy(self) -> Busy:
        return Busy(
            f"another run is writing {self.shown}",
            where=str(self.folder / LOCK),
            left="nothing was touched",
            next="wait for it to end, then run the same command again",
        )
