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
    return unlike(source, target, touched) == (0, 0)


def unlike(source: Readable, target: Readable, ids: list[str]) -> tuple[int, int]:
    """Return how many of some records the target lacks, and how many are otherwise there.

    A record that the source has no more is counted as one of the latter where the target still has it.
    """
    missing = different = 0
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


def _compared(source: Readable, target: Readable, ids: list[str]) -> tuple[int, int]:
    wanted = pa.array(ids, type=pa.string())
    left, right = source.fetch(wanted), target.fetch(wanted)
    metric = source.describe().space.metric or target.describe().space.metric
    tolerance = tolerance_between(source.capabilities, target.capabilities, metric)
    both = align(Projection(target.capabilities).apply(left.records), right.records)
    unequal = {found.id for found in differences(both.expected, both.actual, tolerance)}
    rejects = len(left.rejects) + len(right.rejects)
    return both.only_expected.num_rows, len(unequal) + both.only_actual.num_rows + rejects
