"""Qdrant passes the suite: its engine in this process, and a server through the official client."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

from qdrant_edge import EdgeShard, Point, UpdateOperation

from wherry.address import Address
from wherry.stores.qdrant.edge import directory_of
from wherry.testing.conformance import Fixtures, StoreConformance

FOREIGN = ("7", "00000000-0000-0000-0000-00000000000b")


class Edge(Fixtures):
    """Directories of a folder."""

    def address(self, name: str) -> str:
        return f"qdrant:{self.folder}/here#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def drop(self, name: str) -> None:
        shutil.rmtree(self._path(name))

    def spoil(self, name: str) -> frozenset[str]:
        shard = EdgeShard.load(str(self._path(name)))
        shard.update(UpdateOperation.upsert_points([Point(_native(i), {}, {"text": "가"}) for i in FOREIGN]))
        shard.close()
        return frozenset(FOREIGN)

    def _path(self, name: str) -> Path:
        address = Address.parse(self.address(name))
        return directory_of(Path(address.path), address.collection, "")


class TestEdge(StoreConformance):
    fixtures = Edge


def _native(record_id: str) -> int | str:
    return int(record_id) if record_id.isdigit() else record_id
