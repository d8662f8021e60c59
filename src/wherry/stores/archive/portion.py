"""An archive as the worker of one partition writes it: a staging of its own, which the holder takes over whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from wherry.errors import Rejected
from wherry.record import Page, joined
from wherry.space import Space
from wherry.stores.archive.disk import Hold, beside, portion_path
from wherry.stores.archive.staging import Staging
from wherry.stores.archive.target import PATIENCE_S, ArchiveTarget
from wherry.stores.base import Index


class ArchivePortion(ArchiveTarget):
    """What one worker stages. Reads by id show that, and below it what the archive holds or an earlier run staged."""

    def __init__(self, whole: ArchiveTarget, number: int) -> None:
        """Open portion `number` of an archive, and go on from what a lost worker left in it. Raises Busy."""
        super().__init__(whole.form, whole.path, whole.shown, whole.stated)
        self._path = portion_path(self.path, number)
        self._own = Hold(self._path, self.shown)
        self._own.take(PATIENCE_S)
        self._held = True
        self._below: Staging | None = None

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Make the staging, or open the one that is there."""
        self._staging = Staging(self._path, self.shown)
        facts = {"name": self.path.stem, "extra": {}, "index": asdict(index), "space": space.to_dict()}
        self._staging.remember(card=facts, dimension=self._staging.dimension or space.dimension)
        staged = beside(self.path, "staging")
        if staged.exists():
            self._below = Staging(staged, self.shown)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids, as this worker staged them or as they were before."""
        own = self._staged().fetch(ids)
        rest = ids.filter(pc.invert(pc.is_in(ids, value_set=own.ids)))
        below = self._below or self._published()
        if below is None or not len(rest):
            return own
        found = below.fetch(rest)
        if not own.read:
            return found
        records = [part for part in (own.records, found.records) if part.num_rows]
        return Page(joined(records), found.rejects)

    def finish(self, space: Space, index: Index) -> None:
        """Nothing: what is staged is for `gather`."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing more: the portion is held from the start."""
        yield

    def close(self) -> None:
        """Close the files and let go; what is staged stays."""
        for staging in (self._staging, self._below):
            if staging is not None:
                staging.close()
        self._staging = self._below = None
        if self._held:
            self._held = False
            self._own.release()
        super().close()

    def _staged(self) -> Staging:
        if self._staging is None:
            raise Rejected("the portion is not open", where=self.shown, next="prepare it first")
        return self._staging
