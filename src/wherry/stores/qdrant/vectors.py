"""Vectors on their way into the engine and out of it.

A cosine collection holds unit vectors only. The engine's own way there loses the length, turns very
long vectors into zeros and leaves very short ones alone, so vectors are brought to length 1 here, in
64 bits, and the length lies in the payload under `_wherry_norm`. Vectors that arrive with length 1
(within what the engine takes for 1) are sent as they are.
"""

from __future__ import annotations

import numpy as np

# The engine leaves a vector alone when the square of its length is within 1e-6 of 1.
_UNIT = 5e-7


def to_unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (vectors, norms): what a cosine collection holds, and the lengths to be kept.

    vectors: float32, shape (n, d). norms: float64, shape (n,), NaN where none has to be kept.
    """
    squares = _squares(vectors)
    stretched = (np.abs(squares - 1) > _UNIT) & (squares > 0)
    norms = np.where(stretched, np.sqrt(squares), np.nan)
    if not stretched.any():
        return vectors, norms
    held = vectors.copy()
    held[stretched] = vectors[stretched].astype(np.float64) / norms[stretched, None]
    return held, norms


def from_unit(held: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return vectors of the lengths that were kept. held: float32 (n, d); norms as in `to_unit`."""
    kept = np.flatnonzero(norms > 0)
    if not len(kept):
        return held
    vectors = held.copy()
    lengths = np.sqrt(_squares(held[kept]))
    # A held length of 0 can only be another tool's doing; the vector stays as it is.
    factors = np.divide(norms[kept], lengths, out=np.ones(len(kept)), where=lengths > 0)
    limit = float(np.finfo(np.float32).max)
    vectors[kept] = np.clip(held[kept].astype(np.float64) * factors[:, None], -limit, limit)
    return vectors


def not_finite(vectors: np.ndarray) -> np.ndarray:
    """Return the numbers of the rows that hold NaN or an infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(vectors.sum(dtype=np.float64)):
            return np.empty(0, dtype=np.int64)
    return np.flatnonzero(~np.isfinite(vectors).all(axis=1))


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
