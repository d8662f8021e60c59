"""A partition: the records of one range of keys, and what the worker does that brings them over.

A worker opens both sides by itself and shares the ledger with all others. It does what a run with one worker does
between listing and deleting, for its range alone; listing, deleting and finishing are done once, by the process
that holds the target. A partition whose worker was lost is simply crossed again: what the ledger proves done is
not written twice.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

from wherry.address import Address
from wherry.moving.crossing import Crossed, Crossing, Terms
from wherry.moving.journal import Journal
from wherry.moving.ledger import Ledger
from wherry.moving.opening import reading, writing
from wherry.moving.streams import ahead
from wherry.record import Page, Reject
from wherry.space import Space
from wherry.stores.base import PAGE_ROWS, Index, Partitioned, Range, Shaped, Shared


@dataclass(frozen=True)
class Job:
    """What every worker of a run has to know. It holds the addresses with their passwords and is never printed.

    first_copy: the target held nothing when the run began. shared: the journal is the one in PostgreSQL.
    """

    source: Address = field(repr=False)
    target: Address = field(repr=False)
    run: str
    space: Space
    index: Index
    layout: str
    rows: int
    batch: int
    read_back: bool
    first_copy: bool
    shared: bool = False


@dataclass(frozen=True)
class Part:
    """One partition of a run. number: from 0."""

    number: int
    range: Range

    def writer(self, run: str) -> str:
        """Return whose batches they are in the ledger."""
        return f"{run}/{self.number}"


class Desk:
    """Where one worker works: both sides open, partition after partition."""

    def __init__(self, job: Job) -> None:
        """Open both sides. Raises what opening them raises."""
        self.job = job
        self._stack = ExitStack()
        try:
            self.target = cast(Shared, self._stack.enter_context(writing(job.target)))
            if isinstance(self.target, Shaped):
                self.target.follow(job.layout)
            self.source = cast(Partitioned, self._stack.enter_context(reading(job.source)))
            self.journal = self._stack.enter_context(Journal.of(self.target.identity, job.shared))
        except BaseException:
            self._stack.close()
            raise

    def cross(self, part: Part) -> Crossed:
        """Bring one partition over."""
        ledger, writer = Ledger(self.journal), part.writer(self.job.run)
        ledger.settle(self.job.read_back, writer)
        portion = self.target.portion(part.number)
        try:
            portion.prepare(self.job.space, self.job.index, self.job.rows)
            terms = Terms(
                writer,
                self.job.space,
                self.job.batch,
                self.job.read_back,
                self.job.first_copy and not ledger.begun(writer),
            )
            crossing, rejects = Crossing(self.source, portion, ledger, terms), list[Reject]()
            with crossing.open():
                for some in crossing.cross(self._pages(part.range)):
                    rejects += some
            crossing.tally.require_conserved()
            return crossing.told(part.number, rejects)
        finally:
            if portion is not self.target:
                portion.close()

    def _pages(self, part: Range) -> Generator[Page, None, None]:
        with ahead(self.source.scan_range(part, PAGE_ROWS)) as pages:
            yield from pages

    def close(self) -> None:
        """Close everything."""
        self._stack.close()
