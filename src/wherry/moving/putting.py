"""`put`: records that a program made, into a collection."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from wherry.errors import Usage
from wherry.moving.opening import Target, writing
from wherry.record import Record, from_records
from wherry.space import Space
from wherry.stores.base import Index, Writable

_ROWS = 1000


def put(records: Iterable[Record], into: Target, space: Space) -> int:
    """Store records, each replacing what was under its id; return how many there were.

    into: an address, made if absent, or an open store. space: what made the vectors, dimension and metric included.
    Raises Usage for a space without a dimension, SpaceMismatch where the collection holds others' vectors, Busy, or
    what the store raises.
    """
    if space.dimension is None:
        raise Usage("the space says no dimension", where="put", next="give the dimension of the vectors")
    with writing(into) as store, store.exclusive():
        here = store.describe()
        if here.exists:
            here.space.require_same(space, store.address, "the records")
        store.prepare(space, Index(), 0)
        count = _stored(store, records, space.dimension)
        store.finish(space, Index())
    return count


def _stored(store: Writable, records: Iterable[Record], dimension: int) -> int:
    count, most = 0, min(_ROWS, store.capabilities.max_batch or _ROWS)
    waiting = iter(records)
    while rows := list(islice(waiting, most)):
        store.upsert(from_records(rows, dimension))
        count += len(rows)
    return count
