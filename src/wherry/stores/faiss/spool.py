"""Texts and metadata of a framework's folder, put where they can be found by number and stay out of memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_AT_ONCE = 8000


@dataclass(frozen=True)
class Document:
    """What a framework keeps beside a vector. fault: (reason, words) when it cannot be a record."""

    id: str
    text: str | None = None
    metadata: str | None = None
    fault: tuple[str, str] | None = None


class Spool:
    """Ids by the number FAISS has for a vector, and documents by id.

    Kept in a SQLite file without a name, which goes with the process.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        for statement in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            "CREATE TABLE numbered (number INTEGER PRIMARY KEY, id TEXT NOT NULL)",
            "CREATE TABLE document (id TEXT PRIMARY KEY, text TEXT, metadata TEXT, reason TEXT, words TEXT)",
        ):
            self._db.execute(statement)

    def number(self, pairs: Iterable[tuple[int, str]]) -> None:
        """Note which id each number has. Raises sqlite3.IntegrityError for a number with two."""
        self._many("INSERT INTO numbered VALUES (?, ?)", pairs)

    def keep(self, documents: Iterable[Document]) -> None:
        """Keep documents; of several with one id the last."""
        rows = ((d.id, d.text, d.metadata, *(d.fault or (None, None))) for d in documents)
        self._many("INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?, ?)", rows)

    def _many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")

    def documents(self, numbers: np.ndarray) -> list[Document | None]:
        """Return the documents of some numbers, in order; None for a number without an id."""
        found: dict[int, Document] = {}
        wanted = numbers.tolist()
        for start in range(0, len(wanted), _AT_ONCE):
            found |= self._some(wanted[start : start + _AT_ONCE])
        return [found.get(number) for number in wanted]

    def _some(self, numbers: Sequence[int]) -> dict[int, Document]:
        marks = ",".join("?" * len(numbers))
        with self._lock:
            rows = self._db.execute(
                "SELECT n.number, n.id, d.id, d.text, d.metadata, d.reason, d.words FROM numbered n"
                f" LEFT JOIN document d ON d.id = n.id WHERE n.number IN ({marks})",
                numbers,
            ).fetchall()
        return {row[0]: _document(*row[1:]) for row in rows}

    def lonely(self, among: np.ndarray) -> tuple[int, list[str]]:
        """Return how many ids have a number that is none of `among`, and a few of them."""
        held = np.sort(among)
        count, examples = 0, list[str]()
        with self._lock:
            cursor = self._db.execute("SELECT number, id FROM numbered")
            while rows := cursor.fetchmany(_AT_ONCE):
                alone = ~np.isin(np.array([row[0] for row in rows], dtype=np.int64), held)
                count += int(alone.sum())
                examples += [rows[at][1] for at in np.flatnonzero(alone)[: 3 - len(examples)]]
        return count, examples

    def spare(self) -> int:
        """Return how many documents have no number."""
        query = "SELECT count(*) FROM document WHERE id NOT IN (SELECT id FROM numbered)"
        with self._lock:
            return int(self._db.execute(query).fetchone()[0])

    def close(self) -> None:
        """Drop everything; a second call does nothing."""
        self._db.close()


def _document(
    name: str, there: str | None, text: str | None, metadata: str | None, reason: str | None, words: str | None
) -> Document:
    if there is None:
        return Document(name, fault=("MissingDocument", "the docstore does not have it"))
    return Document(name, text, metadata, None if reason is None else (reason, words or ""))
