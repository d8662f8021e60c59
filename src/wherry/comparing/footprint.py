"""What an open collection takes: memory of this process, bytes on disk."""

from __future__ import annotations

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident() -> int | None:
    """Return the bytes of memory that this process holds now, None where the system does not say."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(before: int | None) -> int | None:
    """Return by how many bytes the process grew since then, 0 where it shrank."""
    now = resident()
    return None if before is None or now is None else max(0, now - before)
