"""Reading by a route: every question is answered wholly by the collection the name leads to when it is asked.

    with wherry.route("welno") as welno:
        hits = welno.search("공복 혈당이 높으면?", k=5)

Before each question the book is asked where the name leads: one round trip, and one that fails leaves the reader
where it is. Questions under way finish where they began; the side nobody reads any more is closed after the last
of them. Threads may share a reader.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wherry.answering.hits import Hits
from wherry.answering.search import Searcher
from wherry.errors import StoreError
from wherry.routing.book import Book, Route
from wherry.routing.reads import Reads
from wherry.routing.sides import Asked, Side


class Reader:
    """A route, open for reading. reads: what keeps what was seen, closed with the reader; None keeps nothing.

    environment: the variables that may decide where it leads; those of this process when none are given.
    """

    def __init__(self, name: str, reads: Reads | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._environment: Mapping[str, str] = os.environ if environment is None else environment
        self._reads = reads
        self._book = Book()
        self._asking = threading.Lock()
        self._route = self._book.require(name)
        self._side: Side | None = None
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
        return self.route.leads_to(self._environment)

    def search(self, query: Any, k: int = 5, mode: str | None = None, where: Any = None, **options: Any) -> Hits:
        """Search the collection the route leads to; everything as in `wherry.search`."""
        route = self.route
        asked = Asked(
            route, route.leads_to(self._environment), query, {"k": k, "mode": mode, "where": where, **options}
        )
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
            if self._reads is not None:
                self._reads.heard(asked)

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
        if self._reads is not None:
            self._reads.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _enter(self, address: str) -> Side:
        with self._changing:
            if self._side is not None and self._side.address == address:
                return self._side.enter()
            # Opened before the other is left: when it cannot be, the reader stays where it was.
            new, old = Side(address), self._side
            self._side = new
            entered = new.enter()
        if old is not None:
            old.retire()
        return entered


def route(name: str, environment: Mapping[str, str] | None = None) -> Reader:
    """Open a route for reading; what its readers see is kept for `wherry watch`. Raises NoSuchRoute.

    environment: the variables that may decide where it leads, for a program that keeps its own in a file.
    """
    with Book() as book:
        book.require(name)
    return Reader(name, Reads(), environment)
