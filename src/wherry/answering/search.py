"""Search: a question, or a vector, to a collection.

wherry.search("공복 혈당이 높으면?", in_="pgvector:#guides", k=5, where={"page": {"$gte": 3}})
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from wherry.address import Address
from wherry.answering import vector
from wherry.answering.hits import Hits
from wherry.errors import Usage
from wherry.models.base import Embedder
from wherry.moving.opening import reading
from wherry.space import Space
from wherry.stores.base import Readable
from wherry.where import Where, parse, parse_text

MODES = ("vector",)
Condition = Where | Mapping[str, Any] | str


def search(
    query: str | vector.Vector,
    in_: str | Path | Address | Readable,
    k: int = 5,
    mode: str = "vector",
    where: Condition | None = None,
    *,
    exact: bool = False,
    embedder: str | Embedder | None = None,
) -> Hits:
    """Return the k best records of a collection, best first.

    query: a text, or a vector of the collection's own space. in_: an address, or an open store, which stays
    open. where: a condition on metadata as JSON object, as a line (`page>=3 and tag in [a, b]`) or parsed.
    exact: no approximate index is used. embedder: for a text; the model of the collection's card by default.
    Raises Usage, WrongDimension, SpaceMismatch, UnknownMetric, Unsupported or the errors of store and model.
    """
    started = time.perf_counter()
    with reading(in_) as store, closing(Searcher(store, embedder)) as searcher:
        found = searcher.search(query, k, mode, where, exact=exact)
    return found.after(time.perf_counter() - started)


class Searcher:
    """An open collection with what its questions need, for many searches; threads may share one.

    embedder: a spec, opened when the first text is asked, or an open one, which is not closed here.
    """

    def __init__(self, store: Readable, embedder: str | Embedder | None = None) -> None:
        self.store = store
        self._given = embedder
        self._space: Space | None = None
        self._embedder: Embedder | None = None

    @property
    def space(self) -> Space:
        """The collection's card, as it was when it was first asked for."""
        if self._space is None:
            self._space = self.store.describe().space
        return self._space

    @property
    def embedder(self) -> Embedder:
        """What embeds the questions. Raises as `vector.embedder_of` does."""
        if self._embedder is None:
            self._embedder = vector.embedder_of(self.space, self.store.address, self._given)
        return self._embedder

    def search(
        self,
        query: str | vector.Vector,
        k: int = 5,
        mode: str = "vector",
        where: Condition | None = None,
        *,
        exact: bool = False,
    ) -> Hits:
        """Return the k best records, best first; parameters as of `search`."""
        started = time.perf_counter()
        if mode not in MODES:
            raise Usage(f"there is no mode {mode!r}", where="mode", next=f"use {', '.join(MODES)}")
        condition = condition_of(where)
        hits = vector.nearest(self.store, self.vector_of(query), k, condition, exact)
        return Hits(hits, self.store.address, mode, k, seconds=time.perf_counter() - started)

    def vector_of(self, query: str | vector.Vector) -> np.ndarray:
        """Return the vector of a question, or a vector as it was given: float32."""
        if not isinstance(query, str):
            return _numbers(query)
        vector.require_question(query)
        return self.embedder.embed_query(query)

    def close(self) -> None:
        """Close the embedder that was opened here; the store stays open."""
        if self._embedder is not None and self._embedder is not self._given:
            self._embedder.close()
        self._embedder = None


def condition_of(where: Condition | None) -> Where | None:
    """Return a condition in whichever form it was given. Raises Usage."""
    if where is None or isinstance(where, Where):
        return where
    return parse_text(where) if isinstance(where, str) else parse(where)


def _numbers(query: vector.Vector) -> np.ndarray:
    try:
        return np.asarray(query, dtype=np.float32)
    except (TypeError, ValueError):
        raise Usage("the query is neither a text nor a vector of numbers", where="query") from None
