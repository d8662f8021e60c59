"""Keeping an index true in the background: a service starts at once, and its documents follow.

The folder is listed every few seconds, which costs a stat per file and asks no database. When the listing
changes and then stays as it is for a moment, the documents are indexed; whoever saves a file in three steps
causes one run. Between processes the lease sees to it that one works and the others wait.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wherry.address import Address
from wherry.errors import Busy, NoSuchCollection, WherryError
from wherry.indexing.act import Wants, index_opened
from wherry.indexing.base import Chunker
from wherry.indexing.model import Model, Wish
from wherry.indexing.opening import Choice, Documents, sources_of
from wherry.indexing.place import opened
from wherry.indexing.results import IndexResult
from wherry.indexing.scan import scan

_LONGEST_WAIT_S = 60.0
_PREWARM = """
SELECT pg_prewarm(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.amname = 'hnsw' AND i.indisvalid
"""


@dataclass(frozen=True)
class WorkerState:
    """What a worker is at.

    state: starting, warming, indexing, waiting, failing or stopped. ready: warmed up, so that the first question is
    no slower than the next. runs: how many ended. last: the last result that did something. error: what is wrong
    now, None when nothing is. since: seconds in this state.
    """

    state: str = "starting"
    ready: bool = False
    runs: int = 0
    last: IndexResult | None = None
    error: str | None = None
    since: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        return asdict(self)


class Worker:
    """Indexes in a thread of its own, again whenever the documents change. Use as a context manager, or start and stop.

    documents, into, embedder, chunker, include, exclude: as for `index`. every_s: seconds between two looks.
    settle_s: how long a listing must stay as it is; patience_s: after which it is indexed all the same.
    told: called with each state, in the worker's thread.
    """

    def __init__(
        self,
        documents: Documents,
        into: str | os.PathLike[str] | Address,
        *,
        embedder: Wish = None,
        chunker: str | Chunker | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        every_s: float = 2.0,
        settle_s: float = 0.5,
        patience_s: float = 30.0,
        told: Callable[[WorkerState], None] | None = None,
    ) -> None:
        self._sources = sources_of(documents, Choice(tuple(include), tuple(exclude)))
        self._into, self._embedder, self._chunker = into, embedder, chunker
        self._every_s, self._settle_s, self._patience_s, self._told = every_s, settle_s, patience_s, told
        self._state, self._changed_at = WorkerState(), time.monotonic()
        self._stop, self._wake, self._caught_up = threading.Event(), threading.Event(), threading.Event()
        self._seen: list[bytes] | None = None
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="wherry-index", daemon=True)

    def start(self) -> Worker:
        """Begin; returns at once."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float | None = 30.0) -> bool:
        """End after the run that is at work; return whether it has ended."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def poke(self) -> None:
        """Look now, whatever the listing says."""
        self._seen = None
        self._wake.set()

    def caught_up(self, timeout_s: float | None = None) -> bool:
        """Wait until the documents that were there at the start are indexed; return whether they are."""
        return self._caught_up.wait(timeout_s)

    def finished(self, timeout_s: float | None = None) -> bool:
        """Wait until the worker has ended; return whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def state(self) -> WorkerState:
        """What the worker is at."""
        return replace(self._state, since=round(time.monotonic() - self._changed_at, 3))

    def __enter__(self) -> Worker:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _work(self) -> None:
        try:
            self._become("warming")
            self._attempt(self._warm)
            self._become("waiting", ready=True)
            while not self._stop.is_set():
                self._attempt(self._round)
                self._wake.wait(self._pause())
                self._wake.clear()
        except BaseException as error:
            # Not one of Wherry's own errors: it is told here and ends the thread where everyone can see it.
            self._become("stopped", error=f"{type(error).__name__}: {error}")
            raise
        self._become("stopped")

    def _attempt(self, act: Callable[[], None]) -> None:
        """Do something; what Wherry knows to go wrong is told and tried again later."""
        try:
            act()
            self._failures = 0
        except Busy as error:
            self._become("waiting", error=error.what)
            self._seen = None
        except (WherryError, OSError) as error:
            self._failures += 1
            self._seen = None
            self._become("failing", error=error.what if isinstance(error, WherryError) else str(error))

    def _pause(self) -> float:
        return min(self._every_s * 2**self._failures, max(_LONGEST_WAIT_S, self._every_s))

    def _round(self) -> None:
        listing = self._listing()
        if listing is not None and listing == self._seen:
            return
        # A file that is written all the time must not keep the others waiting for ever.
        for _ in range(max(1, math.ceil(self._patience_s / self._settle_s)) if self._settle_s > 0 else 1):
            if listing is None or self._stop.wait(self._settle_s):
                break
            before, listing = listing, self._listing()
            if before == listing:
                break
        if self._stop.is_set():
            return
        self._become("indexing")
        result = index_opened(self._sources, self._into, self._embedder, self._chunker, Wants())
        self._seen = listing
        last = result if result.run else self._state.last
        self._become("waiting", runs=self._state.runs + 1, last=last, error=None)
        self._caught_up.set()

    def _listing(self) -> list[bytes] | None:
        """Return what the sources list now; None where only reading tells whether something changed."""
        found = [scan(one.source) for one in self._sources]
        if any(item.stamp is None for one in found for item in one.listed):
            return None
        return [one.fingerprint + repr(one.failure).encode() for one in found]

    def _warm(self) -> None:
        warm(self._into, self._embedder)

    def _become(self, state: str, **more: Any) -> None:
        if state != self._state.state:
            self._changed_at = time.monotonic()
        self._state = replace(self._state, state=state, **more)
        if self._told is not None:
            self._told(self.state)


def warm(into: str | os.PathLike[str] | Address, embedder: Wish = None) -> list[str]:
    """Do once what would slow down the first question; return what was warmed: model, index.

    The model embeds one short text, which loads it where it loads late; the vector index is read into memory
    where the server has pg_prewarm. An index that is not there yet is no error.
    """
    done = []
    try:
        with opened(into) as (place, _, live):
            model = Model(embedder, live, place.target.shown)
            try:
                model.embedder.embed_query("준비")
                done.append("model")
            finally:
                model.close()
            if "table" in live.place and place.database.ask("SELECT 1 FROM pg_extension WHERE extname = 'pg_prewarm'"):
                place.database.ask(_PREWARM, [live.place["schema"], live.place["table"]])
                done.append("index")
    except NoSuchCollection:
        return done
    return done
