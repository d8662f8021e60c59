"""Writing an archive: staged beside the file, published whole by `finish`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.errors import Busy, Integrity, NoSuchCollection, Refused, Rejected
from wherry.record import Page, dimension_of, schema, vectors_of
from wherry.space import Metric, Space
from wherry.stores.archive.card import Card
from wherry.stores.archive.disk import ArchiveFile, Hold, Stamp, beside, portions, require_folder
from wherry.stores.archive.form import Form
from wherry.stores.archive.publish import publish
from wherry.stores.archive.source import OWN, ArchiveSource, identity_of
from wherry.stores.archive.staging import NO_FILE, Staging, remove
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit, Index, Touched
from wherry.stores.exact import checked, search_pages
from wherry.where import Where

_PATIENCE_S = 0.5
# A worker that was killed lets go at once; one that its run gave up for lost may still be at its last batch.
PATIENCE_S = 20.0


class ArchiveTarget:
    """An archive opened for writing.

    Reads show what is staged when something is, else the file. Until `finish` the file itself stays
    as it was. Whoever has a staging holds the archive's lock.
    """

    def __init__(self, form: Form, path: Path, shown: str, stated: Metric | None = None) -> None:
        """Open the archive at `path`; creates nothing, and goes on from what a crash left behind.

        stated: the metric the address states, for an archive that is still to be made.
        """
        require_folder(path, shown)
        self.form, self.path, self.shown, self.stated = form, path, shown, stated
        self._lock = threading.RLock()
        self._hold = Hold(path, shown)
        self._staging: Staging | None = None
        self._sources: list[ArchiveSource] = []
        self._settle()

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self.shown

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they are the same file."""
        return identity_of(self.path)

    @property
    def publishes(self) -> str:
        """What `finish` replaces as a whole."""
        return "a file"

    @property
    def capabilities(self) -> Capabilities:
        """Everything survives in an archive."""
        view = self._view()
        return view.capabilities if isinstance(view, ArchiveSource) else OWN

    def describe(self) -> Collection:
        """Return what is staged, else what the file holds; one that is still to be made has nothing."""
        view = self._view()
        if isinstance(view, ArchiveSource):
            return view.describe()
        volume, layout = str(self.path.parent), self.form.suffix.removeprefix(".")
        if view is None:
            space = Space(metric=self.stated)
            return Collection(self.path.stem, False, 0, space, volume=volume, layout=layout)
        card = self._staged_card(view)
        return Collection(
            card.name,
            True,
            card.count,
            card.space,
            card.index,
            bytes=view.path.stat().st_size,
            notes=("changes are staged beside the file and not published yet",),
            layout=layout,
            volume=volume,
            extra=card.extra,
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records as of now, in order of their first arrival."""
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
        return view.fetch(ids)

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest of the records as of now; every search reads them all."""
        found = self.describe()
        if not found.exists:
            raise NoSuchCollection(f"there is no archive {self.path.name!r} yet", where=self.address)
        return search_pages(self.scan(), checked(vector, k, found.space, self.address), where)

    def mark(self) -> str | None:
        """Return a digest of the published file, None while something is staged."""
        view = self._view()
        return view.mark() if isinstance(view, ArchiveSource) else None

    def touched(self, mark: str) -> Touched | None:
        """Tell that nothing was, where the published file is the same."""
        view = self._view()
        return view.touched(mark) if isinstance(view, ArchiveSource) else None

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Make an archive that is not there; one that is there keeps its settings.

        Raises SpaceMismatch, or Refused when the file holds what could not be written back.
        """
        with self._lock:
            view = self._view()
            if view is None:
                card = Card(self.path.stem, 0, space, index)
                self._stage(card, None)
                return
            card = self._staged_card(view) if isinstance(view, Staging) else view.card
            card.space.require_same(space, self.shown, "what is to be written")
            self._require_writable(card)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records, each replacing what was under its id; durable on return."""
        if batch.num_rows == 0:
            return
        if not np.isfinite(vectors_of(batch)).all():
            raise self._rejected("a vector holds NaN or an infinity")
        if pc.min(pc.binary_length(batch.column("id"))).as_py() == 0:
            raise self._rejected("an id is empty")
        staging = self._staged()
        if staging.dimension is None:
            staging.remember(dimension=dimension_of(batch))
        if staging.dimension != dimension_of(batch):
            raise self._rejected(f"{dimension_of(batch)} components, the archive has {staging.dimension}")
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
            base = staging.recall("base")
            if staging.pending or base == NO_FILE:
                self._require_base(base)
                card = self._staged_card(staging)
                own = card.index if card.index != Index() else index
                card = replace(card, space=card.space.filled_from(space), index=own)
                publish(self.form, self.path, self.shown, staging, card)
            else:
                staging.remove()
            self._let_go()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the archive against other writers, also on other machines, or raise Busy."""
        with self._lock:
            self._hold.take(_PATIENCE_S)
        try:
            if self._staging is None:
                self._recover()
            with self._lock:
                self._take_over(joining=False)
            yield
        finally:
            with self._lock:
                self._hold.release()

    def portion(self, number: int) -> ArchiveTarget:
        """Return the archive as the worker of one partition writes it."""
        from wherry.stores.archive.portion import ArchivePortion

        return ArchivePortion(self, number)

    def gather(self, number: int | None = None) -> None:
        """Take over what the workers of this run staged: at the end, when it is joined as it lies. The lock is held."""
        if number is not None:
            return
        with self._lock:
            self._take_over(joining=self._staging is not None and not self._staging.count())

    def _take_over(self, joining: bool) -> None:
        """Take over every portion. joining: as it lies, since no two hold one id; else record by record."""
        for path in portions(self.path):
            hold = Hold(path, self.shown)
            hold.take(PATIENCE_S)
            try:
                self._take(Staging(path, self.shown), joining)
            finally:
                hold.release()

    def _take(self, portion: Staging, joining: bool) -> None:
        """Take over one portion; remove it where nothing was put down in it."""
        try:
            facts = portion.recall("card")
            if facts is None or not portion.pending:
                portion.remove()
                return
            if self._staging is None and self._published() is None:
                space, index = Space.from_dict(facts["space"]), Index(**facts["index"])
                self._stage(Card(facts["name"], 0, space, index), None)
            take = self._staged().join if joining else self._staged().absorb
            take(portion)
        except BaseException:
            portion.close()
            raise

    def close(self) -> None:
        """Close every file; what is staged stays for the next run."""
        with self._lock:
            if self._staging is not None:
                self._staging.close()
                self._let_go()
            while self._sources:
                self._sources.pop().close()

    def _view(self) -> Staging | ArchiveSource | None:
        with self._lock:
            return self._staging if self._staging is not None else self._published()

    def _published(self) -> ArchiveSource | None:
        """Return the file as it is now, validated once per state of it."""
        current = Stamp.of(self.path)
        if current is None:
            return None
        if not self._sources or self._sources[-1].file.stamp != current:
            # The ones before stay open: a scan of them may still be running.
            self._sources.append(ArchiveSource(self.form, ArchiveFile.open(self.path, self.shown), self.stated))
        return self._sources[-1]

    def _settle(self) -> None:
        if not any(beside(self.path, name).exists() for name in ("staging", "tmp")):
            return
        try:
            self._hold.take()
        except Busy:
            # They belong to a run that is at work; until it publishes, the file is what there is.
            return
        try:
            self._recover()
        finally:
            self._hold.release()

    def _recover(self) -> None:
        """Sweep what a crash left, and go on from what it had staged; the lock is held."""
        beside(self.path, "tmp").unlink(missing_ok=True)
        path = beside(self.path, "staging")
        if not path.exists():
            return
        staging = Staging(path, self.shown)
        current = Stamp.of(self.path)
        now = NO_FILE if current is None else str(current)
        if staging.recall("next") == now:
            # All that workers staged for it is published too.
            for portion in portions(self.path):
                remove(portion)
        if not staging.pending or staging.recall("next") == now:
            staging.remove()
            return
        try:
            if staging.recall("base") != now:
                self._rebase(staging, self._published())
        except BaseException:
            staging.close()
            raise
        self._hold.take()
        self._staging = staging

    def _rebase(self, staging: Staging, source: ArchiveSource | None) -> None:
        if source is None:
            staging.rebase(None, ())
            return
        self._require_writable(source.card)
        theirs, ours = source.card.space, Space(dimension=staging.dimension)
        theirs.require_same(ours, self.shown, "what an unfinished run staged beside it")
        staging.rebase(source.file.stamp, source.scan())

    def _staged(self) -> Staging:
        with self._lock:
            if self._staging is None:
                source = self._published()
                self._stage(Card(self.path.stem, 0, Space()) if source is None else source.card, source)
            assert self._staging is not None
            return self._staging

    def _stage(self, card: Card, source: ArchiveSource | None) -> None:
        """Begin a staging that holds what the file holds."""
        self._require_writable(card)
        self._hold.take()
        try:
            # What lies there without a lock was left behind, and `_recover` has had its look at it.
            remove(beside(self.path, "staging"))
            staging = Staging(beside(self.path, "staging"), self.shown)
        except BaseException:
            self._hold.release()
            raise
        try:
            facts = {"name": card.name, "extra": card.extra, "index": asdict(card.index)}
            staging.remember(card={**facts, "space": card.space.to_dict()}, dimension=card.space.dimension)
            self._rebase(staging, source)
        except BaseException:
            staging.remove()
            self._hold.release()
            raise
        self._staging = staging

    def _let_go(self) -> None:
        self._staging = None
        self._hold.release()

    def _staged_card(self, staging: Staging) -> Card:
        found = staging.recall("card")
        space = Space.from_dict(found["space"]).filled_from(Space(dimension=staging.dimension))
        return Card(found["name"], staging.count(), space, Index(**found["index"]), extra=found["extra"])

    def _require_writable(self, card: Card) -> None:
        if card.losses:
            raise Refused(
                f"writing this file anew would lose something: {'; '.join(card.losses)}",
                where=self.shown,
                left="nothing was written",
                next="sync it into a new archive first, or choose another target",
            )

    def _require_base(self, base: str) -> None:
        current = Stamp.of(self.path)
        if base != (NO_FILE if current is None else str(current)):
            raise Integrity(
                "somebody else changed the archive during this run",
                where=self.shown,
                left="their file, and beside it what this run has staged",
                next="run the same command again: it lays the staged records over the changed file",
            )

    def _rejected(self, words: str) -> Rejected:
        return Rejected(f"an archive cannot hold this batch: {words}", where=self.shown, left="none of it was written")
