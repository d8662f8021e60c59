"""The memory store passes the suite."""

from __future__ import annotations

from urllib.parse import quote

from wherry.stores import memory
from wherry.testing.conformance import Fixtures, StoreConformance


class Memory(Fixtures):
    """Collections of this process."""

    def address(self, name: str) -> str:
        return f"memory:#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        return frozenset(memory._shelves)


class TestMemory(StoreConformance):
    fixtures = Memory
