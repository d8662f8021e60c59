"""What children of the runner do, each in a process that opens its engines anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

import wherry.moving.sync as moving
from tests.crash.scene import contents
from wherry.moving.verify import verify
from wherry.space import Metric, Space
from wherry.stores.base import Index, Writable
from wherry.stores.registry import open_source, open_target
from wherry.testing.samples import sample

DIMENSION, ROWS, BATCH = 8, 600, 96


def fill(address: str, metric: str) -> int:
    """Make a collection of sample records; return how many."""
    with _open(address) as store:
        space = Space(dimension=DIMENSION, metric=Metric(metric))
        store.prepare(space, Index(), ROWS)
        store.upsert(sample(ROWS, DIMENSION))
        store.finish(space, Index())
    return ROWS


def sync(source: str, target: str) -> dict:
    """Sync in many small batches."""
    moving.WRITE_ROWS = BATCH
    result = moving.sync(source, target, allow_mass_delete=True)
    return {"equal": result.equal, "written": result.written, "deleted": result.deleted}


def change(address: str, seed: int) -> int:
    """Insert, update and delete at random; versions are few, so that old values come back."""
    rng = random.Random(seed)
    versions = rng.sample(range(ROWS + 60), 80)
    with _open(address) as store:
        parts = [sample(1, DIMENSION, rng.randrange(2), start=number) for number in versions]
        store.upsert(pa.Table.from_batches(parts).combine_chunks().to_batches()[0])
        gone = sample(ROWS + 60, DIMENSION).column("id").take(pa.array(rng.sample(range(ROWS + 60), 25)))
        store.delete(gone)
        found = store.describe()
        store.finish(found.space, found.index)
    return len(versions)


def compare(source: str, target: str, exact: bool) -> list[str]:
    """Return every difference, found by reading both sides again."""
    one, other = open_source(source), open_source(target)
    result = verify(one, other)
    differences = [f"{d.kind} {d.id} {d.field}" for d in result.differences]
    if exact:
        wanted, held = contents(one), contents(other)
        differences += [i for i in wanted.keys() | held.keys() if wanted.get(i) != held.get(i)]
    one.close()
    other.close()
    return differences


@contextmanager
def _open(address: str) -> Iterator[Writable]:
    store = open_target(address)
    try:
        with store.exclusive():
            yield store
    finally:
        store.close()
