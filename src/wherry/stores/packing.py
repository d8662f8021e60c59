"""Vectors that come as Python's numbers, packed one by one into the bytes of float32.

numpy takes more than twice as long for lists of numbers, and a page of lists kept alive costs several times as much
as one whose vectors are packed as soon as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct

import numpy as np


def packer(dimension: int) -> Callable[..., bytes]:
    """Return what turns the components of one vector, `pack(*vector)`, into the bytes of float32."""
    return Struct(f"{dimension}f").pack


def joined(rows: Sequence[bytes], dimension: int) -> np.ndarray:
    """Return packed vectors as one float32 array, shape (n, dimension)."""
    data = bytearray().join(rows)
    return np.frombuffer(data, dtype=np.float32).reshape(len(rows), dimension)
