"""`put`: records that a program made, into a collection."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from wherry.errors import BadRecord, Usage, WrongDimension
from wherry.moving.opening import Target, writing
from wherry.moving.screening import screen
from wherry.record import Record, Reject, from_records
from wherry.space import Space
from wherry.stores.base import Index, Writable

_ROWS = 1000


def put(records: Iterable[Record], into: Target, space: Space) -> int:
    """Store records, each replacing what was under its id; return how many there were.

    into: an address, made if absent, or an open store. space: what made the vectors, dimension and metric included.
    Raises Usage for a space without a dimension, SpaceMismatch where the collection holds vectors of another one,
    WrongDimension or BadRecord for a record it cannot hold, Busy, or what the store raises.
    """
    if space.dimension is None:
        raise Usage("the space says no dimension", where="put", next="give the dimension of the vectors")
    with writing(into) as store, store.exclusive():
        here = store.describe()
        if here.exists:
            here.space.require_same(space, store.address, "the records")
        store.prepare(space, Index(), 0)
        count = _stored(store, records, space, space.dimension)
        store.finish(space, Index())
    return count


def _stored(store: Writable, records: Iterable[Record], space: Space, dimension: int) -> int:
    count, most = 0, min(_ROWS, store.capabilities.max_batch or _ROWS)
    waiting = iter(records)
    while rows := list(islice(waiting, most)):
        for row in rows:
            if len(row.vector) != dimension:
                raise WrongDimension(
                    f"the vector of {row.id!r} has {len(row.vector)} components, the space says {dimension}",
                    where=store.address,
                    left=f"{count:,} records before it are stored",
                )
        screened = screen(from_records(rows, dimension), store.capabilities, space)
        if screened.rejects:
            raise _refused(screened.rejects, store.address, count)
        store.upsert(screened.records)
        count += len(rows)
    return count


def _refused(rejects: list[Reject], where: str, before: int) -> BadRecord:
    first = rejects[0]
    more = f", and {len(rejects) - 1:,} more" if len(rejects) > 1 else ""
    return BadRecord(
        f"the store cannot hold {first.id!r}: {first.detail or first.reason}{more}",
        where=where,
        left=f"{before:,} records before its batch are stored",
        next="mend the record, then put them again: each replaces what is under its id",
    )
