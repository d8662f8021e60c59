"""Threads that wait for models.

The library's executors make a program that ends wait for every thread; a model that takes minutes to answer
would keep Ctrl-C waiting as long. These threads end with the program.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Crew:
    """At most `most` threads, begun when they are needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._free = 0
        self._lock = Lock()

    def give(self, act: Callable[[], T]) -> Future[T]:
        """Let a thread carry out `act`; return where its result will be."""
        future: Future[T] = Future()
        with self._lock:
            if self._free > 0:
                self._free -= 1
            elif self._threads < self._most:
                self._threads += 1
                Thread(target=self._work, name="wherry-model", daemon=True).start()
        self._jobs.put((future, act))
        return future

    def close(self) -> None:
        """Let the threads end after what they are doing; waits for none."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = self._free = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, act = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(act())
                except BaseException as error:
                    # Whoever asks for the result meets it there.
                    future.set_exception(error)
            with self._lock:
                self._free += 1
