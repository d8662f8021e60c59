"""Writing all of what is given, whatever the kernel takes at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.stores.durable import write_all, write_all_at

DATA = os.urandom((2 << 20) + 7)


@pytest.fixture(params=[None, 1000])
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel take as much as it likes, or at most some bytes of each call (as near a limit on file size)."""
    if request.param is None:
        return
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: max(request.param, len(data) // 2)]))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[: max(request.param, len(data) // 2)], at))


@pytest.mark.usefixtures("short")
def test_all_is_written_where_it_belongs(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        write_all(descriptor, b"head")
        write_all(descriptor, memoryview(DATA))
        write_all_at(descriptor, b"HEAD", 0)
        write_all_at(descriptor, DATA, 4 + len(DATA))
        # The position is where the first two ended.
        write_all(descriptor, b"tail")
    finally:
        os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"HEAD" + DATA + b"tail" + DATA[4:]
