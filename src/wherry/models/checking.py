"""What an answer must be before anybody may use it: as many vectors as texts, of one width, finite, not zero."""

from __future__ import annotations

import numpy as np

from wherry.errors import BadAnswer, BadRecord, WherryError

# How far from 1 a length may be that still counts as unit length: float16 arithmetic on the server.
UNIT_TOLERANCE = 1e-3
NEXT = "check the model server; nothing of this answer was kept"


def require_shape(vectors: np.ndarray, count: int, width: int | None, where: str) -> None:
    """Raise BadAnswer when there is not one vector per text, or they have another width than before."""
    if vectors.ndim != 2 or len(vectors) != count:
        found = len(vectors) if vectors.ndim else 0
        raise BadAnswer(f"the model answered {count} texts with {found} vectors", where=where, next=NEXT)
    if vectors.shape[1] == 0 or (width is not None and vectors.shape[1] != width):
        raise BadAnswer(
            f"the model answered with vectors of {vectors.shape[1]} components instead of {width or 'some'}",
            where=where,
            next=NEXT,
        )


def shaped(vectors: np.ndarray, dimension: int, unit: bool) -> np.ndarray:
    """Return the vectors cut to `dimension` components, and of unit length again where `unit` is set: float32."""
    cut = vectors[:, :dimension]
    if not unit:
        return np.ascontiguousarray(cut, dtype=np.float32)
    wide = cut.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lengths > 0, wide / lengths, wide).astype(np.float32)


def faults(vectors: np.ndarray, positions: list[int], where: str) -> dict[int, WherryError]:
    """Return the rows that are not finite or have no direction, each with its error (row -> error)."""
    with np.errstate(over="ignore"):
        finite = np.asarray(np.isfinite(vectors).all(axis=1))
    bad = ~finite | ~np.asarray(vectors.any(axis=1))
    return {
        int(row): BadRecord(
            f"the model gave text {positions[row]} a vector that is {'zero' if finite[row] else 'not finite'}",
            where=where,
            left="the other texts of the request are embedded",
            next="change the text, or ask another model",
        )
        for row in np.flatnonzero(bad)
    }


def is_unit(vectors: np.ndarray) -> bool:
    """Tell whether every vector has unit length."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return bool(np.all(np.abs(lengths - 1) <= UNIT_TOLERANCE))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine of two vectors; 0 where one has no direction."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
