"""Finding ids that a store shows more than once, in flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import xxhash


def repeated_ids(listing: Callable[[], Iterable[pa.Array]]) -> dict[str, int]:
    """Return the ids that a listing shows more than once, with how often.

    The listing is read once when there are none, which is the rule, and twice otherwise. Eight bytes
    are kept per id.
    """
    suspects = _repeated_hashes(listing())
    counted: Counter[str] = Counter()
    if suspects:
        for page in listing():
            counted.update(i for i in page.to_pylist() if _hash(i) in suspects)
    return {i: times for i, times in counted.items() if times > 1}


def _repeated_hashes(listing: Iterable[pa.Array]) -> set[int]:
    pages = [np.array([_hash(i) for i in page.to_pylist()], dtype=np.uint64) for page in listing]
    if not pages:
        return set()
    hashes = np.concatenate(pages)
    hashes.sort()
    return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())


def _hash(record_id: str) -> int:
    return xxhash.xxh3_64_intdigest(record_id.encode("utf-8", "surrogatepass"))
