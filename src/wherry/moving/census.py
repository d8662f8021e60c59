"""Making the ledger agree with what the target really holds, id by id, before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash

from wherry.errors import MassDelete
from wherry.moving.ledger import Ledger, Walk

MASS_SHARE = 0.2
MASS_RECORDS = 10
_LONG = 10_000


@dataclass(frozen=True)
class Census:
    """A set of ids in two numbers: how many, and the sum of their hashes modulo 2^64.

    Two equal censuses mean two equal sets, as surely as a 64-bit hash can tell.
    """

    count: int = 0
    total: int = 0

    def with_ids(self, ids: list[str]) -> Census:
        """Return the census of the set with more ids."""
        return Census(self.count + len(ids), (self.total + _sum(ids)) & _64_BITS)

    def joined(self, other: Census) -> Census:
        """Return the census of both sets, which share no id."""
        return Census(self.count + other.count, (self.total + other.total) & _64_BITS)

    def without(self, ids: list[str]) -> Census:
        """Return the census of the set with fewer ids."""
        return Census(self.count - len(ids), (self.total - _sum(ids)) & _64_BITS)


_64_BITS = (1 << 64) - 1


def census(ids: Iterable[pa.Array]) -> Census:
    """Count a listing of ids."""
    found = Census()
    for page in ids:
        found = found.with_ids(page.to_pylist())
    return found


def _sum(ids: list[str]) -> int:
    return sum(map(xxhash.xxh3_64_intdigest, map(str.encode, ids)))


def take_stock(ledger: Ledger, ids: Iterable[pa.Array]) -> tuple[list[str] | None, list[str] | None]:
    """Bring the ledger in line with the ids the target lists.

    An entry the target no longer has is forgotten, so the record will be written again; an id the
    ledger does not know becomes an entry of unknown content, so the record will be looked at. Returns
    the ids of both kinds; None in place of a list that would be long.
    """
    walk, strangers, lost = Walk(ledger), _Short(), _Short()
    for page in ids:
        listed = page.to_pylist()
        positions = walk.match(listed).positions
        unknown = [listed[i] for i in np.flatnonzero(positions < 0).tolist()]
        if unknown:
            ledger.adopt(unknown, [None] * len(unknown))
            walk.meet(walk.match(unknown).positions)
            strangers.add(unknown)
        walk.meet(positions[positions >= 0])
    for part in list(walk.unmet()):
        ledger.forget(part)
        lost.add(part)
    return lost.ids, strangers.ids


class _Short:
    """A list that gives up when it grows long."""

    def __init__(self) -> None:
        self.ids: list[str] | None = []

    def add(self, more: list[str]) -> None:
        if self.ids is not None:
            self.ids = None if len(self.ids) + len(more) > _LONG else self.ids + more


def doomed(ledger: Ledger, ids: Iterable[pa.Array]) -> int:
    """Count the entries whose ids a source does not list."""
    walk = Walk(ledger)
    for page in ids:
        positions = walk.match(page.to_pylist()).positions
        walk.meet(positions[positions >= 0])
    return walk.missing()


def require_few(deletions: int, held: int, allowed: bool, source: str, target: str) -> None:
    """Raise MassDelete when a run would delete a large part of the target and nobody agreed."""
    if allowed or deletions <= MASS_RECORDS or deletions <= held * MASS_SHARE:
        return
    raise MassDelete(
        f"{deletions:,} of the {held:,} records at the target are not in the source and would be deleted",
        where=f"{source} -> {target}",
        left="nothing was deleted",
        next="check that the source is the right one; then add --allow-mass-delete",
    )


def differing(ledger: Ledger, ids: Iterable[pa.Array]) -> tuple[list[str], list[str]]:
    """Return (ids the ledger has and the listing has not, ids the listing has and the ledger has not)."""
    walk = Walk(ledger)
    extra: list[str] = []
    for page in ids:
        listed = page.to_pylist()
        positions = walk.match(listed).positions
        extra += [listed[i] for i in np.flatnonzero(positions < 0).tolist()]
        walk.meet(positions[positions >= 0])
    return list(_flat(walk.unmet())), extra


def _flat(parts: Iterable[list[str]]) -> Iterator[str]:
    for part in parts:
        yield from part
