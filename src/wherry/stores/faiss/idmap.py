"""Which rows an id is in: runs of hashes, sorted, so that sixteen bytes per record are enough."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

# Runs are merged when there are this many of a size: each row is sorted a few times, not once per batch.
_SAME_SIZE = 8
# Returns the ids of some rows, which ascend.
IdsAt = Callable[[np.ndarray], pa.Array]


def hashes(ids: pa.Array) -> np.ndarray:
    """Return the XXH3-64 of every id, uint64, shape (n,)."""
    raw = ids.cast(pa.binary()).to_pylist()
    return np.fromiter(map(xxhash.xxh3_64_intdigest, raw), dtype=np.uint64, count=len(raw))


def _apart(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return values in another order, in memory of their own.

    What lives long would keep the room between it, which pages come and go in, from being given back.
    """
    own = mmap.mmap(-1, values.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room = np.frombuffer(own, dtype=values.dtype)
    # Any other mode goes through one more array.
    return np.take(values, order, out=room, mode="clip")


class IdMap:
    """Rows by the hash of their id. Rows are numbered by the caller; equal ids may be in several."""

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, keys: np.ndarray, first_row: int) -> None:
        """Add rows `first_row`, `first_row + 1`, ... with the hashes of their ids."""
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], order + first_row))
        while len(self._runs) >= _SAME_SIZE and self._even():
            self._merge()

    def _even(self) -> bool:
        last = self._runs[-_SAME_SIZE:]
        return len(last[0][0]) <= 2 * sum(len(run[0]) for run in last[1:])

    def _merge(self) -> None:
        last = self._runs[-_SAME_SIZE:]
        # One column after the other: this is where the map takes most memory.
        keys = np.concatenate([run[0] for run in last])
        order = np.argsort(keys, kind="stable")
        keys = _apart(keys, order)
        rows = np.concatenate([run[1] for run in last])
        self._runs[-_SAME_SIZE:] = [(keys, _apart(rows, order))]

    def candidates(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (which, rows): every row whose hash is that of `keys[which]`."""
        which, found = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        # In order, neighbours are looked for in places that are in the cache already.
        order = np.argsort(keys)
        keys = keys[order]
        for held, rows in list(self._runs):
            at = np.searchsorted(held, keys)
            open_ = np.arange(len(keys))
            # Nearly always one round: more only where several rows share a hash.
            while len(open_):
                inside = at[open_] < len(held)
                open_ = open_[inside]
                open_ = open_[held[at[open_]] == keys[open_]]
                which.append(open_)
                found.append(rows[at[open_]])
                at[open_] += 1
        return order[np.concatenate(which)], np.concatenate(found)

    def find(self, ids: pa.Array, keys: np.ndarray, ids_at: IdsAt, live: np.ndarray | None = None) -> np.ndarray:
        """Return the rows that hold one of `ids`, ascending; their ids are compared, not only the hashes.

        live: which rows count, bool by row number; None for all.
        """
        which, rows = self.candidates(keys)
        if live is not None:
            keep = live[rows]
            which, rows = which[keep], rows[keep]
        if not len(rows):
            return rows
        order = np.argsort(rows, kind="stable")
        which, rows = which[order], rows[order]
        unique, back = np.unique(rows, return_inverse=True)
        held = ids_at(unique).take(pa.array(back))
        good = pc.equal(held, ids.take(pa.array(which)))
        return np.unique(rows[good.to_numpy(zero_copy_only=False)])
