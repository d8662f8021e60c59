"""Writing while the model works: one thread that stores what is ready, in order, and never far behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from wherry.postgres.database import Database


class Writer:
    """Does what it is given one after the other on a connection of its own.

    most: how many tasks may wait, which bounds the memory, and what was paid for and is not stored yet. An error
    of a task is raised by the next call; nothing that was given after it is done.
    """

    def __init__(self, database: Database, most: int = 2) -> None:
        self.database = database.again()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wherry-writer")
        self._most = most
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def give(self, task: Callable[[Database], None]) -> None:
        """Let a task be done after those before it; waits while too many are waiting."""
        while len(self._waiting) >= self._most:
            self._take()
        self._waiting.append(self._pool.submit(self._do, task))

    def promise(self) -> Callable[[], None]:
        """Return a function that waits until all that was given so far is done, and raises what went wrong."""
        waiting = list(self._waiting)

        def wait() -> None:
            for future in waiting:
                future.result()

        return wait

    def drain(self) -> None:
        """Wait until everything is done."""
        while self._waiting:
            self._take()

    def close(self) -> None:
        """Give up what was not begun, wait for the rest, and release the connection."""
        self._failed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
        self.database.close()

    def _take(self) -> None:
        self._waiting.popleft().result()

    def _do(self, task: Callable[[Database], None]) -> None:
        if self._failed:
            return
        try:
            task(self.database)
        except BaseException:
            self._failed = True
            raise
