"""Chroma passes the suite on a running server; `tests/conformance` has it on a folder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import chromadb

from tests.stores.chroma_kit import chroma_server
from wherry.testing.conformance import Fixtures, SourceConformance
from wherry.testing.conformance.claims import Claims
from wherry.testing.conformance.writing import Replacing


class ChromaServer(Fixtures):
    """Collections of a running `chroma run`."""

    examples = 3
    secrets = ("t0p-s3cret",)
    # Every text is indexed for searching in it.
    long_texts_are_slow = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._running = ExitStack()
        self.port = self._running.enter_context(chroma_server(folder))

    def address(self, name: str) -> str:
        return f"chroma+http://127.0.0.1:{self.port}#{quote(name, safe='')}?token={self.secrets[0]}"

    def listing(self) -> frozenset[str]:
        client = chromadb.HttpClient("127.0.0.1", self.port)
        try:
            return frozenset(c.name for c in client.list_collections(limit=10_000))
        finally:
            client.close()

    def close(self) -> None:
        self._running.close()


class TestChromaServer(SourceConformance, Replacing, Claims):
    """What a server could do differently; the rest of the store is the same code."""

    fixtures = ChromaServer
