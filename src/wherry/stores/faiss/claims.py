"""What FAISS can hold, by itself and with the sidecar beside it."""

from __future__ import annotations

from dataclasses import replace

from wherry.space import Metric
from wherry.stores.base import ALL_KINDS, Capabilities, IdKind

# The sidecar keeps the vectors of a cosine collection as they came wherever the index cannot.
OWN = Capabilities(
    id_kind=IdKind.TEXT,
    max_id_bytes=None,
    max_batch=None,
    max_dimension=None,
    precision_bits=32,
    normalises=frozenset(),
    metrics=frozenset(Metric),
    needs_metric=True,
    zero_vectors=True,
    null_text=True,
    nul_in_text=True,
    metadata=ALL_KINDS,
    checked_metadata=False,
    filterable=ALL_KINDS,
    integer_bits=None,
    negative_zero=True,
    text_in_place=False,
    snapshot_scan=True,
    stable_order=True,
    unique_ids=True,
    atomic_batch=True,
    detects_changes=True,
    atomic_switch=False,
)


def foreign(precision_bits: int) -> Capabilities:
    """Return the claims of an index of somebody else: ids may repeat, and nobody says what changed."""
    return replace(OWN, unique_ids=False, detects_changes=False, precision_bits=precision_bits)
