"""The Chroma store passes the suite on a persistent folder."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

from wherry.testing.conformance import Fixtures, StoreConformance


class Chroma(Fixtures):
    """Collections of one folder."""

    # Every text is indexed for searching in it.
    long_texts_are_slow = True
    examples = 9

    def address(self, name: str) -> str:
        return f"chroma:{self.folder}#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        database = self.folder / "chroma.sqlite3"
        if not database.exists():
            return frozenset(str(path) for path in self.folder.rglob("*"))
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            return frozenset(row[0] for row in opened.execute("SELECT name FROM collections"))


class TestChroma(StoreConformance):
    fixtures = Chroma
