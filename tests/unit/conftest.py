"""Unit tests never share a state folder, whatever another suite of the same process has set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.stores import memory

# Where there is one: a journal is small, and what a test pays for is waiting for the disk.
RAM = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture(autouse=True)
def wherry_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set WHERRY_HOME to a new folder."""
    memory.clear()
    with tempfile.TemporaryDirectory(prefix="wherry-unit-", dir=RAM) as home:
        monkeypatch.setenv("WHERRY_HOME", home)
        yield Path(home)
    memory.clear()
