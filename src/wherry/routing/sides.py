"""An open collection that questions share, and what became of a question."""

from __future__ import annotations

import threading
from typing import Any

from wherry.answering.hits import Hits
from wherry.answering.search import Searcher
from wherry.routing.book import Route
from wherry.stores.registry import open_source


class Asked:
    """One question of a reader and what became of it. seconds: from the question to the answer."""

    def __init__(self, route: Route, address: str, query: Any, options: dict[str, Any]) -> None:
        self.route, self.address, self.query, self.options = route, address, query, options
        self.seconds = 0.0
        self.hits: Hits | None = None
        self.error: Exception | None = None


class Side:
    """An open collection, counted by the questions that use it; closed after the last one once it is retired."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._store = open_source(address)
        self.searcher = Searcher(self._store)
        self._users, self._retired = 0, False
        self._lock = threading.Lock()

    def enter(self) -> Side:
        """Count one more question."""
        with self._lock:
            self._users += 1
        return self

    def leave(self) -> None:
        """Count one less."""
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self._close()

    def retire(self) -> None:
        """Close it now, or after the last question."""
        with self._lock:
            self._retired = True
            idle = self._users == 0
        if idle:
            self._close()

    def _close(self) -> None:
        self.searcher.close()
        self._store.close()
