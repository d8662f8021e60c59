"""Chroma passes the suite, in a folder of this machine and on a server."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote

import chromadb

from tests.stores.chroma_kit import chroma_server
from wherry.testing.conformance import Fixtures, SourceConformance, StoreConformance
from wherry.testing.conformance.claims import Claims
from wherry.testing.conformance.place import Place, scanned
from wherry.testing.conformance.writing import Replacing

_SEGMENT = """
SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE c.name = ? AND s.scope = 'METADATA'
"""


class ChromaFolder(Fixtures):
    """Collections of one persistent folder."""

    examples = 6

    def address(self, name: str) -> str:
        return f"chroma:{self.folder}/chroma#{quote(name, safe='')}"

    def spoil(self, name: str) -> frozenset[str]:
        """List records whose vectors the index does not have: what other writers leave behind."""
        ghosts = frozenset({"ghost-1", "ghost-2"})
        with closing(sqlite3.connect(self.folder / "chroma" / "chroma.sqlite3")) as database, database:
            (segment,) = database.execute(_SEGMENT, (name,)).fetchone()
            database.executemany(
                "INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES (?, ?, 1)",
                [(segment, ghost) for ghost in sorted(ghosts)],
            )
        return ghosts

    def listing(self) -> frozenset[str]:
        """Every collection, every file of the folder, and every folder."""
        with closing(sqlite3.connect(self.folder / "chroma" / "chroma.sqlite3")) as database:
            names = [name for (name,) in database.execute("SELECT name FROM collections")]
        return frozenset([*names, *(str(path) for path in self.folder.rglob("*"))])


class ChromaServer(Fixtures):
    """Collections of a running `chroma run`."""

    examples = 3
    secrets = ("t0p-s3cret",)

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


class WideVectors:
    """Chroma indexes every word of a text, at half a second per megabyte: wide vectors do as well."""

    def test_scan_of_wide_records_keeps_pages_small(self, place: Place) -> None:
        """Pages shrink when records are wide, so memory stays flat."""
        dimension, rows = 65_536, 80
        space = place.space(dimension=dimension)
        source = place.open_source(place.fill(place.sample(rows, dimension=dimension), space=space))
        sizes = [batch.nbytes for batch in scanned(source)]
        assert len(sizes) > 1
        assert max(sizes) <= (16 << 20) + 8 * 4 * dimension


class TestChromaFolder(WideVectors, StoreConformance):
    fixtures = ChromaFolder


class TestChromaServer(WideVectors, SourceConformance, Replacing, Claims):
    """What a server could do differently; the rest of the store is the same code."""

    fixtures = ChromaServer
