"""Writing to a folder so that a kill at any moment loses nothing, without rewriting the index all the time.

What Chroma was asked to store is in its SQLite log, safe from a kill, before anything else happens. The
index files are the weak spot, see `guard.py`: each rewriting needs a copy of them. So while a collection
is loaded they are rewritten after some thousand operations instead of 1,000, and `finish` brings them up
to date and gives the collection its usual setting back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from uuid import uuid4

from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection as Handle

from wherry.stores.chroma.backlog import backlog, due
from wherry.stores.chroma.guard import bring_to_disk, guarded
from wherry.stores.chroma.links import Folder

USUAL = 1000
# Each write reads all that waits in Chroma's log again (60,000 operations a second), each rewriting costs
# the copy of the index as well: small collections want few thousands, large ones more. The remainder is
# one that nobody would choose, by which the number is known as ours.
_MOST_THOUSANDS, _MARK = 20, 11
_PATIENCE = 2


class Loading:
    """Writes one collection of a folder. handle_of: how to get it from a client; anew=True asks Chroma."""

    def __init__(self, folder: Folder, handle_of: Callable[[ClientAPI, bool], Handle]) -> None:
        self._folder = folder
        self._handle_of = handle_of
        self._rewritings = 0

    def write(self, operations: int, act: Callable[[Handle], object]) -> None:
        """Do what Chroma logs as so many operations."""
        folder = self._folder
        with folder.writing:
            folder.refresh()
            with folder.using() as client:
                handle = self._handle_of(client, False)
                threshold = folder.thresholds.get(str(handle.id))
                rewriting = due(folder.path, str(handle.id), threshold, operations)
                try:
                    with guarded(folder.path, rewriting):
                        act(handle)
                finally:
                    folder.note_written()
            if rewriting is not None and threshold is not None:
                self._rewrite_less_often(handle, threshold)

    def finish(self) -> None:
        """Bring the index files up to date, and the collection back to its usual setting."""
        with self._folder.using() as client:
            handle = self._handle_of(client, True)
            configured = (handle.configuration_json.get("hnsw") or {}).get("sync_threshold")
        threshold = self._folder.thresholds.get(str(handle.id))
        state = backlog(self._folder.path, str(handle.id))
        if threshold is not None and _is_ours(threshold) and state is not None and state.waiting >= USUAL:
            # Deleting what is not there changes nothing but the count that makes Chroma rewrite its index.
            run = uuid4().hex
            nobody = [f"wherry-{run}-{number}" for number in range(threshold - state.waiting)]
            self.write(len(nobody), lambda handle: handle.delete(ids=nobody))
        if configured is not None and _is_ours(configured):
            self._configure(USUAL)
        if state is not None:
            bring_to_disk(self._folder.path / state.segment)

    def _rewrite_less_often(self, handle: Handle, threshold: int) -> None:
        """Adapt the setting to the size of the index, from the second rewriting on; nothing waits just now."""
        self._rewritings += 1
        if self._rewritings < _PATIENCE or not (threshold == USUAL or _is_ours(threshold)):
            return
        with self._folder.using():
            wanted = replacing_threshold(handle.count())
        if wanted > 2 * threshold:
            self._configure(wanted)
            self._folder.reopen()

    def _configure(self, threshold: int) -> None:
        with self._folder.using() as client:
            self._handle_of(client, False).modify(configuration={"hnsw": {"sync_threshold": threshold}})
            self._handle_of(client, True)


def loading_threshold(rows: int) -> int:
    """Return after how many operations Chroma shall rewrite a new index while `rows` records are loaded."""
    return _marked(rows // 10_000)


def replacing_threshold(records: int) -> int:
    """Return the same for an index of `records` that is there and may be written in small steps."""
    return _marked(round(math.sqrt(records) / 70))


def _marked(thousands: int) -> int:
    return min(_MOST_THOUSANDS, max(1, thousands)) * 1000 + _MARK


def _is_ours(threshold: int) -> bool:
    return threshold > USUAL and threshold % 1000 == _MARK
