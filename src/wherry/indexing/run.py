"""One index run: what a source lists against what the manifest knows, and the difference made good.

    scan -> one look -> nothing to do, or: lease -> per source: differences -> read, cut (a thread ahead) ->
    compare with the manifest -> vectors that are missing, kept as they arrive (a thread behind) -> one short
    transaction that swaps chunks and manifest rows (the same thread) -> orphans, after a complete listing ->
    index, statistics -> clean mark

No transaction is open while a model is waited for, and a run that dies anywhere is simply run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from wherry.errors import BadRecord, MassDelete, WherryError
from wherry.indexing import letters
from wherry.indexing.base import Chunker, Listed
from wherry.indexing.diff import Change, Known, compare
from wherry.indexing.fingerprints import contents_fp, embed_fp, recipe_fp, source_fp
from wherry.indexing.lease import Lease
from wherry.indexing.letters import Letter
from wherry.indexing.manifest import Difference, Generation, Manifest
from wherry.indexing.model import Model
from wherry.indexing.paying import Till
from wherry.indexing.place import Place
from wherry.indexing.preparing import Piece, Prepared, prepare
from wherry.indexing.results import LISTED, Failure, Statistics
from wherry.indexing.scan import Scan, settled
from wherry.indexing.writer import Writer
from wherry.moving.streams import ahead
from wherry.postgres.database import Database

# So many chunks travel together: enough to keep a model busy, few enough to be searchable soon.
GROUP_CHUNKS = 512
GROUP_DOCUMENTS = 512
# Documents that cannot be read now are tried in every run; with more of them the run looks at everything.
_MOST_UNREAD = 100
_LEAST_GUARDED, _GUARDED_SHARE = 10, 0.2


@dataclass
class Run:
    """What the parts of a run share. retry: dead letters are tried again."""

    index: int
    generation: Generation
    place: Place
    database: Database
    lease: Lease
    model: Model
    writer: Writer
    till: Till
    allow_mass_delete: bool = False
    retry: bool = False
    progress: Callable[[str, int, int | None], None] | None = None
    statistics: Statistics = field(default_factory=Statistics)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def fail(self, failure: Failure) -> None:
        """Count a document that failed."""
        with self._lock:
            self.statistics.failed += 1
        self.tell(1)
        if len(self.failures) < LISTED:
            self.failures.append(failure)

    def same(self, documents: int) -> None:
        """Count documents that needed nothing."""
        with self._lock:
            self.statistics.unchanged += documents
        self.tell(documents)

    def tell(self, documents: int) -> None:
        """Tell whoever follows the run that so many more documents are done."""
        with self._lock:
            self.done += documents
        if self.progress is not None:
            self.progress("index", self.done, self.total)


@dataclass(frozen=True)
class _Group:
    """Documents that travel together. changes: each with its new chunks by their keys. order: texts to pay for."""

    changes: list[tuple[Change, dict[bytes, Piece]]]
    order: dict[bytes, str]


class SourceRun:
    """One source within a run."""

    def __init__(self, run: Run, scan: Scan, chunker: Chunker, dead: dict[tuple[str, str], Letter]) -> None:
        self.run, self.scan, self.chunker = run, scan, chunker
        self.source = scan.source
        self.recipe = recipe_fp(self.source.parser, chunker.identity)
        self.manifest = Manifest(run.index, run.generation.number, self.source.name)
        self.settings = run.model.settings
        self._dead = {name: letter for (source, name), letter in dead.items() if source == self.source.name}
        self._known: dict[str, Difference] = {}
        self._orphans: dict[str, Difference] = {}
        self._by_content: dict[bytes, list[str]] = {}
        self._touched: list[tuple[str, Listed]] = []
        self._unsure = {item.id: None for item in scan.unsure(scan.started_ns)}
        self._read: dict[str, bytes | None] = {}
        self._letters = 0
        self._unread: list[str] = []
        self._work: list[Listed] = []

    def look(self, chunker_spec: str, origin: str | None) -> None:
        """Find out what there is to do; both are kept so that the source can be opened again.

        Raises MassDelete, before a document of any source is written.
        """
        self.manifest.soil(self.run.database, chunker_spec, origin, self.recipe)
        self._work = self._look()

    def go(self) -> None:
        """Do what `look` found. Raises Busy, and what stores and models raise."""
        run, work = self.run, self._work
        run.statistics.scanned += len(self.scan.listed)
        run.statistics.unchanged += len(self.scan.listed) - len(work)
        run.total += len(work)
        before = self._counted()
        try:
            with ahead(self._compared(self._prepared(work)), 2) as groups:
                for group in groups:
                    self._settle(group)
            run.writer.drain()
        except BaseException:
            # What was not reached is not indexed, and the numbers say so.
            run.statistics.failed += len(work) - (self._counted() - before)
            raise
        self._touch()
        if self.scan.deletes:
            self._delete()
        if not self.scan.complete:
            run.notes.append(f"{self.source.name} could not be listed to its end, so nothing was deleted from it")

    def finish(self) -> None:
        """Set the clean mark, unless something is left that the next run has to look at."""
        if self.scan.complete and len(self._unread) <= _MOST_UNREAD:
            names = [item.id for item in self.scan.unsure(self.scan.started_ns, set(self._unread))]
            unsure = contents_fp((name, self._read.get(name)) for name in names)
            found = (self.scan.fingerprint, unsure, self._unread, self.scan.started_ns, self._letters)
            self.manifest.clean(self.run.database, *found)

    def _counted(self) -> int:
        statistics = self.run.statistics
        return statistics.changed + statistics.failed + statistics.unchanged

    def _look(self) -> list[Listed]:
        """Return the documents to read; take note of the ones the source no longer has."""
        listed = [(item.id, item.stamp) for item in self.scan.listed]
        found = self.manifest.differences(self.run.database, listed, self.recipe)
        self._known = {d.id: d for d in found if d.listed}
        if self.scan.deletes:
            self._orphans = {d.id: d for d in found if not d.listed}
        for orphan in self._orphans.values():
            if orphan.source_fp is not None:
                self._by_content.setdefault(orphan.source_fp, []).append(orphan.id)
        work = [item for item in self.scan.listed if item.id in self._known]
        self._guard([item for item in work if self._known[item.id].recipe_fp is None])
        return work

    def _guard(self, new: Sequence[Listed]) -> None:
        """Raise MassDelete, before anything is written, when too much would go that was not renamed."""
        stood = len(self.scan.listed) - len(new) + len(self._orphans)
        most = max(_LEAST_GUARDED, _GUARDED_SHARE * stood)
        if self.run.allow_mass_delete or len(self._orphans) <= most:
            return
        left = {content: len(names) for content, names in self._by_content.items()}
        for item in new:
            content = _content(item)
            if content is not None and left.get(content):
                left[content] -= 1
        gone = sum(left.values())
        if gone > most:
            raise MassDelete(
                f"{gone:,} of {stood:,} documents of {self.source.name} are gone",
                where=self.run.lease.shown,
                left="nothing was written",
                next="check the source; if they shall go, run the same command with --allow-mass-delete",
            )

    def _prepared(self, work: Iterable[Listed]) -> Iterator[tuple[Prepared, str | None]]:
        """Read and cut what changed; yield (document, id it was known under or None)."""
        for item in work:
            try:
                data = item.bytes()
            except (OSError, WherryError) as error:
                # What the system refuses now may be granted later; what is bad stays bad until it changes.
                self._letters += 1
                if not isinstance(error, BadRecord):
                    self._unread.append(item.id)
                self._failed(item.id, error, None)
                continue
            content = source_fp(data)
            if item.id in self._unsure:
                self._read[item.id] = content
            known = self._known[item.id]
            if known.source_fp == content and known.recipe_fp == self.recipe:
                self._touched.append((item.id, item))
                self.run.same(1)
                continue
            letter = self._dead.get(item.id)
            if letter is not None and letter.holds(content, self.recipe) and not self.run.retry:
                self._letters += 1
                self.run.fail(letter.failure)
                continue
            try:
                stamp = item.stamp if settled(item.stamp, self.scan.started_ns) else None
                document = prepare(self.source.name, self.chunker, self.recipe, item, data, stamp, self.settings)
            except (BadRecord, OSError) as error:
                self._letters += 1
                self._failed(item.id, error, content)
                continue
            # The document waits for its vectors now; its bytes need not.
            del data
            yield document, self._known_as(known, content)

    def _known_as(self, known: Difference, content: bytes) -> str | None:
        """Return the id under which the manifest has a document, the one it was renamed from included."""
        if known.recipe_fp is not None:
            return known.id
        names = self._by_content.get(content)
        if not names:
            return None
        name = names.pop(0)
        del self._orphans[name]
        return name

    def _compared(self, documents: Iterable[tuple[Prepared, str | None]]) -> Iterator[_Group]:
        """Compare documents with the manifest, some at a time, and order the texts nobody paid for yet."""
        run = self.run
        for part in _groups(documents):
            known = self.manifest.known(run.database, [name for _, name in part if name is not None])
            changes = [compare(document, known.get(name or "")) for document, name in part]
            keys = [{embed_fp(piece.fp, self.settings): piece for piece in change.pieces} for change in changes]
            order = run.till.order({key: piece.text for one in keys for key, piece in one.items()})
            run.statistics.chunks_reused += sum(len(c.document.pieces) for c in changes) - len(order)
            yield _Group(list(zip(changes, keys, strict=True)), order)

    def _settle(self, group: _Group) -> None:
        """Embed what a group of documents lacks, and let them be swapped in."""
        run = self.run
        lacking, stored, fatal = run.till.pay(group.order)
        ready = []
        for change, keys in group.changes:
            poison = next((key for key in keys if key in run.till.refused), None)
            if poison is not None:
                self._poisoned(change, run.till.refused[poison], keys[poison].fp)
            elif not keys.keys() & lacking:
                ready.append(change)
        if ready:
            run.writer.give(partial(self._swap, ready, stored))
        if fatal is not None:
            stored()
            run.writer.drain()
            raise fatal

    def _swap(self, changes: list[Change], stored: Callable[[], None], database: Database) -> None:
        """Put documents in place: one short transaction, old or new for every reader."""
        run = self.run
        stored()
        run.place.announce(database, run.lease, self.manifest, changes, self.settings)
        with database.begin() as connection:
            run.lease.require(connection)
            run.place.change(connection, self.manifest, changes, self.settings)
            self.manifest.record(connection, changes)
            letters.remove(connection, self.manifest.key, [change.document.id for change in changes])
        for change in changes:
            self._count(change)

    def _count(self, change: Change) -> None:
        statistics = self.run.statistics
        if change.kind == "unchanged":
            self.run.same(1)
        else:
            setattr(statistics, change.kind, getattr(statistics, change.kind) + 1)
            self.run.tell(1)

    def _poisoned(self, change: Change, error: BadRecord, chunk_fp: bytes) -> None:
        """Record a document with a text the model refuses; the one it was renamed from stays."""
        document, known = change.document, change.known
        if known is not None and known.id != document.id:
            self._orphans.pop(known.id, None)
        self._letters += 1
        self._failed(document.id, error, document.source_fp, chunk_fp)

    def _failed(self, document: str, error: Exception, source: bytes | None, chunk_fp: bytes | None = None) -> None:
        run = self.run
        message = error.what if isinstance(error, WherryError) else (getattr(error, "strerror", None) or str(error))
        attempts = letters.write(
            run.database, self.manifest.key, document, self.recipe, error, message, source, chunk_fp
        )
        run.fail(Failure(self.source.name, document, type(error).__name__, message, attempts))

    def _touch(self) -> None:
        """Remember the stamps of documents that were read in vain, so that the next run need not."""
        for part in _parts(self._touched, 5000):
            stamps = [(n, i.stamp if settled(i.stamp, self.scan.started_ns) else None) for n, i in part]
            with self.run.database.begin() as connection:
                self.run.lease.require(connection)
                self.manifest.touch(connection, stamps)
                letters.remove(connection, self.manifest.key, [name for name, _ in part])

    def _delete(self) -> None:
        """Remove what the source no longer has."""
        run = self.run
        for part in _parts(list(self._orphans), GROUP_DOCUMENTS):
            known: list[Known] = list(self.manifest.known(run.database, part).values())
            run.place.announce_gone(run.database, run.lease, self.manifest, known)
            with run.database.begin() as connection:
                run.lease.require(connection)
                run.place.drop(connection, self.manifest, known)
                self.manifest.forget(connection, part)
                letters.remove(connection, self.manifest.key, part)
            run.statistics.deleted += len(known)
        gone = set(self._dead) - {item.id for item in self.scan.listed}
        if gone:
            with run.database.begin() as connection:
                letters.remove(connection, self.manifest.key, sorted(gone))


def _content(item: Listed) -> bytes | None:
    try:
        return source_fp(item.bytes())
    except (OSError, WherryError):
        # It counts as another document here, and its error is told where it is indexed.
        return None


def _groups(documents: Iterable[tuple[Prepared, str | None]]) -> Iterator[list[tuple[Prepared, str | None]]]:
    """Collect documents until they have enough chunks to be worth a trip."""
    held: list[tuple[Prepared, str | None]] = []
    chunks = 0
    for entry in documents:
        held.append(entry)
        chunks += len(entry[0].pieces)
        if chunks >= GROUP_CHUNKS or len(held) >= GROUP_DOCUMENTS:
            yield held
            held, chunks = [], 0
    if held:
        yield held


def _parts(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
