"""The lexical leg of a search: the words of an open collection, kept in step, and how far each leg is trusted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa

from wherry.answering import lexical as upkeep
from wherry.answering import vector
from wherry.answering.agreement import FEWEST, SAMPLE, Agreement, Ranking, measure, questions_of
from wherry.answering.tokens import Tokenizer, tokenizer
from wherry.errors import Busy
from wherry.models.base import Embedder
from wherry.space import Space
from wherry.stores import exact
from wherry.stores.base import Readable
from wherry.stores.lexical import Lexical, Lexicon, Ranked
from wherry.where import Where

# How long words may stay behind a collection that others write, in seconds: proof is cheap with marks.
FRESH_S, FRESH_UNMARKED_S = 1.0, 30.0
_PATIENCE = 20
# A collection that grew or shrank by this share is measured again.
_DRIFT = 0.25
_NOTE = "agreement"


class Words:
    """The words of one open collection; several threads may ask."""

    def __init__(self, store: Readable, name: str | None = None) -> None:
        self.store = store
        self._name = name
        self._lock = threading.RLock()
        self._lexical: Lexical | None = None
        self._tokenizer: Tokenizer | None = None
        self._checked = 0.0
        self._notes: tuple[str, ...] = ()
        self._agreed: dict[str, tuple[Agreement, int]] = {}

    @property
    def tokenizer(self) -> Tokenizer:
        """What makes the words."""
        if self._tokenizer is None:
            self._tokenizer = tokenizer(self._name)
        return self._tokenizer

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about the words, one sentence each."""
        return self._notes

    def ready(self) -> Lexical:
        """Return the words in step with the collection; they are made at the first call.

        Raises Busy where another process makes them for the first time.
        """
        lexical = self._lexical
        if lexical is None:
            with self._lock:
                lexical = self._lexical = self._lexical or self._opened()
        elif time.monotonic() >= self._checked and self._lock.acquire(blocking=False):
            # One looks at the collection; the others go on with the words there are.
            try:
                self._refresh(lexical)
            finally:
                self._lock.release()
        return lexical

    def ranked(self, question: str, k: int, where: Where | None = None) -> list[Ranked]:
        """Return the k best records for the words of a question, best first, ties by id."""
        return self.ready().search(self.tokenizer.query(question), k, where)

    def agreement(self, embedder: Embedder, space: Space) -> Agreement | None:
        """Return how far the legs are trusted, measured once; None where too little could be asked."""
        lexical = self.ready()
        count, known = lexical.statistics().count, self._agreed.get(embedder.spec)
        if known is None or _drifted(known[1], known[0], count):
            with self._lock:
                found = _recorded(lexical.state(), embedder.spec, count)
                if found is None:
                    found = self._measured(lexical, embedder, space)
                    # Whoever holds the words keeps this from being recorded, not from being used.
                    with suppress(Busy):
                        self.trust(embedder.spec, found)
                known = self._agreed[embedder.spec] = (found, count)
        return known[0] if known[0].asked >= FEWEST or known[0].source == "labels" else None

    def trust(self, spec: str, agreement: Agreement) -> None:
        """Record how far the legs are trusted beside the words, for questions embedded by `spec`."""
        with self._lock:
            lexical = self.ready()
            entry = {**agreement.to_dict(), "count": lexical.statistics().count}
            with upkeep.writing(self.store):
                # Another process may have written since.
                lexical.abandon()
                state = lexical.state()
                if state is None:
                    return
                noted = {**dict(state.notes.get(_NOTE, {})), spec: entry}
                lexical.keep(replace(state, notes={**state.notes, _NOTE: noted}))
            self._agreed[spec] = (agreement, entry["count"])

    def stale(self) -> None:
        """Look at the collection again before the next question."""
        self._checked = 0.0

    def close(self) -> None:
        """Let go of the words."""
        with self._lock:
            if self._lexical is not None:
                self._lexical.close()
            self._lexical, self._checked = None, 0.0

    def _opened(self) -> Lexical:
        lexical = upkeep.lexical_of(self.store)
        try:
            self._refresh(lexical)
        except BaseException:
            lexical.close()
            raise
        return lexical

    def _refresh(self, lexical: Lexical) -> None:
        started = time.monotonic()
        try:
            upkeep.refresh(self.store, lexical, self.tokenizer)
            self._notes = ()
        except Busy as error:
            state = lexical.state()
            if state is None or state.tokenizer != self.tokenizer.identity:
                raise
            self._notes = (f"the words may be behind the collection: {error.what}",)
        marked = self.store.capabilities.detects_changes
        now = time.monotonic()
        # A look that takes long is taken less often.
        self._checked = now + max(FRESH_S if marked else FRESH_UNMARKED_S, _PATIENCE * (now - started))

    def _measured(self, lexical: Lexical, embedder: Embedder, space: Space) -> Agreement:
        questions = questions_of(_sampled(self.store, SAMPLE * 2))

        def nearest(asked: np.ndarray, k: int) -> Ranking:
            return [(hit.id, hit.score) for hit in vector.nearest(self.store, asked, k, None)]

        def similarity(asked: np.ndarray, other: np.ndarray) -> float:
            query = exact.checked(asked, 1, space, self.store.address)
            return exact.similarity(float(exact.distances(other[None], query)[0]), query.metric)

        return measure(questions, lexical, self.tokenizer, nearest, embedder.embed, similarity)


def _recorded(state: Lexicon | None, spec: str, count: int) -> Agreement | None:
    """Return what was measured for an embedder, None where nothing was or the collection changed much since."""
    entry = state.notes.get(_NOTE, {}).get(spec) if state else None
    if entry is None:
        return None
    found = Agreement.from_dict(entry)
    return None if _drifted(entry["count"], found, count) else found


def _drifted(then: int, agreement: Agreement, now: int) -> bool:
    """Tell whether a collection changed so much since it was measured that it has to be measured again."""
    return agreement.source != "labels" and abs(now - then) > _DRIFT * max(now, 1)


def _sampled(store: Readable, most: int) -> list[tuple[str, str]]:
    """Return (id, text) of records spread evenly over a collection by the order of its ids."""
    names = sorted(name for page in store.ids() for name in page.to_pylist())
    chosen: Sequence[str] = names if len(names) <= most else [names[n * len(names) // most] for n in range(most)]
    batch = store.fetch(pa.array(chosen, type=pa.string())).records
    texts = zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
    return sorted((name, text) for name, text in texts if text)
