"""The readers of the story: they ask by the route all the time, whatever is done to it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from itertools import count

import wherry
from wherry.errors import WherryError

_PAUSE_S = 0.1
K = 5


class Readers:
    """Two readers of a route. answers: by the side they came from, in its engine's word. failed: what went wrong."""

    def __init__(self, route: str, questions: Sequence[str]) -> None:
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []
        self._route, self._questions = route, questions
        self._turn, self._lock, self._ended = count(), threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._read, name=f"demo-reader-{n}") for n in range(2)]

    @property
    def asked(self) -> int:
        """How many questions were answered so far."""
        with self._lock:
            return sum(self.answers.values())

    def close(self) -> None:
        """Let them finish what they ask."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> None:
        with wherry.route(self._route) as reader:
            while not self._ended.wait(_PAUSE_S):
                self._ask(reader, self._questions[next(self._turn) % len(self._questions)])

    def _ask(self, reader: wherry.Reader, question: str) -> None:
        try:
            found = reader.search(question, k=K, mode="vector")
        except WherryError as error:
            with self._lock:
                self.failed.append(f"{type(error).__name__}: {error.what}")
            return
        with self._lock:
            self.answers[found.address.partition(":")[0]] += 1
            if len(found) != K:
                self.failed.append(f"{len(found)} hits instead of {K}")
