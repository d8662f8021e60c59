"""Both legs of a search in one statement: the vector leg by index, the ranking by words as a parameter.

The words are ranked before (their postings are mapped files: 130 times faster than BM25 in SQL, see the decision on
Korean search) and travel as two arrays. The statement asks the vector index, fuses both rankings by weighted
reciprocal ranks, and brings along the rows; a record that words alone found gets its distance on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wherry.stores.base import IdKind
from wherry.stores.lexical import FILL, Fusion
from wherry.stores.pgvector.ground import Ground
from wherry.stores.pgvector.keys import id_kind
from wherry.stores.pgvector.statements import Statements

_TYPES = {IdKind.TEXT: "text", IdKind.INTEGER: "bigint", IdKind.UUID: "uuid"}


@dataclass(frozen=True)
class Placed:
    """A row as both legs see it. by_vector, by_words: its rank in each leg from 1, None where it is not there."""

    id: str
    text: str | None
    metadata: str | None
    distance: float
    by_vector: int | None
    by_words: int | None


class FusedStatements(Statements):
    """Statements that fuse; made of the same ground as those that search."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._key = _TYPES[id_kind(ground.table.id)]

    def fused(self, near: str, fusion: Fusion, first: int) -> str:
        """Return the statement that fuses.

        near: the statement of the vector leg. first: the number of the first parameter of `parameters_of`.
        """
        names, weights = first, (first + 1, first + 2)
        share = f"coalesce(${weights[0]}::float8 / ({fusion.smoothing} + w.place), 0)"
        share += f" + coalesce(${weights[1]}::float8 / ({fusion.smoothing} + n.place), 0)"
        return (
            f'WITH wherry_near AS MATERIALIZED (SELECT n.*, row_number() OVER (ORDER BY n.distance, n.id COLLATE "C")'
            f" AS place FROM ({near}) AS n(id, text, metadata, distance)), "
            f"wherry_words AS (SELECT w.id, w.place FROM unnest(${names}::text[]) WITH ORDINALITY AS w(id, place)), "
            f"wherry_both AS (SELECT coalesce(n.id, w.id) AS id, n.text, n.metadata, n.distance, "
            f"n.place AS by_vector, w.place AS by_words, {share} AS share "
            f"FROM wherry_near n FULL JOIN wherry_words w ON w.id = n.id "
            f'ORDER BY share DESC, coalesce(n.id, w.id) COLLATE "C" LIMIT {fusion.k + fusion.spare}) '
            f"SELECT b.id, coalesce(b.text, t.text), coalesce(b.metadata, t.metadata), "
            f"coalesce(b.distance, t.distance), b.by_vector, b.by_words, (SELECT count(*) FROM wherry_near), "
            f"b.by_vector IS NOT NULL OR t.id IS NOT NULL FROM wherry_both b "
            f"LEFT JOIN LATERAL ({self._looked_up('b.id')}) AS t(id, text, metadata, distance) "
            f'ON b.by_vector IS NULL ORDER BY b.share DESC, b.id COLLATE "C"'
        )

    def _looked_up(self, name: str) -> str:
        """Return the query for the row under an id that is given as text."""
        key = f"{self._id_column}::{self._key}" if self._key == "bigint" else self._id_column
        return f"SELECT {self._shown}, {self._distance} FROM {self._rows} WHERE {key} = {name}::{self._key} LIMIT 1"

    @property
    def _id_column(self) -> str:
        return self.ground.table.id.quoted.as_string(None)


def parameters_of(fusion: Fusion) -> list[Any]:
    """Return the values of a fusion's parameters: the ids by words, the weight of words, that of vectors."""
    weights = (fusion.weights.get("lexical", 0.0) or FILL, fusion.weights.get("vector", 0.0) or FILL)
    return [[hit.id for hit in fusion.words], *weights]


def placed(rows: Sequence[tuple[Any, ...]]) -> list[Placed]:
    """Return the rows of a fused statement; what was deleted since its words were read is left out."""
    return [Placed(*row[:6]) for row in rows if row[7]]
