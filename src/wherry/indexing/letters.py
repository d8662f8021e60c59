"""Dead letters: documents that cannot be indexed as they are, each with its reason.

A dead letter is not tried again while document, recipe and generation are the same, unless someone asks:
a text that a model refuses would be refused, and paid for, in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from wherry.indexing.results import LISTED, Failure
from wherry.postgres.database import Database

_COLUMNS = "source, document, source_fp, recipe_fp, error, message, attempts, first_at::text, last_at::text"
_READ = f'SELECT {_COLUMNS} FROM wherry.dead_letters WHERE "index" = $1 AND generation = $2 ORDER BY source, document'
_WRITE = """
INSERT INTO wherry.dead_letters AS l
  ("index", generation, source, document, source_fp, recipe_fp, chunk_fp, error, message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ("index", generation, source, document) DO UPDATE SET source_fp = EXCLUDED.source_fp,
  recipe_fp = EXCLUDED.recipe_fp, chunk_fp = EXCLUDED.chunk_fp, error = EXCLUDED.error, message = EXCLUDED.message,
  attempts = l.attempts + 1, last_at = now()
RETURNING attempts
"""
_REMOVE = """
DELETE FROM wherry.dead_letters
WHERE "index" = $1 AND generation = $2 AND source = $3 AND document = ANY ($4::text[])
"""


@dataclass(frozen=True)
class Letter:
    """A document that failed. source_fp: of the bytes that failed, None when not even those could be read."""

    source: str
    document: str
    source_fp: bytes | None
    recipe_fp: bytes
    error: str
    message: str
    attempts: int
    first_at: str
    last_at: str

    def holds(self, source_fp: bytes, recipe_fp: bytes) -> bool:
        """Tell whether the document is still the one that failed."""
        return self.source_fp == source_fp and self.recipe_fp == recipe_fp

    @property
    def failure(self) -> Failure:
        """The letter as results show it."""
        return Failure(self.source, self.document, self.error, self.message, self.attempts)


def letters(database: Database, index: int, generation: int) -> dict[tuple[str, str], Letter]:
    """Return the dead letters of a generation by (source, document)."""
    found = [Letter(*row) for row in database.ask(_READ, [index, generation])]
    return {(letter.source, letter.document): letter for letter in found}


def failures(database: Database, index: int, generation: int, sources: Sequence[str]) -> tuple[Failure, ...]:
    """Return the first dead letters of some sources as results show them."""
    found = letters(database, index, generation).values()
    return tuple(letter.failure for letter in found if letter.source in sources)[:LISTED]


def write(
    database: Database, key: tuple[int, int, str], document: str, recipe_fp: bytes, error: Exception, message: str,
    source_fp: bytes | None = None, chunk_fp: bytes | None = None,
) -> int:  # fmt: skip
    """Record a failure; return how often the document has failed by now."""
    values = [*key, document, source_fp, recipe_fp, chunk_fp, type(error).__name__, message]
    return int(database.ask(_WRITE, values)[0][0])


def remove(connection: psycopg.Connection, key: tuple[int, int, str], documents: Sequence[str]) -> None:
    """Remove the letters of documents that are indexed, or gone, within the transaction that does it."""
    connection.execute(_REMOVE, [*key, list(documents)])
