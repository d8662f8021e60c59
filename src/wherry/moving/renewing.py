"""Renewing a proof: what was written to either side since is read on both, and nothing else.

While one side follows the writes of the other, no proof stays untouched for long, and none needs to: it is enough
that both took the same writes.
"""

from __future__ import annotations

import pyarrow as pa

from wherry.moving.census import census
from wherry.moving.differences import align, differences, tolerance_between
from wherry.moving.losses import Projection
from wherry.moving.proofs import Proof
from wherry.stores.base import Readable, Versioned

MOST = 20_000
_IDS_AT_ONCE = 2000


def still_equal(proof: Proof, source: Readable, target: Readable) -> bool:
    """Tell whether two sides that were proved equal are so again: the same ids, and equal records of those written to.

    False also where that cannot be told: an engine without marks on both sides, or more than `MOST` records.
    """
    touched = _touched(proof, source, target)
    if touched is None or census(source.ids()) != census(target.ids()):
        return False
    return unlike(source, target, touched) == ([], [])


def unlike(source: Readable, target: Readable, ids: list[str]) -> tuple[list[str], list[str]]:
    """Return those of some records that the target lacks, and those that are otherwise there.

    A record that the source has no more is one of the latter where the target still has it.
    """
    missing, different = list[str](), list[str]()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        found = _compared(source, target, ids[start : start + _IDS_AT_ONCE])
        missing, different = missing + found[0], different + found[1]
    return missing, different


def _touched(proof: Proof, source: Readable, target: Readable) -> list[str] | None:
    found: dict[str, None] = {}
    told = False
    for store, mark in ((source, proof.marks.source), (target, proof.marks.target)):
        if mark is None or not isinstance(store, Versioned):
            continue
        since = store.touched(mark)
        if since is None or len(since.ids) > MOST:
            return None
        told = True
        found.update(dict.fromkeys(since.ids.to_pylist()))
    return list(found) if told else None


def _compared(source: Readable, target: Readable, ids: list[str]) -> tuple[list[str], list[str]]:
    wanted = pa.array(ids, type=pa.string())
    left, right = source.fetch(wanted), target.fetch(wanted)
    metric = source.describe().space.metric or target.describe().space.metric
    tolerance = tolerance_between(source.capabilities, target.capabilities, metric)
    both = align(Projection(target.capabilities).apply(left.records), right.records)
    different = {found.id: None for found in differences(both.expected, both.actual, tolerance)}
    different |= dict.fromkeys(both.only_actual.column("id").to_pylist())
    different |= {reject.id: None for reject in (*left.rejects, *right.rejects)}
    return both.only_expected.column("id").to_pylist(), list(different)
