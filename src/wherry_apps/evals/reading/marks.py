"""Marks of files: what tells without reading that a file cannot have changed."""

from __future__ import annotations

import time
from pathlib import Path

# A file written in the very moment it is looked at could change once more and keep its time.
_SETTLED_NS = 2_000_000_000
_COUNTER = slice(24, 28)


def mark_of(path: Path, beside: tuple[str, ...] = ()) -> str | None:
    """Return a mark of a file and of those beside it (endings such as `-wal`): inode, size, times.

    None where a file is missing, or was written so recently that its time proves nothing.
    """
    try:
        parts = [_stat(path), path.open("rb").read(_COUNTER.stop)[_COUNTER].hex()]
    except OSError:
        return None
    for ending in beside:
        try:
            parts.append(_stat(path.with_name(path.name + ending)))
        except FileNotFoundError:
            parts.append("-")
    return None if "" in parts else " ".join(parts)


def _stat(path: Path) -> str:
    found = path.stat()
    if max(found.st_mtime_ns, found.st_ctime_ns) + _SETTLED_NS > time.time_ns():
        return ""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
