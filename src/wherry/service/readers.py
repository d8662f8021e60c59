"""Open routes: each is opened at its first use, shared by threads, and closed when the service stops."""

from __future__ import annotations

from functools import partial

from wherry.apps.opened import Opened
from wherry.routing.reader import Reader, route


class Readers:
    """The readers of a service, by the name of the route."""

    def __init__(self) -> None:
        self._opened = Opened()

    def __len__(self) -> int:
        return len(self._opened)

    def get(self, name: str) -> Reader:
        """Return the reader of a route, opened when it is not yet. Raises NoSuchRoute and what opening raises."""
        reader: Reader = self._opened.get(name, partial(route, name))
        return reader

    def close(self) -> None:
        """Close every reader; questions under way finish first."""
        self._opened.close()
