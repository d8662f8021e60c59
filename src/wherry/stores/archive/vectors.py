"""The vectors of a staging: a file of rows of equal length, each known by its number.

A vector fills most of a record. In the database that holds the rest it would be written two or three times, and each
would be read through pages of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from wherry.stores.archive.disk import damaged_staging
from wherry.stores.durable import sync_folder, write_all_at

# As short as what SQLite adds for its own companions.
SUFFIX = "-vec"
_COMPONENT = np.dtype("<f4")
_TOKEN_BYTES = 16


class VectorFile:
    """Rows that are written once. Several threads may use one: each call says where it reads or writes.

    What was written but never put down in the database is written over by whoever goes on.
    """

    def __init__(self, staging: Path) -> None:
        """Open the vectors of the staging at `staging`, making the file if needed. Raises OSError."""
        self.path = staging.with_name(staging.name + SUFFIX)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def begin(self) -> str:
        """Empty the file, and return what the database has to remember so that none but this one is taken for it."""
        token = os.urandom(_TOKEN_BYTES)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, token, 0)
        self.sync()
        sync_folder(self.path.parent)
        return token.hex()

    def require(self, token: str) -> None:
        """Raise Integrity unless this is the file that began so."""
        if os.pread(self._descriptor, _TOKEN_BYTES, 0).hex() != token:
            raise damaged_staging(self.path, "its vectors are missing, or those of another run")

    def write(self, first: int, vectors: np.ndarray) -> None:
        """Write vectors (rows, dimension) as the rows from number `first` on. Raises OSError."""
        data = memoryview(np.ascontiguousarray(vectors, dtype=_COMPONENT).reshape(-1)).cast("B")
        write_all_at(self._descriptor, data, _place(first, vectors.shape[1]))

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        os.fdatasync(self._descriptor)

    def read(self, numbers: np.ndarray, dimension: int) -> np.ndarray:
        """Return the rows with these numbers, float32 (rows, dimension). Raises OSError, Integrity."""
        found = np.empty((len(numbers), dimension), dtype=_COMPONENT)
        # One call for each stretch of rows that lie one after another.
        bounds = np.flatnonzero(np.diff(numbers, prepend=-2, append=-2) != 1)
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            self._fill(found[start:end], _place(int(numbers[start]), dimension))
        return found.astype(np.float32, copy=False)

    def _fill(self, rows: np.ndarray, at: int) -> None:
        left = memoryview(rows.reshape(-1)).cast("B")
        while left:
            read = os.preadv(self._descriptor, [left], at)
            if not read:
                raise damaged_staging(self.path, "it lacks vectors that were written to it")
            left, at = left[read:], at + read

    def close(self) -> None:
        """Close the file and keep it; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _place(number: int, dimension: int) -> int:
    """Return where a row begins, in bytes."""
    return _TOKEN_BYTES + number * dimension * _COMPONENT.itemsize
