"""Bringing pages of a source over to a target: the part of a run that several workers can share.

A run with one worker makes one crossing of all pages. With more, each partition is one: the same code, with the
pages of a key range and a ledger that all of them share.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np

from wherry.errors import Integrity
from wherry.moving.census import Census
from wherry.moving.conveyor import Conveyor, Load, taker
from wherry.moving.differences import tolerance_between
from wherry.moving.ledger import Ledger
from wherry.moving.losses import Projection
from wherry.moving.pile import Pile
from wherry.moving.sorting import Sorter
from wherry.record import Page, Reject
from wherry.space import Space
from wherry.stores.base import Discerning, Readable, Writable


@dataclass
class Tally:
    """What a run has counted so far."""

    read: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0
    looked: int = 0
    rejects: list[Reject] = field(default_factory=list)

    @property
    def moved(self) -> bool:
        """Whether anything was written or deleted."""
        return bool(self.created or self.changed or self.deleted)

    def add(self, other: Tally) -> None:
        """Count what another has counted; its rejects are not taken over."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def require_conserved(self) -> None:
        """Raise Integrity unless every record that was read is accounted for."""
        accounted = self.created + self.changed + self.unchanged + self.quarantined
        if self.read != accounted:
            raise Integrity(f"{self.read:,} records were read and {accounted:,} are accounted for")

    def to_dict(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return {
            "read": self.read,
            "written": self.created + self.changed,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "quarantined": self.quarantined,
        }


_COUNTS = ("read", "created", "changed", "unchanged", "deleted", "quarantined", "looked")


@dataclass(frozen=True)
class Terms:
    """What holds for every crossing of a run.

    writer: whose batches they are in the ledger, the run or one partition of it. batch: records per write.
    read_back: whether what was written is read back. first_copy: the target held nothing when the run began and
    this crossing wrote nothing before; None = the ledger is asked.
    """

    writer: str
    space: Space
    batch: int
    read_back: bool
    first_copy: bool | None = None


@dataclass
class Crossed:
    """What a worker tells of a partition it has brought over.

    met: which entries of the ledger its records matched, one bit per position. counts, changed: what the
    projection counted. writes: what tells the target's own writes, None where it cannot tell.
    """

    part: int
    tally: Tally
    ids: Census
    met: bytes
    rejects: list[Reject]
    counts: dict[str, int]
    changed: dict[str, list[str]]
    writes: object

    def met_positions(self, size: int) -> np.ndarray:
        """Return which of the first `size` positions were met (bool)."""
        found = np.unpackbits(np.frombuffer(self.met, dtype=np.uint8)).astype(bool)[:size]
        return np.pad(found, (0, size - len(found)))


class Crossing:
    """One crossing; `open` it, then `cross` pages.

    tally: what was counted. ids: a census of the target's ids, kept up to date; it may be set before the first page.
    rejects: records that could not cross, taken by whoever keeps them.
    """

    def __init__(self, source: Readable, target: Writable, ledger: Ledger, terms: Terms) -> None:
        self.source, self.target, self.ledger, self.terms = source, target, ledger, terms
        self.projection = Projection.between(source.capabilities, target.capabilities)
        self.tolerance = tolerance_between(source.capabilities, target.capabilities, terms.space.metric)
        self.tally = Tally()
        self.ids = Census()
        self.sorter: Sorter
        self._conveyor: Conveyor

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start the threads that write and read back, and match against the ledger from its beginning."""
        terms = self.terms
        with Conveyor(
            self.target, self.ledger, terms.writer, self.projection, self.tolerance, read_back=terms.read_back
        ) as self._conveyor:
            self.sorter = Sorter(
                self.ledger,
                self.target.capabilities,
                terms.space,
                self.projection,
                self.tolerance,
                self._conveyor.read,
                self.source.capabilities,
                taker(self.target),
                terms.first_copy,
            )
            yield

    def cross(self, source: Generator[Page, None, None]) -> Iterator[list[Reject]]:
        """Bring all pages over, written and read back; after each page, yield what could not cross."""
        size = self.terms.batch
        new, changed = Pile(size, absent=True), Pile(size, absent=False)
        # Closed here: left by an error, a generator would go on reading a source that is being closed.
        with closing(source) as pages:
            for page in pages:
                self.tally.read += page.read
                found = self.sorter.sort(page)
                self.tally.quarantined += len(found.rejects)
                self._adopt(found.adopted)
                self.tally.unchanged += found.unchanged
                for pile, load in ((new, found.new), (changed, found.changed)):
                    for part in pile.add(self._conveyor.ready(load)):
                        self._send(part, pile.absent)
                yield found.rejects
        for pile in (new, changed):
            for part in pile.rest():
                self._send(part, pile.absent)
        self._conveyor.drain()

    def told(self, part: int, rejects: list[Reject]) -> Crossed:
        """Return what there is to tell of this crossing, made of partition `part`."""
        met = np.packbits(self.sorter.walk.met).tobytes()
        found = self.projection
        writes = self.target.own_writes() if isinstance(self.target, Discerning) else None
        return Crossed(part, self.tally, self.ids, met, rejects, found.counts, found.changed, writes)

    def absorb(self, crossed: Crossed) -> None:
        """Count what a worker has brought over as if it had been done here."""
        self.tally.add(crossed.tally)
        self.ids = self.ids.joined(crossed.ids)
        self.projection.add(crossed.counts, crossed.changed)
        self.know_writes(crossed.writes)
        met = self.sorter.walk.met
        met |= crossed.met_positions(len(met))

    def know_writes(self, writes: object) -> None:
        """Let the target take as its own what a worker wrote; None = a worker was lost, who cannot tell."""
        if isinstance(self.target, Discerning):
            self.target.count_as_own(writes)

    def _send(self, load: Load, absent: bool) -> None:
        self._conveyor.send(load, absent)
        if absent:
            ids = load.ids.to_pylist()
            self.sorter.sent(ids)
            self.ids = self.ids.with_ids(ids)
            self.tally.created += len(load)
        else:
            self.tally.changed += len(load)

    def _adopt(self, load: Load) -> None:
        if len(load):
            self.ledger.adopt(load.ids.to_pylist(), load.digests)
            self.tally.looked += len(load)
