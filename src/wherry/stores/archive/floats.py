"""Decimal digits to the nearest float32.

The parser reads digits as a double, which is then rounded to 32 bits. Rounding twice goes wrong for
digits that lie so near the middle between two float32 that the double *is* the middle: rare (one
float in some hundred million), and a changed vector all the same. Such components are settled by
their exact digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

_DROPPED = np.uint64((1 << 29) - 1)
_MIDDLE = np.uint64(1 << 28)
_SMALLEST_NORMAL = 2.0**-126
_STEPS_BELOW = 2.0**149


def to_float32(values: np.ndarray, digits: Callable[[int], list[Decimal]]) -> np.ndarray:
    """Round doubles (n, d) to float32 (n, d), beyond the largest to infinity.

    digits: returns the exact decimals of one row, asked only where they decide.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    ties = _ties(values)
    for row in np.flatnonzero(ties.any(axis=1)).tolist():
        exact = digits(row)
        for column in np.flatnonzero(ties[row]).tolist():
            rounded[row, column] = _nearest(rounded[row, column], float(values[row, column]), exact[column])
    return rounded


def _ties(values: np.ndarray) -> np.ndarray:
    """Return which doubles lie in the middle between two float32 (bool, same shape)."""
    ties = (values.view(np.uint64) & _DROPPED) == _MIDDLE
    sizes = np.abs(values)
    small = sizes < _SMALLEST_NORMAL
    if small.any():
        # Below the normal numbers float32 are multiples of 2^-149.
        ties[small] = (sizes[small] * _STEPS_BELOW) % 1.0 == 0.5
    return ties


def _nearest(rounded: np.float32, middle: float, exact: Decimal) -> np.float32:
    other = np.nextafter(rounded, np.float32(-np.inf if float(rounded) > middle else np.inf))
    if exact == Decimal(middle):
        return rounded
    return max(rounded, other) if exact > Decimal(middle) else min(rounded, other)
