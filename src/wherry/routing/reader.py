"""Reading by a route: every question is answered wholly by the collection the name leads to when it is asked.

    with wherry.route("welno") as welno:
        hits = welno.search("공복 혈당이 높으면?", k=5)

Before each question the book is asked where the name leads: one round trip, and one that fails leaves the reader
where it is. Questions under way finish where they began; the side nobody reads any more is closed after the last
of them. Threads may share a reader.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wherry.answering.hits import Hits
from wherry.answering.search import Searcher
from wherry.errors import StoreError
from wherry.routing.book import Book, Route
from wherry.stores.registry import open_source

# What happens after a question was answered: (route, address, seconds, hits or the error, query, options).
Heard = Callable[["Asked"], None]


class Asked:
    """One question of a reader and what became of it. seconds: from the question to the answer."""

    def __init__(self, route: Route, address: str, query: Any, options: dict[str, Any]) -> None:
        self.route, self.address, self.query, self.options = route, address, query, options
        self.seconds = 0.0
        self.hits: Hits | None = None
        self.error: Exception | None = None


class Reader:
    """A route, open for reading. heard: told of every question after it was answered, outside of its time."""

    def __init__(self, name: str, heard: Heard | None = None) -> None:
        self.name = name
        self._heard = heard
        self._book = Book()
        self._asking = threading.Lock()
        self._route = self._book.require(name)
        self._side: _Side | None = None
        self._changing = threading.Lock()

    @property
    def route(self) -> Route:
        """The route as the book has it now; as it was last seen while the book cannot be read."""
        with self._asking:
            try:
                self._route = self._book.require(self.name)
            except StoreError:
                if self._side is None:
                    raise
            return self._route

    @property
    def address(self) -> str:
        """Where a question asked now would go."""
        return self.route.leads_to()

    def search(self, query: Any, k: int = 5, mode: str | None = None, where: Any = None, **options: Any) -> Hits:
        """Search the collection the route leads to; everything as in `wherry.search`."""
        route = self.route
        asked = Asked(route, route.leads_to(), query, {"k": k, "mode": mode, "where": where, **options})
        started = time.perf_counter()
        try:
            with self.side(asked.address) as searcher:
                asked.hits = searcher.search(query, k, mode, where, **options)
            return asked.hits
        except Exception as error:
            asked.error = error
            raise
        finally:
            asked.seconds = time.perf_counter() - started
            if self._heard is not None:
                self._heard(asked)

    @contextmanager
    def side(self, address: str | None = None) -> Iterator[Searcher]:
        """Lend the searcher of the side the route leads to; it stays open until it is given back."""
        side = self._enter(address or self.address)
        try:
            yield side.searcher
        finally:
            side.leave()

    def close(self) -> None:
        """Close what no question uses any more; a second call does nothing."""
        with self._changing:
            side, self._side = self._side, None
        if side is not None:
            side.retire()
        with self._asking:
            self._book.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _enter(self, address: str) -> _Side:
        with self._changing:
            if self._side is not None and self._side.address == address:
                return self._side.enter()
            # Opened before the other is left: when it cannot be, the reader stays where it was.
            new, old = _Side(address), self._side
            self._side = new
            entered = new.enter()
        if old is not None:
            old.retire()
        return entered


class _Side:
    """An open collection, counted by the questions that use it; closed after the last one once it is retired."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._store = open_source(address)
        self.searcher = Searcher(self._store)
        self._users, self._retired = 0, False
        self._lock = threading.Lock()

    def enter(self) -> _Side:
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


def route(name: str) -> Reader:
    """Open a route for reading. Raises NoSuchRoute."""
    return Reader(name)
