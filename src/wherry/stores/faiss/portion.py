"""A collection as the worker of one partition writes it: a log of its own, which the holder takes over whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from wherry.errors import Rejected
from wherry.record import Page, schema
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.faiss import log
from wherry.stores.faiss.files import Hold
from wherry.stores.faiss.sidecar import joined
from wherry.stores.faiss.staging import Staging
from wherry.stores.faiss.target import PORTION, FaissTarget

# A worker that was killed lets go at once; one that its run gave up for lost may still be at its last batch.
PATIENCE_S = 20.0


class FaissPortion(FaissTarget):
    """What one worker stages. Reads show that, and below it what is live."""

    def __init__(self, whole: FaissTarget, number: int) -> None:
        """Open portion `number` of a collection, and go on from what a lost worker left in it. Raises Busy."""
        super().__init__(whole.place, whole.shown, whole.stated)
        self._name = f"{PORTION}{number}"
        self._hold = Hold(self.place.folder / self._name, self.shown)
        self._hold.take(PATIENCE_S)

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Begin the log, or read what is in it."""
        metric = space.metric or self.stated or Metric.L2
        staging = Staging(self.place.folder, self.shown, None, metric, self._name)
        if log.opening(self._path, self.shown) is None:
            staging.begin(self.place.name, space.filled_from(Space(metric=metric)), index)
        else:
            staging.recover()
        self._staging = staging

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids, as this worker staged them or as they are live."""
        own = self._staged().fetch(ids)
        live = self._published()
        if live is None or own.num_rows == len(ids):
            return Page(own)
        rest = live.fetch(ids.filter(pc.invert(pc.is_in(ids, value_set=own.column("id")))))
        dimension = live.generation.card.dimension
        return Page(joined([own, rest.records] if own.num_rows else [rest.records], schema(dimension)))

    def finish(self, space: Space, index: Index) -> None:
        """Nothing: what is staged is for `gather`."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing more: the portion is held from the start."""
        yield

    def close(self) -> None:
        """Close the files and let go; what is staged stays."""
        if self._staging is not None:
            self._staging.close()
            self._staging = None
        if self._hold.held:
            self._hold.release()
        super().close()

    @property
    def _path(self) -> Path:
        return self.place.folder / self._name

    def _staged(self) -> Staging:
        if self._staging is None:
            raise Rejected("the portion is not open", where=self.shown, next="prepare it first")
        return self._staging
