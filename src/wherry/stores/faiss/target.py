"""Writing a collection: staged beside the live generation, published whole by `finish`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.errors import Integrity, Rejected, UnknownMetric
from wherry.record import Page, dimension_of, schema, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit, Index, Touched
from wherry.stores.exact import checked, search_pages
from wherry.stores.faiss import log
from wherry.stores.faiss.claims import OWN
from wherry.stores.faiss.files import STAGING, Hold, pointed, sweep
from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.place import Place
from wherry.stores.faiss.publish import publish
from wherry.stores.faiss.source import FaissSource, mark_of
from wherry.stores.faiss.staging import Staging
from wherry.where import Where

PORTION = "portion-"
_NOTE = "changes are staged beside the index and not published yet"


class FaissTarget:
    """A collection opened for writing.

    Reads show what is staged when something is, else the live generation. Until `finish` that one stays
    in service for everybody else. Whoever has a staging holds the collection's lock.
    """

    def __init__(self, place: Place, shown: str, stated: Metric | None = None) -> None:
        """Open the collection; creates nothing. stated: the metric for one that is still to be made."""
        self.place, self.shown, self.stated = place, shown, stated
        self._lock = threading.RLock()
        self._hold = Hold(place.folder, shown)
        self._staging: Staging | None = None
        self._source: FaissSource | None = None

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self.shown

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection."""
        return self.place.identity

    @property
    def publishes(self) -> str:
        """What `finish` replaces as a whole."""
        return "a generation"

    @property
    def capabilities(self) -> Capabilities:
        """Everything survives: the sidecar keeps what the index cannot."""
        return OWN

    def describe(self) -> Collection:
        """Return what is staged, else what is live; one that is still to be made has nothing."""
        view = self._view()
        if isinstance(view, FaissSource):
            return view.describe()
        if view is None:
            return Collection(self.place.name, False, 0, Space(metric=self.stated), volume=str(self.place.folder))
        return Collection(
            view.name,
            True,
            view.count,
            view.space,
            view.index,
            bytes=view.bytes,
            notes=(_NOTE,),
            volume=str(self.place.folder),
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records as of now."""
        view = self._view()
        if isinstance(view, Staging):
            yield from view.pages(rows)
        elif view is not None:
            yield from view.scan(rows)

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id."""
        view = self._view()
        if view is not None:
            yield from view.ids(rows)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        view = self._view()
        if view is None:
            return Page(pa.RecordBatch.from_pylist([], schema=schema(0)))
        return Page(view.fetch(ids)) if isinstance(view, Staging) else view.fetch(ids)

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k records nearest to a vector; what is staged is compared one by one."""
        view = self._view()
        if isinstance(view, FaissSource):
            return view.search(vector, k, where, exact)
        query = checked(vector, k, self.describe().space if view is None else view.space, self.shown)
        return [] if view is None else search_pages(view.pages(PAGE_ROWS), query, where)

    def mark(self) -> str | None:
        """Return the name of the live generation, None while something is staged."""
        view = self._view()
        return mark_of(view.generation, self.identity) if isinstance(view, FaissSource) else None

    def touched(self, mark: str) -> Touched | None:
        """Tell that nothing was, where the same generation is live."""
        view = self._view()
        return view.touched(mark) if isinstance(view, FaissSource) else None

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Make a collection that is not there; one that is there keeps its settings.

        Raises SpaceMismatch, or UnknownMetric for a new one: a FAISS index always has a metric.
        """
        with self._lock:
            said = Space(metric=self.stated)
            space.require_same(said, "the records", f"?metric= of {self.shown}")
            view = self._view()
            if view is not None:
                view.space.require_same(space, self.shown, "what is to be written")
                return
            space = space.filled_from(said)
            if space.metric is None:
                raise UnknownMetric(
                    where=self.shown, left="nothing was created", next="state it: ?metric=cosine (or l2, ip, l1)"
                )
            self._stage(space, index)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records, each replacing what was under its id; durable on return."""
        if batch.num_rows == 0:
            return
        if not np.isfinite(vectors_of(batch)).all():
            raise self._rejected("a vector holds NaN or an infinity")
        if pc.min(pc.binary_length(batch.column("id"))).as_py() == 0:
            raise self._rejected("an id is empty")
        staging = self._staged()
        if staging.space.dimension not in (None, dimension_of(batch)):
            raise self._rejected(f"{dimension_of(batch)} components, the collection has {staging.dimension}")
        staging.upsert(batch)

    def delete(self, ids: pa.Array) -> None:
        """Delete records; ids that are not there are ignored."""
        if len(ids):
            self._staged().delete(ids)

    def finish(self, space: Space, index: Index) -> None:
        """Publish what is staged; where nothing was changed since the last time, do nothing."""
        with self._lock:
            staging = self._staging
            if staging is None:
                return
            base = staging.base
            if pointed(self.place.folder) != (None if base is None else base.folder.name):
                raise self._changed()
            if staging.pending or base is None:
                staging.space = staging.space.filled_from(space)
                live = publish(self.place.folder, self.shown, staging, self._index(staging, index))
                self._show(live)
            else:
                staging.remove()
            self._let_go()

    @staticmethod
    def _index(staging: Staging, wanted: Index) -> Index:
        """An existing collection keeps its index; a new one takes the first that was asked for."""
        if staging.base is not None:
            return staging.base.card.index
        return wanted if staging.index.kind == "none" else staging.index

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers, also on other machines, or raise Busy."""
        with self._lock:
            self._hold.take()
        try:
            with self._lock:
                self._recover()
                self.gather()
            yield
        finally:
            with self._lock:
                self._hold.release()

    def portion(self, number: int) -> FaissTarget:
        """Return the collection as the worker of one partition writes it."""
        from wherry.stores.faiss.portion import FaissPortion

        return FaissPortion(self, number)

    def gather(self, number: int | None = None) -> None:
        """Take over what workers staged; without a number those of a run that was killed, too. The lock is held."""
        with self._lock:
            for path in self._portions("*" if number is None else str(number)):
                self._take_over(path)
            if number is None:
                self._tidy()

    def _portions(self, wanted: str = "*") -> list[Path]:
        found = self.place.folder.glob(f"{PORTION}{wanted}")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def _tidy(self) -> None:
        """Remove what a crash left of a staging, unless there are portions: their vectors lie there, too."""
        path = self.place.folder / STAGING
        if self._portions():
            return
        if self._staging is not None:
            self._staging.trim()
        elif path.is_dir():
            log.remove(path)

    def _take_over(self, path: Path) -> None:
        from wherry.stores.faiss.portion import PATIENCE_S

        hold = Hold(path, self.shown)
        hold.take(PATIENCE_S)
        try:
            facts = log.opening(path, self.shown)
            if facts is None:
                log.remove(path)
                return
            if self._staging is None:
                self._stage(Space.from_dict(facts["space"]), Index(**facts["index"]))
            assert self._staging is not None
            self._staging.absorb(path)
        finally:
            hold.release()

    def close(self) -> None:
        """Close every file; what is staged stays for the next run."""
        with self._lock:
            if self._staging is not None:
                self._staging.close()
                self._let_go()
            if self._source is not None:
                self._source.close()
                self._source = None

    def _view(self) -> Staging | FaissSource | None:
        with self._lock:
            return self._staging if self._staging is not None else self._published()

    def _published(self) -> FaissSource | None:
        """Return the live generation, opened and checked once."""
        name = pointed(self.place.folder)
        if name is None:
            return None
        if self._source is None or self._source.generation.folder.name != name:
            live = Generation.live(self.place.folder, self.shown)
            if live is None:
                return None
            self._show(live)
        return self._source

    def _show(self, generation: Generation) -> None:
        """Show another generation from now on; scans of the one before go on."""
        before, self._source = self._source, FaissSource(self.place, self.shown, generation, self.stated)
        if before is not None:
            before.rest()

    def _recover(self) -> None:
        """Sweep what a crash left, and go on from what it had staged; the lock is held."""
        if self._staging is not None:
            return
        live = pointed(self.place.folder)
        sweep(self.place.folder, live)
        facts = log.opening(self.place.folder / STAGING, self.shown)
        if facts is None:
            self._tidy()
            return
        source = self._published()
        staging = Staging(self.place.folder, self.shown, source and source.generation, _metric(facts))
        try:
            staging.recover()
        except BaseException:
            staging.close()
            raise
        published = live is not None and staging.published_as == live
        if published or not (staging.pending or self._portions()):
            staging.remove()
            return
        self._hold.take()
        self._staging = staging
        self._tidy()

    def _staged(self) -> Staging:
        with self._lock:
            if self._staging is None:
                source = self._published()
                if source is None and self.stated is None:
                    raise Rejected("the collection is not there yet", where=self.shown, next="prepare it first")
                space = Space(metric=self.stated) if source is None else source.space
                return self._stage(space, Index())
            return self._staging

    def _stage(self, space: Space, index: Index) -> Staging:
        """Begin a staging, or go on with one that a crash left; whoever has it holds the lock."""
        self._hold.take()
        try:
            self._recover()
            staging = self._staging
            if staging is None:
                source = self._published()
                staging = Staging(
                    self.place.folder, self.shown, source and source.generation, space.metric or Metric.L2
                )
                staging.begin(self.place.name, space, index)
                self._hold.take()
                self._staging = staging
            staging.space.require_same(space, self.shown, "what is to be written")
            return staging
        finally:
            self._hold.release()

    def _changed(self) -> Integrity:
        return Integrity(
            "somebody else changed the collection during this run",
            where=self.shown,
            left="theirs, and beside it what this run has staged",
            next="run the same command again: it lays the staged records over theirs",
        )

    def _let_go(self) -> None:
        self._staging = None
        self._hold.release()

    def _rejected(self, words: str) -> Rejected:
        return Rejected(
            f"the collection cannot hold this batch: {words}", where=self.shown, left="none of it was written"
        )


def _metric(facts: dict[str, Any]) -> Metric:
    return Space.from_dict(facts["space"]).metric or Metric.L2
