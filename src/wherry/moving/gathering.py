"""Taking over what workers wrote while others still write: one thread of the process that holds the target."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from wherry.stores.base import Shared


class Gathering:
    """Use as a context manager. What taking over raises is raised at the next word about it."""

    def __init__(self, target: Shared) -> None:
        self.target = target
        self._thread = ThreadPoolExecutor(1, "wherry-gather")
        self._begun: list[Future[None]] = []

    def __enter__(self) -> Gathering:
        # Started before there is work: Ctrl-C while a pool starts its thread leaves one nobody waits for.
        self._thread.submit(int).result()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def begin(self, number: int) -> None:
        """Take over one partition, whose worker is done, and return at once."""
        for future in self._begun:
            if future.done():
                future.result()
        self._begun.append(self._thread.submit(self.target.gather, number))

    def end(self) -> None:
        """Wait for all that were begun, and take over what is left."""
        for future in self._begun:
            future.result()
        self.target.gather()
