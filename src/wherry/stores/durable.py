"""Writing files of one's own: all of what is given, and names that outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path

# For more at once the kernel looks for large pages, and takes three to seven times as long for each byte.
_PIECE_BYTES = 1 << 20


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data` at the descriptor's position. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left[:_PIECE_BYTES]) :]


def write_all_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` from byte `offset` on; the descriptor's position stays. Raises OSError."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left[:_PIECE_BYTES], offset)
        left, offset = left[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
