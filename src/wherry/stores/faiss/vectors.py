"""The vectors of all that is staged, in one file that begins as that of a flat index does.

Workers write into it side by side: each claims room behind what is there, and notes in its log where that was. So
what they staged is taken over, and becomes a file of the next generation, without a vector being copied. Room that
a crash left unused at the end is cut off once nobody else writes; elsewhere it stays, and the vectors are copied.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from wherry.errors import Integrity
from wherry.stores.durable import write_all_at
from wherry.stores.faiss.files import Stored

STAGED_VECTORS = "vectors"


class StagedVectors:
    """The file, open for writing and for reading; any number of processes may have it open."""

    def __init__(self, folder: Path, shown: str, reserved: int) -> None:
        """Open the file in `folder`, making it if needed. reserved: bytes kept free before the vectors."""
        self.path, self.shown, self.reserved = folder / STAGED_VECTORS, shown, reserved
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        # A reader of its own, which a scan may go on using after the staging was published.
        self._reader = Stored(self.path, shown)

    @property
    def size(self) -> int:
        """Bytes of the file, those kept free included."""
        return max(self.reserved, os.fstat(self._descriptor).st_size)

    @contextmanager
    def room(self, size: int) -> Iterator[int]:
        """Claim room for `size` bytes and tell where; an error gives it back, unless more was claimed behind it.

        Raises Integrity once the file was published.
        """
        with self._alone():
            self._require_unpublished()
            at = self.size
            os.ftruncate(self._descriptor, at + size)
        try:
            yield at
        except BaseException:
            with self._alone():
                if self.size == at + size:
                    os.ftruncate(self._descriptor, at)
            raise

    def write(self, data: memoryview, at: int) -> None:
        """Write into room that was claimed, durably."""
        write_all_at(self._descriptor, data, at)
        os.fdatasync(self._descriptor)

    def floats_at(self, at: int, rows: int, dimension: int) -> np.ndarray:
        """Return vectors as float32, shape (rows, dimension), read-only."""
        return self._reader.floats_at(at, rows, dimension)

    def cut_off(self, end: int) -> None:
        """Let the file end at `end`. Only for whoever knows that nobody has claimed room behind it."""
        if self.size > end:
            os.ftruncate(self._descriptor, end)

    def _require_unpublished(self) -> None:
        """Whoever was given up for lost may wake up when the file belongs to a generation already."""
        own = os.fstat(self._descriptor)
        if own.st_nlink != 1 or not self.path.exists() or not os.path.samestat(own, self.path.stat()):
            raise Integrity(
                "the collection was published while this was still being written",
                where=self.shown,
                left="what was published, and nothing of this batch",
                next="run the same command again",
            )

    def close(self) -> None:
        """Close the file for writing; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process from claiming; the kernel lets go with the process, however that ends."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
