"""Qdrant passes the suite: its engine in this process, and a server through the official client."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.qdrant_client import Inspector
from qdrant_edge import EdgeShard, Point, UpdateOperation

from wherry.address import Address
from wherry.stores.qdrant.edge import directory_of
from wherry.testing.conformance import Fixtures, SourceConformance, StoreConformance
from wherry.testing.conformance.searching import Searching
from wherry.testing.conformance.writing import Deleting, Replacing, Upserting
from wherry.testing.qdrant_grpc import QdrantGrpc
from wherry.testing.qdrant_server import QdrantServer

FOREIGN = (7, "00000000-0000-0000-0000-00000000000b")
# Every collection is a shard with files of its own: on a disk most of the time goes into syncing them.
_MEMORY_DISK = Path("/dev/shm")
_ENOUGH = 4 << 30


@pytest.fixture(scope="module", autouse=True)
def _one_inspector() -> Iterator[None]:
    """Let all clients look for texts to embed with one inspector: each one of its own takes 50 ms to make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdrant_client.qdrant_client.Inspector", cache(Inspector))
        yield


def _fast_folder() -> Path:
    roomy = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > _ENOUGH
    return Path(tempfile.mkdtemp(prefix="wherry-qdrant-", dir=_MEMORY_DISK if roomy else None))


class Edge(Fixtures):
    """Directories of a folder."""

    examples: ClassVar[int] = 12

    def __init__(self, folder: Path) -> None:
        super().__init__(_fast_folder())

    def address(self, name: str) -> str:
        return f"qdrant:{self.folder}/here#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def spoil(self, name: str) -> frozenset[str]:
        path = directory_of(Path(Address.parse(self.address(name)).path), name, "")
        shard = EdgeShard.load(str(path))
        shard.update(UpdateOperation.upsert_points([Point(i, {}, {"text": "가"}) for i in FOREIGN]))
        shard.close()
        return frozenset(str(i) for i in FOREIGN)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Server(Fixtures):
    """Collections of a test server, with a key."""

    examples: ClassVar[int] = 5
    secrets: ClassVar[tuple[str, ...]] = ("s3cret/+=&~", quote("s3cret/+=&~", safe=""))

    def __init__(self, folder: Path) -> None:
        super().__init__(_fast_folder())
        self.server = QdrantServer(self.folder, api_key=self.secrets[0]).__enter__()

    def address(self, name: str) -> str:
        return f"qdrant+http://127.0.0.1:{self.server.port}#{quote(name, safe='')}?api_key={self.secrets[1]}"

    def listing(self) -> frozenset[str]:
        return frozenset(self.server.collections.held)

    def spoil(self, name: str) -> frozenset[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            client = QdrantClient(url=self.server.url, api_key=self.secrets[0], check_compatibility=False)
        client.upsert(name, [models.PointStruct(id=i, vector={}, payload={"text": "가"}) for i in FOREIGN])
        client.close()
        return frozenset(str(i) for i in FOREIGN)

    def close(self) -> None:
        self.server.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)


class Grpc(Server):
    """The same server over its other wire."""

    examples: ClassVar[int] = 3

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.wire = QdrantGrpc(self.server.collections, api_key=self.secrets[0]).__enter__()

    def address(self, name: str) -> str:
        return f"qdrant+grpc://127.0.0.1:{self.wire.port}#{quote(name, safe='')}?api_key={self.secrets[1]}"

    def close(self) -> None:
        self.wire.__exit__()
        super().close()


class TestEdge(StoreConformance):
    fixtures = Edge


class TestServer(StoreConformance):
    fixtures = Server


class TestGrpc(SourceConformance, Searching, Upserting, Replacing, Deleting):
    """What another wire can change: how records and questions travel. The rest is the same code as above."""

    fixtures = Grpc


@pytest.mark.campaign
class TestWholeGrpc(StoreConformance):
    fixtures = Grpc
