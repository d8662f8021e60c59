"""Getting ready in the background: the start does not wait for a database, a collection or a tokenizer."""

from __future__ import annotations

import threading
from typing import Any

from wherry.errors import StoreError, WherryError
from wherry.routing.book import Book
from wherry.service.keys import Keys
from wherry.service.readers import Readers

_AGAIN_S = 2.0


class Warming:
    """Opens every route once. ready: whether all of that was done; a route that fails is logged and counted."""

    def __init__(self, keys: Keys, readers: Readers, log: Any) -> None:
        self._keys, self._readers, self._log = keys, readers, log
        self.ready, self.opened, self.failed = False, 0, 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wherry-warming", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, wait_s: float = 5.0) -> None:
        """Open no further route; wait for the one that is being opened at most `wait_s` seconds."""
        self._stopping.set()
        self._thread.join(wait_s)

    def to_dict(self) -> dict[str, Any]:
        """Return how far it is: numbers alone, since anybody may ask."""
        return {"ready": self.ready, "routes": self.opened, "failed": self.failed}

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._keys.prepare()
                with Book() as book:
                    names = [route.name for route in book.all()]
                break
            except WherryError as error:
                self._log.error("the database cannot be used", error=type(error).__name__, what=error.what)
                # A database that is down may come back; one that refuses needs a person, who finds this in the log.
                self._stopping.wait(_AGAIN_S if isinstance(error, StoreError) else 10 * _AGAIN_S)
        else:
            return
        for name in names:
            if self._stopping.is_set():
                return
            self._open(name)
        self.ready = True
        self._log.info("ready", routes=self.opened, failed=self.failed)

    def _open(self, name: str) -> None:
        try:
            with self._readers.get(name).side() as searcher:
                _ = searcher.space, searcher.words.tokenizer
            self.opened += 1
        except Exception as error:
            # One broken route must not keep the others from being served; asking for it tells why.
            self.failed += 1
            self._log.warning("a route cannot be opened", route=name, error=type(error).__name__)
