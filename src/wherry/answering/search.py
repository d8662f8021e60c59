"""Search: a question, or a vector, to a collection.

wherry.search("공복 혈당이 높으면?", in_="pgvector:#guides", k=5, where={"page": {"$gte": 3}})

Three modes: `vector` (what is near), `lexical` (what holds the words), `hybrid` (both, weighed by how far each is
trusted on this collection). A text is asked in `hybrid`, a vector in `vector`, unless something else is said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wherry.address import Address
from wherry.answering import hybrid, vector
from wherry.answering.hits import Hit, Hits
from wherry.answering.reorder import Reranker, decayed, reranked
from wherry.answering.retrieving import retrieved, retrieves
from wherry.answering.words import Words
from wherry.errors import MissingExtra, NoModel, RateLimited, TimedOut, UnknownMetric, Unreachable, Unsupported, Usage
from wherry.models.base import Embedder
from wherry.moving.opening import reading
from wherry.space import Space
from wherry.stores.base import Readable
from wherry.stores.lexical import Fuses, Fusion
from wherry.where import Where, parse, parse_text

MODES = ("hybrid", "vector", "lexical")
Condition = Where | Mapping[str, Any] | str
# What leaves the vector leg out of a hybrid search, and is said: words still answer.
_LEFT_OUT = (NoModel, MissingExtra, UnknownMetric, Unsupported, Unreachable, TimedOut, RateLimited)
Found = tuple[tuple[Hit, ...], tuple[str, ...]]


def search(
    query: str | vector.Vector,
    in_: str | Path | Address | Readable,
    k: int = 5,
    mode: str | None = None,
    where: Condition | None = None,
    *,
    exact: bool = False,
    embedder: str | Embedder | None = None,
    tokenizer: str | None = None,
    decay: str | None = None,
    rerank: Reranker | None = None,
) -> Hits:
    """Return the k best records of a collection, best first.

    query: a text, or a vector of the collection's own space. in_: an address, or an open store, which stays
    open. where: a condition on metadata as JSON object, as a line (`page>=3 and tag in [a, b]`) or parsed.
    exact: no approximate index is used. embedder: for a text; the model of the collection's card by default.
    tokenizer: `kiwi` or `pieces`; the best that is installed by default. Words are made at the first search that
    reads them. decay: a key of the metadata that holds a date; newer hits come earlier. rerank: scores hits anew,
    given the question and the hits. Raises Usage, WrongDimension, SpaceMismatch, UnknownMetric, Unsupported, Busy
    or the errors of store and model.
    """
    started = time.perf_counter()
    with reading(resolved(in_)) as store, closing(Searcher(store, embedder, tokenizer)) as searcher:
        found = searcher.search(query, k, mode, where, exact=exact, decay=decay, rerank=rerank)
    return found.after(time.perf_counter() - started)


def resolved(in_: str | Path | Address | Readable) -> str | Path | Address | Readable:
    """Return what to read: where a route leads when a name of one was given."""
    if not isinstance(in_, str):
        return in_
    # A route reads through this module; it is asked for only when a name may be one.
    from wherry.routing.resolving import address_of

    return address_of(in_)


class Searcher:
    """An open collection with what its questions need, for many searches; threads may share one.

    embedder: a spec, opened when the first text is asked, or an open one, which is not closed here. weights: of the
    legs `lexical` and `vector` to begin with, instead of those measured; what is measured may lower one.
    """

    def __init__(
        self,
        store: Readable,
        embedder: str | Embedder | None = None,
        tokenizer: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.store = store
        self._weights = weights
        self.words = Words(store, tokenizer)
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
        mode: str | None = None,
        where: Condition | None = None,
        *,
        exact: bool = False,
        decay: str | None = None,
        rerank: Reranker | None = None,
    ) -> Hits:
        """Return the k best records, best first; parameters as of `search`."""
        started = time.perf_counter()
        mode = _mode_of(mode, query)
        condition = condition_of(where)
        if decay is not None or rerank is not None:
            _require_k(k, self.store.address)
            found = self.search(query, hybrid.depth(k), mode, condition, exact=exact)
            hits = decayed(found.hits, decay) if decay is not None else found.hits
            hits = hits if rerank is None else reranked(_asked_for(query), hits, rerank)
            return replace(found, hits=hits[:k], k=k, seconds=time.perf_counter() - started)
        if mode != "lexical" and isinstance(query, str) and retrieves(self.store):
            hits, notes = retrieved(self.store, query, k, condition), ()
        elif mode == "vector" or not isinstance(query, str):
            hits, notes = vector.nearest(self.store, self.vector_of(query), k, condition, exact), ()
        else:
            _require_k(k, self.store.address)
            vector.require_question(query)
            ask = self._by_words if mode == "lexical" else self._by_both
            hits, notes = ask(query, k, condition, exact)
        return Hits(hits, self.store.address, mode, k, time.perf_counter() - started, notes)

    def vector_of(self, query: str | vector.Vector) -> np.ndarray:
        """Return the vector of a question, or a vector as it was given: float32."""
        if not isinstance(query, str):
            return _numbers(query)
        vector.require_question(query)
        return self.embedder.embed_query(query)

    def _by_words(self, query: str, k: int, where: Where | None, exact: bool) -> Found:
        chosen = hybrid.alone(self.words.ranked(query, k, where))
        return hybrid.hits_of(self.store, chosen, None, None, Space()), self.words.notes

    def _by_both(self, query: str, k: int, where: Where | None, exact: bool) -> Found:
        """Ask both legs; where the vector leg cannot be asked, words answer and the notes say why."""
        depth = hybrid.depth(k)
        ranked = self.words.ranked(query, depth, where)
        try:
            asked = self.vector_of(query)
            weights, notes = hybrid.weights_of(self.words.agreement(self.embedder, self.space), self._weights)
            hits = self._fused(asked, Fusion(ranked, weights, depth, k), where, exact)
        except _LEFT_OUT as error:
            notes = (f"the vector leg was left out: {error.what}",)
            hits = hybrid.hits_of(self.store, hybrid.alone(ranked)[:k], None, None, Space())
        return hits, (*self.words.notes, *notes)

    def _fused(self, asked: np.ndarray, fusion: Fusion, where: Where | None, exact: bool) -> tuple[Hit, ...]:
        """Fuse in the store where it can, which is one round trip; else ask the vector leg and fuse here."""
        if isinstance(self.store, Fuses):
            found = self.store.fused(asked, fusion, where, exact)
            if found is not None:
                return hybrid.of_store(found, fusion)
        near = vector.nearest(self.store, asked, fusion.depth, where, exact)
        chosen = hybrid.fused(hybrid.Legs(fusion.words, near, fusion.weights), fusion.k)
        return hybrid.hits_of(self.store, chosen, near, asked, self.space)

    def close(self) -> None:
        """Close the words and the embedder that was opened here; the store stays open."""
        self.words.close()
        if self._embedder is not None and self._embedder is not self._given:
            self._embedder.close()
        self._embedder = None


def _mode_of(mode: str | None, query: str | vector.Vector) -> str:
    """Return the mode of a search: as it was said, else what fits the query. Raises Usage."""
    if mode is None:
        return "hybrid" if isinstance(query, str) else "vector"
    if mode not in MODES:
        raise Usage(f"there is no mode {mode!r}", where="mode", next=f"use {', '.join(MODES)}")
    if mode != "vector" and not isinstance(query, str):
        raise Usage(f"{mode} reads words, but the query is a vector", where="mode", next="ask with mode vector")
    return mode


def _asked_for(query: str | vector.Vector) -> str:
    if not isinstance(query, str):
        raise Usage("a re-ranker reads the question, but the query is a vector", where="rerank")
    return query


def _require_k(k: int, address: str) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise Usage(f"k is {k!r}; at least one record must be asked for", where=address)


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
