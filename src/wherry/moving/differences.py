"""Comparing two batches value by value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.canonical import canonical_metadata
from wherry.errors import Usage
from wherry.moving.results import Difference
from wherry.record import Records, dimension_of, vectors_of
from wherry.space import Metric
from wherry.stores.base import Capabilities

UNIT_TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-11
# The smallest step of a 16-bit float: relative error means nothing below it.
_HALF_STEP = 2.0**-24
_AT_ONCE = 128


class Tolerance(StrEnum):
    """How exactly vectors are compared; the value is what a person reads."""

    EXACT = "float32 bits"
    UNIT = "unit vectors within 1e-6, lengths within 1e-6 of each other"
    HALF = "16-bit floats, within 2^-11 of the value"


def tolerance_named(word: str) -> Tolerance | None:
    """Return the tolerance called `exact`, `unit` or `half`, None for `auto`. Raises Usage."""
    if word == "auto":
        return None
    try:
        return Tolerance[word.upper()]
    except KeyError:
        raise Usage(f"unknown tolerance {word!r}", next="use auto, exact, unit or half") from None


def tolerance_between(one: Capabilities, other: Capabilities, metric: Metric | None) -> Tolerance:
    """Return how exactly vectors of two stores can be expected to agree."""
    if 16 in (one.precision_bits, other.precision_bits) and one.precision_bits != other.precision_bits:
        return Tolerance.HALF
    if metric in one.normalises | other.normalises:
        return Tolerance.UNIT
    return Tolerance.EXACT


@dataclass(frozen=True)
class Aligned:
    """Two batches brought into one order: equal ids in equal rows; the rest of each side apart."""

    expected: pa.RecordBatch
    actual: pa.RecordBatch
    only_expected: pa.RecordBatch
    only_actual: pa.RecordBatch


@dataclass(frozen=True)
class Met:
    """Where equal ids are found, as row numbers: pairs in equal places; the rest of each side apart."""

    mine: pa.Array
    theirs: pa.Array
    only_mine: pa.Array
    only_theirs: pa.Array


def meet(mine: pa.Array, theirs: pa.Array) -> Met:
    """Pair two lists of ids."""
    if mine.equals(theirs):
        all_of_them, none = pa.array(np.arange(len(mine))), pa.array([], type=pa.int64())
        return Met(all_of_them, all_of_them, none, none)
    at = pc.index_in(mine, value_set=theirs)
    lone = at.is_null().to_numpy(zero_copy_only=False)
    taken = pc.drop_null(at)
    left_over = np.ones(len(theirs), dtype=bool)
    left_over[taken.to_numpy()] = False
    return Met(_numbers(~lone), taken, _numbers(lone), _numbers(left_over))


def some(records: Records, rows: pa.Array) -> Records:
    """Return some records, by number; nothing is copied where they stand together, which is the rule."""
    first = rows[0].as_py() if len(rows) else 0
    if np.array_equal(rows.to_numpy(), np.arange(first, first + len(rows))):
        return records.slice(first, len(rows))
    return records.take(rows)


def _numbers(chosen: np.ndarray) -> pa.Array:
    return pa.array(np.flatnonzero(chosen))


def align(expected: pa.RecordBatch, actual: pa.RecordBatch) -> Aligned:
    """Pair two batches by id."""
    met = meet(expected.column("id"), actual.column("id"))
    return Aligned(
        some(expected, met.mine),
        some(actual, met.theirs),
        expected.take(met.only_mine),
        actual.take(met.only_theirs),
    )


def differences(expected: pa.RecordBatch, actual: pa.RecordBatch, tolerance: Tolerance) -> list[Difference]:
    """Return every difference between two batches with equal ids in equal rows."""
    found: dict[int, list[tuple[str, str]]] = {}
    for row, detail in _vector_differences(expected, actual, tolerance):
        found.setdefault(row, []).append(("vector", detail))
    for row in _unequal(expected.column("text"), actual.column("text")):
        found.setdefault(row, []).append(("text", _kinds(expected, actual, "text", row)))
    for row in _metadata_differences(expected.column("metadata"), actual.column("metadata")):
        found.setdefault(row, []).append(("metadata", _kinds(expected, actual, "metadata", row)))
    ids = expected.column("id")
    return [
        Difference(ids[row].as_py(), "different", name, detail) for row in sorted(found) for name, detail in found[row]
    ]


def _vector_differences(
    expected: pa.RecordBatch, actual: pa.RecordBatch, tolerance: Tolerance
) -> list[tuple[int, str]]:
    if dimension_of(expected) != dimension_of(actual):
        words = f"{dimension_of(expected)} components / {dimension_of(actual)}"
        return [(row, words) for row in range(expected.num_rows)]
    mine, theirs = vectors_of(expected), vectors_of(actual)
    unequal = (mine.view(np.uint32) != theirs.view(np.uint32)).any(axis=1)
    rows = np.flatnonzero(unequal)
    if len(rows) == 0:
        return []
    if tolerance is not Tolerance.EXACT:
        rows = rows[~_close(mine[rows], theirs[rows], tolerance)]
    return [(int(row), _vector_words(mine[row], theirs[row])) for row in rows]


def _close(mine: np.ndarray, theirs: np.ndarray, tolerance: Tolerance) -> np.ndarray:
    """Tell for each row whether two vectors agree within the tolerance; NaN never agrees."""
    agree = _half_agree if tolerance is Tolerance.HALF else _unit_agree
    parts = []
    with np.errstate(invalid="ignore"):
        # A few at a time: in double precision a whole batch would go through main memory at every step.
        for start in range(0, len(mine), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            parts.append(agree(mine[part].astype(np.float64), theirs[part].astype(np.float64)))
    return np.concatenate(parts)


def _half_agree(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    near = np.abs(a - b) <= np.maximum(np.abs(a) * HALF_TOLERANCE, _HALF_STEP)
    return np.all(near & np.isfinite(a), axis=1)


def _unit_agree(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    long_a, long_b = _lengths(a), _lengths(b)
    scale_a, scale_b = np.where(long_a == 0, 1, long_a), np.where(long_b == 0, 1, long_b)
    a /= scale_a[:, None]
    b /= scale_b[:, None]
    # As a length: a difference spread over a thousand components must not slip through each of them.
    return (_lengths(a - b) <= UNIT_TOLERANCE) & (np.abs(long_a - long_b) <= UNIT_TOLERANCE * scale_a)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def _vector_words(mine: np.ndarray, theirs: np.ndarray) -> str:
    changed = int((mine.view(np.uint32) != theirs.view(np.uint32)).sum())
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max())
    return f"{changed} of {len(mine)} components, by up to {largest:.3g}"


def _unequal(mine: pa.Array, theirs: pa.Array) -> list[int]:
    """Return the rows in which two columns differ; null equals only null."""
    if mine.equals(theirs):
        return []
    same = pc.fill_null(pc.equal(mine, theirs), False)
    both_null = pc.and_(pc.is_null(mine), pc.is_null(theirs))
    return np.flatnonzero(~pc.or_(same, both_null).to_numpy(zero_copy_only=False)).tolist()


def _metadata_differences(mine: pa.Array, theirs: pa.Array) -> list[int]:
    """Return the rows whose metadata differ as JSON values; equal texts need no parsing."""
    rows = _unequal(mine, theirs)
    if not rows:
        return []
    at = pa.array(rows)
    left, right = canonical_metadata(mine.take(at)), canonical_metadata(theirs.take(at))
    unequal = set(_unequal(left.texts, right.texts)) | set(left.faults) | set(right.faults)
    return [row for number, row in enumerate(rows) if number in unequal]


def _kinds(expected: pa.RecordBatch, actual: pa.RecordBatch, name: str, row: int) -> str:
    """Say how two values differ without showing them: a body never enters a message."""
    mine, theirs = expected.column(name)[row].as_py(), actual.column(name)[row].as_py()
    if mine is None or theirs is None:
        return f"{'none' if mine is None else 'present'} / {'none' if theirs is None else 'present'}"
    if name == "metadata":
        return _keys(mine, theirs)
    return f"{len(mine)} characters / {len(theirs)}"


def _keys(mine: str, theirs: str) -> str:
    try:
        left, right = json.loads(mine), json.loads(theirs)
        if not isinstance(left, dict) or not isinstance(right, dict):
            return "no JSON object"
        # repr tells 1 from 1.0 and True, which == does not.
        keys = sorted(k for k in left.keys() | right.keys() if repr(left.get(k, ...)) != repr(right.get(k, ...)))
    except (ValueError, RecursionError):
        return "no JSON object"
    return f"keys: {', '.join(key[:40] for key in keys[:5])}{' ...' if len(keys) > 5 else ''}"
