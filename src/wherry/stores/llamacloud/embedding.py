"""Embedding texts anew while a pipeline is read (`?embedder=SPEC`), for no more than was agreed to.

Vectors of the service are kept only where the embedder is the same model with the same dimension; then
those that are missing are made. Otherwise all are made: two models' vectors may not be mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wherry.errors import Refused, WherryError
from wherry.models.prices import price_of
from wherry.models.registry import open_embedder
from wherry.models.tokens import estimate
from wherry.space import Space
from wherry.stores.llamacloud.chunks import MISSING, Row
from wherry.stores.llamacloud.paid import Paid
from wherry.stores.llamacloud.pipeline import Pipeline
from wherry.stores.llamacloud.place import Place

_OF_VECTORS = frozenset({MISSING, "BadVector", "NonFinite"})


@dataclass
class Bill:
    """What embedding would take. known: texts whose vectors are already paid for. cost: dollars, None = unknown."""

    records: int = 0
    known: int = 0
    tokens: int = 0
    cost: float | None = 0.0

    @property
    def words(self) -> str:
        """The bill in words."""
        money = "no price is known" if self.cost is None else f"about ${self.cost:,.4f}"
        return f"{self.records:,} records, {self.known:,} of them known already; about {self.tokens:,} tokens, {money}"


class Embedding:
    """Makes the vectors of one pipeline's records."""

    def __init__(self, place: Place, pipeline: Pipeline) -> None:
        self._place, self._pipeline = place, pipeline
        self.spec = place.embedder or ""
        self._embedder = open_embedder(self.spec)

    @cached_property
    def space(self) -> Space:
        """The card of the vectors it makes."""
        return self._embedder.space()

    @cached_property
    def anew(self) -> bool:
        """Whether every vector is made anew, as the service's are another model's."""
        mine, theirs = self.space, self._pipeline
        return (mine.provider, mine.model, mine.dimension) != (theirs.provider, theirs.model, theirs.dimension)

    @cached_property
    def _paid(self) -> Paid:
        return Paid(self.space)

    def bill(self, rows: Iterable[Row]) -> Bill:
        """Work out what embedding these rows would take; nothing is sent."""
        bill, price = Bill(), price_of(self.spec)
        for part in _parts(row for row in rows if self._wants(row)):
            known = self._paid.of([row.text or "" for row in part])
            bill.records += len(part)
            bill.known += sum(row.text in known for row in part)
            # A text that comes twice is sent once.
            bill.tokens += sum(estimate(text) for text in {row.text or "" for row in part} - known.keys())
        bill.cost = 0.0 if bill.tokens == 0 else None if price is None else price.of(bill.tokens)
        return bill

    def require_agreed(self, bill: Bill) -> None:
        """Raise Refused when it costs more than the address allows, or nobody knows how much."""
        if bill.cost is not None and bill.cost <= self._place.budget:
            return
        agreed = "state it in a file and set WHERRY_PRICES to its path"
        if bill.cost is not None:
            agreed = f"agree to it with ?budget={bill.cost * 1.01 + 0.0001:.4f} (dollars)"
        raise Refused(
            f"embedding with {self.spec} takes money nobody agreed to: {bill.words}",
            where=self._place.shown,
            left="nothing was sent to the model",
            next=agreed,
        )

    def filled(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows with vectors; one that cannot be embedded says why. Raises what stops everything."""
        wanted = list(dict.fromkeys(row.text or "" for row in rows if self._wants(row)))
        vectors: dict[str, bytes | WherryError] = dict(self._paid.of(wanted))
        missing = [text for text in wanted if text not in vectors]
        for arrival in self._embedder.arrivals(missing):
            came = [(missing[at], result) for at, result in zip(arrival.positions, arrival.results, strict=True)]
            self._paid.keep((text, vector) for text, vector in came if isinstance(vector, np.ndarray))
            if arrival.fatal is not None:
                raise arrival.fatal
            vectors |= {text: v if isinstance(v, WherryError) else v.astype("<f4").tobytes() for text, v in came}
        return [self._with(row, vectors) for row in rows]

    def close(self) -> None:
        """Release the model, and the file of what was paid for."""
        self._embedder.close()
        if "_paid" in vars(self):
            self._paid.close()

    def _wants(self, row: Row) -> bool:
        if row.fault is not None and row.fault[0] not in _OF_VECTORS:
            return False
        return bool(row.text) and (self.anew or row.vector is None)

    def _with(self, row: Row, vectors: dict[str, bytes | WherryError]) -> Row:
        if not self._wants(row):
            lost = self.anew and row.fault is None
            return replace(row, vector=None, fault=(MISSING, "it has no text to embed")) if lost else row
        made = vectors[row.text or ""]
        if isinstance(made, WherryError):
            return replace(row, vector=None, fault=("NotEmbedded", made.what))
        return replace(row, vector=made, fault=None)


def _parts(rows: Iterable[Row], size: int = 1000) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


__all__ = ["Bill", "Embedding"]
