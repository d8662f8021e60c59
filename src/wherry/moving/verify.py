"""Comparing two collections, and saying how thoroughly that was done.

    counted   the number of records
    ids       every id
    digests   every record of the source against what was recorded when it was written
    deep      both sides read again, value by value

Only `deep` may say "verified". What it finds wrong with the target is noted in the journal, so that
the next sync mends exactly that.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import Usage
from wherry.moving.census import differing, take_stock
from wherry.moving.differences import Tolerance, differences, tolerance_between, tolerance_named
from wherry.moving.journal import Journal, printable
from wherry.moving.ledger import Ledger
from wherry.moving.losses import Projection, possible
from wherry.moving.opening import Source, reading
from wherry.moving.pairing import Paired, pairs
from wherry.moving.progress import Progress, silent
from wherry.moving.proofs import Marks, Proof
from wherry.moving.repeats import repeated_ids
from wherry.moving.results import LISTED, Difference, Level, Verification
from wherry.moving.sorting import Sorter
from wherry.moving.streams import ahead, beside
from wherry.record import Reject
from wherry.space import Metric
from wherry.stores.base import Collection, Readable, glance


def verify(
    source: Source,
    target: Source,
    *,
    level: str | Level = Level.DEEP,
    tolerance: str = "auto",
    progress: Progress = silent,
) -> Verification:
    """Compare two collections at a level and return every difference by id and field.

    tolerance: how exactly vectors must agree. `auto` takes it from the two engines; `unit` compares
    unit vectors within 1e-6, which is what remains after a way through an engine that rounds; `exact`
    and `half` likewise. Neither side is written to.

    Raises SpaceMismatch when the vectors may not be compared, Usage when `digests` is asked for and
    nothing was recorded, StoreError when a side cannot be read.
    """
    wanted = level if isinstance(level, Level) else Level.parse(level)
    with reading(source) as left, reading(target) as right:
        return _Comparison(left, right, wanted, tolerance_named(tolerance), progress).run()


@dataclass
class _Found:
    """The differences so far: the first of them by name, all of them by number."""

    compared: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    unreadable: int = 0
    listed: list[Difference] = field(default_factory=list)
    wrong_ids: list[str] = field(default_factory=list)
    unreadable_ids: set[str] = field(default_factory=set)

    @property
    def any(self) -> bool:
        """Whether anything was found."""
        return bool(self.missing or self.extra or self.different or self.unreadable)

    def add(self, found: list[Difference]) -> None:
        """Add differences; several fields of one record count once."""
        self.missing += sum(d.kind == "missing" for d in found)
        self.extra += sum(d.kind == "extra" for d in found)
        unequal = {d.id for d in found if d.kind == "different"}
        self.different += len(unequal)
        unreadable = [d.id for d in found if d.kind == "unreadable"]
        self.unreadable += len(unreadable)
        self.unreadable_ids.update(unreadable)
        self.wrong_ids += unequal
        self.listed += found[: LISTED - len(self.listed)]


class _Comparison:
    """One comparison of two open stores."""

    def __init__(
        self, left: Readable, right: Readable, level: Level, tolerance: Tolerance | None, progress: Progress
    ) -> None:
        self.left, self.right, self.level, self.progress = left, right, level, progress
        # Counting is what takes long about it, and the two can count at the same time.
        with beside(lambda: self._looked_at(right)) as described:
            self.from_, self.to = self._looked_at(left), described()
        self.from_.space.require_same(self.to.space, left.address, right.address)
        self.metric: Metric | None = self.from_.space.metric or self.to.space.metric
        self.projection = Projection(right.capabilities)
        self.tolerance = tolerance or tolerance_between(left.capabilities, right.capabilities, self.metric)
        self.found = _Found()

    def run(self) -> Verification:
        """Compare at the level."""
        started = time.perf_counter()
        act = {
            Level.COUNTED: self._counted,
            Level.IDS: self._ids,
            Level.DIGESTS: self._digests,
            Level.DEEP: self._deep,
        }[self.level]
        act()
        return self._result(time.perf_counter() - started)

    def _looked_at(self, store: Readable) -> Collection:
        # Where all is read, what cannot be compared is met record by record.
        return glance(store) if self.level is Level.DEEP else store.describe()

    def _counted(self) -> None:
        short = self.from_.count - self.to.count
        self.found.missing, self.found.extra = max(0, short), max(0, -short)

    def _ids(self) -> None:
        with Journal("", path=":memory:") as scratch:
            ledger = Ledger(scratch)
            for page in self.left.ids():
                ledger.adopt(page.to_pylist(), [None] * len(page))
            self._compare_ids(ledger)
            self.found.compared = ledger.count()

    def _compare_ids(self, ledger: Ledger) -> None:
        missing, extra = differing(ledger, self.right.ids())
        self.found.add([Difference(i, "missing") for i in missing] + [Difference(i, "extra") for i in extra])

    def _digests(self) -> None:
        """Compare the source with what was recorded when it was written, and read where nothing was."""
        with tempfile.TemporaryDirectory(prefix="wherry-verify-") as scratch, Journal(self.right.identity) as journal:
            ledger = Ledger(journal)
            if ledger.count() == 0 or ledger.unknown() or ledger.unchecked():
                raise Usage(
                    "the journal does not know the whole target, so digests prove nothing",
                    where=self.right.address,
                    left="nothing was changed",
                    next="use --level deep, or run sync first",
                )
            # On a copy: what the listing of the target teaches is for the next sync to write down.
            with journal.copy(Path(scratch) / "journal.sqlite3") as copy:
                take_stock(Ledger(copy), self.right.ids())
                self._compare_digests(Ledger(copy))

    def _compare_digests(self, ledger: Ledger) -> None:
        sorter = Sorter(
            ledger,
            self.right.capabilities,
            self.from_.space,
            self.projection,
            self.tolerance,
            self.right.fetch,
            self.left.capabilities,
        )
        with ahead(self.left.scan()) as pages:
            for page in pages:
                found = sorter.sort(page)
                self.found.compared += page.read
                self._add_rejects(found.rejects, self.left.address)
                self.found.add(
                    [Difference(i, "missing") for i in found.new.ids.to_pylist()]
                    + [Difference(i, "different", "digest") for i in found.changed.ids.to_pylist()]
                )
                self.progress("verify", self.found.compared, self.from_.count)
        for ids in sorter.unmet():
            self.found.add([Difference(i, "extra") for i in ids])

    def _deep(self) -> None:
        at, marks = time.time(), Marks.of(self.left, self.right)
        repeated = {**_repeats(self.left, "source"), **_repeats(self.right, "target")}
        self.found.add([Difference(i, "different", "id", words) for i, words in repeated.items()])
        # Closed here: left by Ctrl-C, the generator would go on reading sides that are being closed.
        with closing(pairs(self.left, self.right)) as found:
            for pair in found:
                if pair.left is not None and pair.right is not None:
                    self.found.add(differences(self.projection.apply(pair.left), pair.right, self.tolerance))
                    self.found.compared += pair.left.num_rows
                self.found.compared += pair.alike
                told = repeated.keys() | self.found.unreadable_ids
                self.found.add([d for d in _alone(pair) if d.id not in told])
                self._add_rejects(list(pair.rejects_left), "the source")
                self._add_rejects(list(pair.rejects_right), "the target")
                self.found.wrong_ids += [r.id for r in pair.rejects_right if printable(r.id) == r.id]
                self.progress("verify", self.found.compared, self.from_.count)
        self._note_damage()
        # What was written during the reading is behind the marks, and brings the proof down later.
        if not self.found.any:
            with Journal(self.right.identity) as journal:
                Proof.of(self.left, self.right, self.found.compared, at, marks).remember(journal)

    def _add_rejects(self, rejects: list[Reject], where: str) -> None:
        self.found.add([Difference(r.id, "unreadable", r.reason, f"at {where}: {r.detail}") for r in rejects])

    def _note_damage(self) -> None:
        """Tell the ledger which entries are not what it believes, so that the next sync mends them."""
        if self.found.wrong_ids:
            with Journal(self.right.identity) as journal:
                Ledger(journal).doubt(self.found.wrong_ids)

    def _result(self, seconds: float) -> Verification:
        found = self.found
        return Verification(
            source=self.left.address,
            target=self.right.address,
            level=self.level.word,
            source_count=self.from_.count,
            target_count=self.to.count,
            compared=found.compared,
            missing=found.missing,
            extra=found.extra,
            different=found.different,
            unreadable=found.unreadable,
            differences=tuple(found.listed),
            losses=tuple(possible(self.left.capabilities, self.right.capabilities, self.metric)),
            tolerance=str(self.tolerance),
            seconds=round(seconds, 3),
            notes=_notes(self.from_, self.to),
        )


def _repeats(store: Readable, side: str) -> dict[str, str]:
    if store.capabilities.unique_ids:
        return {}
    return {i: f"the {side} holds it {times} times" for i, times in repeated_ids(store.ids).items()}


def _alone(pair: Paired) -> Iterator[Difference]:
    for record_id in pair.only_left:
        yield Difference(record_id, "missing")
    for record_id in pair.only_right:
        yield Difference(record_id, "extra")


def _notes(left: Collection, right: Collection) -> tuple[str, ...]:
    return (*left.notes, *right.notes)
