"""Which records a target can hold, decided before the first of them is written.

Every check looks at a whole batch first; only a batch that fails one is looked at row by row. What
does not pass becomes a `Reject` with a reason, and the rest of the batch goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.canonical import canonical_metadata
from wherry.record import Reject, dimension_of, offsets_of, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Capabilities, IdKind

# Digits from which on a number may be too large for 64 bits.
_LONG_ID = 19
# The longest metadata text that can hold neither a number beyond a double nor endless nesting.
_SHORT = 300
# What a check returns: one bool per row (True = bad), the reason, the words for a person.
Finding = tuple[np.ndarray, str, str]


@dataclass(frozen=True)
class Screened:
    """The records that may cross, their row numbers, and the rest."""

    records: pa.RecordBatch
    rows: np.ndarray
    rejects: list[Reject]


def screen(batch: pa.RecordBatch, target: Capabilities, space: Space, source: Capabilities | None = None) -> Screened:
    """Split a batch into the records that `target` can hold in `space` and rejects.

    source: what the engine they come from promises, None for nothing. Metadata it vouches for are parsed
    only where they are long; NUL characters it cannot hold are not looked for.
    """
    rejects: dict[int, Reject] = {}
    ids = batch.column("id")
    for row, fault in _metadata_faults(batch.column("metadata"), source is not None and source.checked_metadata):
        rejects[row] = Reject(ids[row].as_py(), "BadMetadata", fault)
    for bad, reason, words in _findings(batch, target, space, source):
        for row in np.flatnonzero(bad).tolist():
            rejects.setdefault(row, Reject(ids[row].as_py(), reason, words))
    everything = np.arange(batch.num_rows)
    if not rejects:
        return Screened(batch, everything, [])
    rows = np.setdiff1d(everything, np.fromiter(rejects, dtype=np.int64))
    keep = pa.array(rows)
    return Screened(batch.take(keep), rows, [rejects[r] for r in sorted(rejects)])


def holds_ids(ids: pa.Array, target: Capabilities) -> bool:
    """Tell whether a target can hold all of some ids."""
    return not any(bad.any() for bad, _, _ in _ids(ids, target))


def _metadata_faults(metadata: pa.Array, checked: bool) -> Iterator[tuple[int, str]]:
    if not checked:
        yield from canonical_metadata(metadata).faults.items()
        return
    # No engine looks for a number beyond a double or for endless nesting, and neither is short.
    long = np.flatnonzero(_rows(pc.fill_null(pc.greater(pc.binary_length(metadata), _SHORT), False)))
    if len(long):
        faults = canonical_metadata(metadata.take(pa.array(long))).faults
        yield from ((int(long[row]), fault) for row, fault in faults.items())


def _findings(
    batch: pa.RecordBatch, target: Capabilities, space: Space, source: Capabilities | None
) -> Iterator[Finding]:
    yield from _vectors(batch, target, space)
    yield from _ids(batch.column("id"), target)
    if not target.nul_in_text and (source is None or source.nul_in_text):
        yield from _texts(batch)


def _vectors(batch: pa.RecordBatch, target: Capabilities, space: Space) -> Iterator[Finding]:
    vectors = vectors_of(batch)
    every = np.ones(batch.num_rows, dtype=bool)
    dimension = dimension_of(batch)
    if space.dimension is not None and dimension != space.dimension:
        yield every, "WrongDimension", f"{dimension} components, the collection has {space.dimension}"
    if target.max_dimension is not None and dimension > target.max_dimension:
        yield every, "WrongDimension", f"{dimension} components, the engine holds {target.max_dimension}"
    # One sum sees every NaN and infinity; only then is the batch looked at row by row.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(vectors.sum(dtype=np.float64))
    if suspicious:
        yield ~np.all(np.isfinite(vectors), axis=1), "NonFinite", "the vector holds NaN or an infinity"
    if space.metric is Metric.COSINE and not target.zero_vectors and dimension:
        candidates = vectors[:, 0] == 0
        if candidates.any():
            yield (
                candidates & ~vectors.any(axis=1),
                "ZeroVector",
                "a zero vector has no direction under cosine",
            )
    if target.precision_bits == 16:
        beyond = np.abs(vectors) > np.finfo(np.float16).max
        yield np.any(beyond, axis=1), "NonFinite", "a component is beyond what 16 bits can hold"


def _ids(ids: pa.Array, target: Capabilities) -> Iterator[Finding]:
    # By arithmetic on the places: each function of Arrow lets go of Python's lock, and has to wait for it again.
    lengths = np.diff(offsets_of(ids))
    yield lengths == 0, "BadId", "the id is empty"
    if target.max_id_bytes is not None:
        yield (
            lengths > target.max_id_bytes,
            "BadId",
            f"the id is longer than the {target.max_id_bytes} bytes the engine holds",
        )
    if target.id_kind in _ID_SHAPES:
        shape, words = _ID_SHAPES[target.id_kind]
        yield ~_rows(pc.match_substring_regex(ids, shape)), "BadId", words
    if target.id_kind is IdKind.INTEGER and lengths.max(initial=0) >= _LONG_ID:
        yield _beyond_64_bits(ids), "BadId", "the target's ids are integers of 64 bits"


def _beyond_64_bits(ids: pa.Array) -> np.ndarray:
    """Tell which ids are integers too large for the target; the shape of the rest is checked apart."""
    shaped = _rows(pc.match_substring_regex(ids, _ID_SHAPES[IdKind.INTEGER][0]))
    return np.array(
        [good and not -(2**63) <= int(i) < 2**63 for i, good in zip(ids.to_pylist(), shaped, strict=True)], dtype=bool
    )


_ID_SHAPES: dict[IdKind, tuple[str, str]] = {
    # Only the canonical spelling: "4" and "0004" must stay two records.
    IdKind.INTEGER: (r"^(0|-?[1-9]\d{0,18})$", "the target's ids are integers"),
    IdKind.UUID: (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "the target's ids are UUIDs in lower case"),
}


def _texts(batch: pa.RecordBatch) -> Iterator[Finding]:
    for name, pattern, finder in _NUL_PLACES:
        yield (
            _rows(pc.fill_null(finder(batch.column(name), pattern), False)),
            "BadText",
            f"the {name} holds a NUL character, which the engine cannot store",
        )


_NUL_PLACES: tuple[tuple[str, str, Callable[..., pa.Array]], ...] = (
    ("id", "\x00", pc.match_substring),
    ("text", "\x00", pc.match_substring),
    # In JSON text NUL is written as an escape; an even number of backslashes before it is not one.
    ("metadata", r"(^|[^\\])(\\\\)*\\u0000", pc.match_substring_regex),
)


def _rows(mask: pa.Array) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
