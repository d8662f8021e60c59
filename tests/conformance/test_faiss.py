"""FAISS passes the suite: an index with a sidecar, published by one rename."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from wherry.testing.conformance import Fixtures, StoreConformance

# Every batch is made durable: on a disk most of the time goes into that.
_MEMORY_DISK = Path("/dev/shm")
_ENOUGH = 2 << 30


class Faiss(Fixtures):
    """Collections of one folder."""

    def __init__(self, folder: Path) -> None:
        roomy = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _ENOUGH
        super().__init__(Path(tempfile.mkdtemp(prefix="wherry-faiss-", dir=_MEMORY_DISK if roomy else folder)))

    def address(self, name: str) -> str:
        return f"faiss:{self.folder}/here#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def drop(self, name: str) -> None:
        shutil.rmtree(self.folder / "here" / name)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class TestFaiss(StoreConformance):
    fixtures = Faiss
