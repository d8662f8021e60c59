"""The memory store passes the suite."""

from __future__ import annotations

from urllib.parse import quote

from wherry.stores import memory
from wherry.testing.conformance import Fixtures, StoreConformance


class Memory(Fixtures):
    """Collections of this process."""

    def address(self, name: str) -> str:
        return f"memory:#{quote(name, safe='')}"

    def drop(self, name: str) -> None:
        memory.clear()


class TestMemory(StoreConformance):
    fixtures = Memory
