"""Writing to a folder so that a kill at any moment loses nothing, without rewriting the index all the time.

What Chroma was asked to store is in its SQLite log, safe from a kill, before anything else happens. The
index files are the weak spot, see `guard.py`: each rewriting needs a copy of them. So while a collection
is loaded they are rewritten after some thousand operations instead of 1,000, and `finish` brings them up
to date and gives the collection its usual setting back.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection as Handle

from wherry.stores.chroma.backlog import Backlog, backlog
from wherry.stores.chroma.guard import guarded
from wherry.stores.chroma.links import Folder

USUAL = 1000
# No more than this, for each write reads all that waits in the log again; with a remainder that nobody
# would choose, by which the number is known as ours.
MOST, _MARK = 20_011, 11


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
            self._make_room(operations)
            with folder.using() as client:
                handle = self._handle_of(client, False)
                collection = str(handle.id)
                try:
                    with guarded(folder.path, collection, folder.thresholds.get(collection), operations):
                        act(handle)
                finally:
                    folder.note_written()

    def finish(self) -> None:
        """Bring the index files up to date, and the collection back to its usual setting."""
        with self._folder.using() as client:
            handle = self._handle_of(client, True)
            configured = (handle.configuration_json.get("hnsw") or {}).get("sync_threshold")
        threshold, state = self._state(str(handle.id))
        if threshold is not None and _is_ours(threshold) and state is not None and state.waiting >= USUAL:
            # Deleting what is not there changes nothing but the count that makes Chroma rewrite its index.
            run = uuid4().hex
            nobody = [f"wherry-{run}-{number}" for number in range(threshold - state.waiting)]
            self.write(len(nobody), lambda handle: handle.delete(ids=nobody))
        if configured is not None and _is_ours(configured):
            self._configure(USUAL)

    def _make_room(self, operations: int) -> None:
        """Have the index rewritten less often from the second time on that it is about to be."""
        with self._folder.using() as client:
            collection = str(self._handle_of(client, False).id)
        threshold, state = self._state(collection)
        if threshold != USUAL or state is None or state.waiting + operations < USUAL:
            return
        self._rewritings += 1
        if self._rewritings > 1:
            self._configure(MOST)
            self._folder.reopen()

    def _state(self, collection: str) -> tuple[int | None, Backlog | None]:
        return self._folder.thresholds.get(collection), backlog(self._folder.path, collection)

    def _configure(self, threshold: int) -> None:
        with self._folder.using() as client:
            self._handle_of(client, False).modify(configuration={"hnsw": {"sync_threshold": threshold}})
            self._handle_of(client, True)


def loading_threshold(rows: int) -> int:
    """Return after how many operations Chroma shall rewrite an index while about `rows` are loaded.

    A little fewer than all of them: the last write then brings the files up to date by itself.
    """
    return min(MOST, max(1, (rows - 1) // 1000) * 1000 + _MARK)


def _is_ours(threshold: int) -> bool:
    return threshold > USUAL and threshold % 1000 == _MARK
