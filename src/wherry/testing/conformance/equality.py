"""Comparing what a store gives back with what it was given.

Written apart from Wherry's own comparison on purpose: a mistake there must not hide here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa

from wherry.canonical import canonical_json
from wherry.record import vectors_of
from wherry.space import Metric
from wherry.stores.base import Capabilities

# Unit vectors of one direction may differ by this much in a component, and lengths by this share.
UNIT_TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-11
_HALF_STEP = 2.0**-24


class Rule(StrEnum):
    """How exactly vectors must come back."""

    EXACT = "the same float32 bits"
    HALF = "16-bit floats"
    UNIT = "the same direction"


@dataclass(frozen=True)
class Row:
    """One record in comparable form; metadata as canonical JSON."""

    vector: np.ndarray
    text: str | None
    metadata: str | None


def rule_for(capabilities: Capabilities, metric: Metric | None) -> Rule:
    """Return how exactly an engine says it keeps vectors under `metric`."""
    if capabilities.precision_bits == 16:
        return Rule.HALF
    return Rule.UNIT if metric in capabilities.normalises else Rule.EXACT


def rows_of(batches: Iterable[pa.RecordBatch]) -> tuple[dict[str, Row], list[str]]:
    """Return the records of some batches by id, and the ids that occur more than once."""
    rows: dict[str, Row] = {}
    twice: list[str] = []
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("id", "text", "metadata"))
        for record_id, text, metadata, vector in zip(*columns, vectors_of(batch), strict=True):
            if record_id in rows:
                twice.append(record_id)
            rows[record_id] = Row(vector, text, None if metadata is None else canonical_json(metadata))
    return rows, twice


def differences(
    expected: Iterable[pa.RecordBatch], found: Iterable[pa.RecordBatch], rule: Rule = Rule.EXACT
) -> list[str]:
    """Return what is wrong with `found`, as "id: what", sorted; empty when it is as expected."""
    wanted, _ = rows_of(expected)
    given, twice = rows_of(found)
    wrong = [f"{record_id!r}: came twice" for record_id in twice]
    wrong += [f"{record_id!r}: missing" for record_id in wanted.keys() - given.keys()]
    wrong += [f"{record_id!r}: not expected" for record_id in given.keys() - wanted.keys()]
    for record_id in wanted.keys() & given.keys():
        wrong += [f"{record_id!r}: {field}" for field in _fields(wanted[record_id], given[record_id], rule)]
    return sorted(wrong)


def same_vectors(wanted: np.ndarray, given: np.ndarray, rule: Rule) -> bool:
    """Tell whether two vectors are the same under a rule."""
    if wanted.shape != given.shape or given.dtype != np.float32:
        return False
    if rule is Rule.EXACT:
        return wanted.tobytes() == given.tobytes()
    a, b = wanted.astype(np.float64), given.astype(np.float64)
    if rule is Rule.HALF:
        return bool((np.abs(a - b) <= np.maximum(np.abs(a) * HALF_TOLERANCE, _HALF_STEP)).all())
    return bool(np.abs(unit(a) - unit(b)).max(initial=0.0) <= UNIT_TOLERANCE)


def unit(vector: np.ndarray) -> np.ndarray:
    """Return a vector brought to length 1; a zero vector stays zero."""
    length = np.linalg.norm(vector)
    return vector if length == 0 else vector / length


def _fields(wanted: Row, given: Row, rule: Rule) -> list[str]:
    wrong = [] if same_vectors(wanted.vector, given.vector, rule) else [f"vector is not {rule}"]
    for field in ("text", "metadata"):
        before, after = getattr(wanted, field), getattr(given, field)
        if before != after:
            wrong.append(f"{field} {_shown(before)} became {_shown(after)}")
    return wrong


def _shown(text: str | None) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}... ({len(shown)} characters)"
