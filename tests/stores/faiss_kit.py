"""Making FAISS collections and index files for tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from wherry.record import Record, to_records
from wherry.space import Metric, Space
from wherry.stores.base import Index, Readable
from wherry.stores.registry import open_source, open_target
from wherry.testing.crash import Ending, in_child

DIMENSION = 8
DATA = Path(__file__).parent / "data" / "faiss"
# What changes something on the disk.
_CALLS = (
    (os, ("write", "pwrite", "fsync", "fdatasync", "ftruncate")),
    (Path, ("mkdir", "replace", "symlink_to", "unlink", "hardlink_to")),
    (shutil, ("rmtree",)),
)
# Everything is made durable: on a disk most of the time goes into that.
_MEMORY_DISK = Path("/dev/shm")
_ENOUGH = 2 << 30


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Give an empty folder, in memory where there is room for one."""
    roomy = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _ENOUGH
    with tempfile.TemporaryDirectory(prefix="wherry-faiss-", dir=_MEMORY_DISK if roomy else None) as name:
        yield Path(name)


def dying_at(number: int, act: Callable[[], None]) -> Ending:
    """Let `act` run in a process whose end is the call `number` to the disk, from 1; without one it tells its calls."""

    def acting() -> list[str]:
        seen: list[str] = []

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*arguments: Any, **named: Any) -> Any:
                seen.append(call.__name__)
                if len(seen) == number:
                    os.kill(os.getpid(), 9)
                return call(*arguments, **named)

            return wrapper

        for owner, names in _CALLS:
            for name in names:
                setattr(owner, name, counted(getattr(owner, name)))
        act()
        return seen

    ending = in_child(acting)
    assert ending.error == "", ending
    return ending


def made(address: str, batch: pa.RecordBatch, metric: Metric = Metric.L2, index: Index = Index()) -> str:  # noqa: B008
    """Make a collection that holds a batch; return its address."""
    store = open_target(address)
    space = Space(dimension=batch.schema.field("vector").type.list_size, metric=metric)
    store.prepare(space, index, batch.num_rows)
    store.upsert(batch)
    store.finish(space, index)
    store.close()
    return address


def held(store: Readable) -> dict[str, Record]:
    """Return everything a store scans, by id."""
    return {record.id: record for page in store.scan() for record in to_records(page.records)}


def contents(address: str) -> dict[str, tuple[bytes, str | None, Any]]:
    """Return everything at an address, in comparable form."""
    source = open_source(address)
    try:
        return {i: (np.asarray(r.vector).tobytes(), r.text, r.metadata) for i, r in held(source).items()}
    finally:
        source.close()


def vectors(rows: int, dimension: int = DIMENSION, seed: int = 3) -> np.ndarray:
    """Return random vectors, float32 (rows, dimension)."""
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def index_file(path: Path, spec: str, data: np.ndarray, ids: np.ndarray | None = None, metric: int = 1) -> Path:
    """Write an index made by FAISS's own factory."""
    index = faiss.index_factory(data.shape[1], spec, metric)
    step = faiss.downcast_VectorTransform(index.chain.at(0)) if hasattr(index, "chain") else None
    if isinstance(step, faiss.OPQMatrix):
        # Any rotation will do; the best one takes seconds.
        step.niter, step.niter_pq, step.niter_pq_0 = 1, 1, 1
    index.train(data)
    if ids is None:
        index.add(data)
    else:
        index.add_with_ids(data, ids)
    faiss.write_index(index, str(path))
    return path
