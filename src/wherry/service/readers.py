"""Open routes: each is opened at its first use, shared by threads, and closed when the service stops."""

from __future__ import annotations

import threading
from collections import defaultdict

from wherry.errors import Interrupted
from wherry.routing.reader import Reader, route


class Readers:
    """The readers of a service, by the name of the route."""

    def __init__(self) -> None:
        self._open: dict[str, Reader] = {}
        # One lock per name: a store that opens slowly delays nobody else.
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def get(self, name: str) -> Reader:
        """Return the reader of a route, opened when it is not yet. Raises NoSuchRoute and what opening raises."""
        with self._lock:
            found, opening = self._open.get(name), self._opening[name]
        if found is not None:
            return found
        with opening:
            if name in self._open:
                return self._open[name]
            made = route(name)
            with self._lock:
                if not self._closed:
                    self._open[name] = made
                    return made
        made.close()
        raise Interrupted("the service stops", next="ask again")

    def close(self) -> None:
        """Close every reader; questions under way finish first."""
        with self._lock:
            self._closed = True
            readers, self._open = list(self._open.values()), {}
        for reader in readers:
            reader.close()
