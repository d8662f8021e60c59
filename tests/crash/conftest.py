"""A folder in memory where there is one: hundreds of small syncs should not wait for a disk.

Nothing is lost by that. A killed process proves nothing about fsync, on any file system.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return an empty folder."""
    usable = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK)
    folder = Path(tempfile.mkdtemp(prefix="wherry-crash-", dir=_IN_MEMORY if usable else None))
    yield folder
    shutil.rmtree(folder)
