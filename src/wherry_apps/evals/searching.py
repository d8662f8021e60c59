"""Search over guide and runs: both legs of the core, starting weights 0.4 for words and 0.6 for meaning."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wherry
from wherry import Hit, Searcher
from wherry_apps.evals.embedding import RunEmbedder, recorded
from wherry_apps.evals.index import Index
from wherry_apps.evals.preindexing import GUIDE, store_address
from wherry_apps.evals.rules import WEIGHTS
from wherry_apps.evals.runs import Json
from wherry_apps.evals.tables import SHARED

_OF_ROW = ("owner", "source", "source_hash", "doc_id")


@dataclass(frozen=True)
class Found:
    """What a search found. notes: what a reader should know, one sentence each."""

    query: str
    hits: tuple[Json, ...]
    mode: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        """Return the JSON object that the command and the endpoint give."""
        return {"query": self.query, "mode": self.mode, "hits": list(self.hits), "notes": list(self.notes)}


class Finder:
    """Searches the index; the store and the embedder are opened once, and threads share them."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._open: tuple[Json, Any, Searcher, RunEmbedder] | None = None

    @property
    def mode(self) -> str:
        """The mode of a search, as the settings say."""
        return "hybrid" if self.index.settings.use_hybrid else "vector"

    def search(
        self, query: str, owner: str | None, run_id: str | None = None, k: int = 5, filters: Json | None = None
    ) -> Found:
        """Return the k best documents somebody may see, best first. Raises Usage, StoreError.

        run_id: only this run, the guide and documents. filters: conditions on the metadata, such as case_id.
        """
        with self.opened() as searcher:
            if searcher is None:
                return Found(query, (), self.mode, ("nothing is indexed yet: wherry evals preindex",))
            where = condition(owner, run_id, filters)
            found = searcher.search(query, k, self.mode, where)
        return Found(query, tuple(hit_of(hit) for hit in found), found.mode, found.notes)

    @contextmanager
    def opened(self) -> Iterator[Searcher | None]:
        """Give the open index, None while it holds nothing."""
        yield self._searcher()

    def stale(self) -> None:
        """Look at the index again before the next question: something was just written."""
        with self._lock:
            if self._open is not None:
                self._open[2].words.stale()

    def close(self) -> None:
        """Close what is open; a second call does nothing."""
        with self._lock:
            self._close()

    def _searcher(self) -> Searcher | None:
        embedder = self.index.embedder()
        with self._lock:
            if self._open is not None and self._open[0] == embedder:
                return self._open[2]
            # The table got another embedder, or was emptied: what was open knows nothing of it.
            self._close()
            if embedder is None:
                return None
            model = RunEmbedder(recorded(embedder, self.index.settings), record=embedder)
            store = wherry.open_source(store_address(self.index.settings) or self.index.address)
            words = "pieces" if self.index.settings.plain else None
            self._open = (embedder, store, Searcher(store, model, words, WEIGHTS), model)
            return self._open[2]

    def _close(self) -> None:
        if self._open is not None:
            _, store, searcher, model = self._open
            self._open = None
            searcher.close()
            model.close()
            store.close()


def condition(owner: str | None, run_id: str | None, filters: Json | None = None) -> Json | None:
    """Return the condition on documents: who asks, which run is selected, what else was asked for."""
    parts: list[Json] = []
    if owner is not None:
        parts.append({"owner": {"$in": [owner, SHARED]}})
    if run_id is not None:
        parts.append({"$or": [{"source": f"run:{run_id}"}, {"source": GUIDE}, {"kind": "doc"}]})
    parts += [{key: value} for key, value in (filters or {}).items() if value is not None]
    return {"$and": parts} if len(parts) > 1 else (parts[0] if parts else None)


def hit_of(hit: Hit) -> Json:
    """Return a hit as the command and the endpoint give it. similarity: 1 - distance; higher is better."""
    metadata = dict(hit.metadata or {})
    return {
        "source": metadata.get("source"),
        "doc_id": metadata.get("doc_id"),
        "score": hit.score,
        "similarity": hit.similarity,
        "distance": hit.distance,
        "parts": {leg: {"rank": part.rank, "share": part.share} for leg, part in hit.parts.items()},
        "content": hit.text,
        "metadata": {key: value for key, value in metadata.items() if key not in _OF_ROW},
    }


def places(hits: Sequence[Json]) -> list[Json]:
    """Return where hits stand, as an answer cites them."""
    kept = ("run_id", "case_id", "heading", "path")
    return [
        {
            "source": hit["source"], "doc_id": hit["doc_id"],
            **{key: hit["metadata"][key] for key in kept if key in hit["metadata"]},
        }
        for hit in hits
    ]  # fmt: skip
