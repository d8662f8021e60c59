"""Bringing the spool up to date with the service: one listing, and the chunks of what is new in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from wherry.stores.llamacloud.chunks import Row, rows_of
from wherry.stores.llamacloud.link import Link
from wherry.stores.llamacloud.listing import Document, documents_of
from wherry.stores.llamacloud.spool import Spool

# Answers that may wait for their turn, per thread: enough to keep all busy, few enough for flat memory.
_AHEAD = 2
# Listings per refresh.
_ROUNDS = 4


class Reading:
    """Reads one pipeline into a spool."""

    def __init__(self, link: Link, pipeline: str, spool: Spool) -> None:
        self._link, self._pipeline, self._spool = link, pipeline, spool
        # Whether the spool holds all that the last listing named.
        self.whole = False
        # Documents that the first listing found as an earlier reading had left them.
        self.spared: int | None = None

    def refresh(self) -> None:
        """List the documents and read those that are not known as they are now, until a listing has none.

        Reading many takes long; what changed meanwhile is seen by the next listing. A pipeline that never
        rests is left to the check at the end of a scan.
        """
        self.whole = False
        for _ in range(_ROUNDS):
            if not self._read(self._unknown()):
                break
        self.whole = True

    def _unknown(self) -> list[Document]:
        """List the documents, forget those that are no more, and return those to be read."""
        listed = documents_of(self._link, self._pipeline)
        known = {held.id: held.stamp for held in self._spool.documents()}
        self._spool.drop(known.keys() - {document.id for document in listed})
        wanted = [document for document in listed if known.get(document.id) != document.stamp]
        if self.spared is None:
            self.spared = len(listed) - len(wanted)
        return wanted

    def _read(self, wanted: list[Document]) -> int:
        """Read documents, several at a time; return how many."""
        if not wanted:
            return 0
        most = self._link.place.concurrency * _AHEAD
        with self._threads() as threads:
            waiting: deque[tuple[Document, Future[list[Row] | None]]] = deque()
            for document in wanted:
                waiting.append((document, threads.submit(self._chunks, document)))
                if len(waiting) >= most:
                    self._take(*waiting.popleft())
            while waiting:
                self._take(*waiting.popleft())
        return len(wanted)

    def _take(self, document: Document, answer: Future[list[Row] | None]) -> None:
        self._spool.put(document, answer.result())

    def _chunks(self, document: Document) -> list[Row] | None:
        found = self._link.chunks(self._pipeline, document.id)
        return None if found is None else list(rows_of(document.id, found, self._link.place.carry))

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        threads = ThreadPoolExecutor(self._link.place.concurrency, thread_name_prefix="llamacloud")
        try:
            yield threads
        except BaseException:
            # Nobody waits for the others: what they ask for will be asked for again.
            with self._link.pace.halted():
                threads.shutdown(wait=True, cancel_futures=True)
            raise
        threads.shutdown(wait=True)


__all__ = ["Reading"]
