"""Reading two collections side by side and pairing their records by id.

Both are read once, in whatever order they have. Where the orders agree, which is the rule after a
sync, records pair up in passing. Records that find no partner wait, two pages of them at most, so that
an insertion or a deletion on one side only shifts the other; what waited too long is noted by id and
digest on disk, and at the end those whose digests differ are fetched from both sides. Memory stays flat
in every case. Two stores of one kind are compared in the form their rows arrive in; only what differs is
decoded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.moving.differences import align, meet, some
from wherry.moving.streams import ahead
from wherry.moving.unpaired import LEFT, RIGHT, Unpaired
from wherry.record import Native, Page, Records, Reject, decoded, ids_of, joined
from wherry.stores.base import Readable, scan_to_compare

_WAITING_PAGES = 2


@dataclass(frozen=True)
class Paired:
    """Records with equal ids in equal rows, and what one side alone was found to hold.

    left, right: equal ids in equal rows. alike: how many more records were found equal without decoding them.
    only_left, only_right: ids with no partner. rejects_left, rejects_right: what no batch can hold.
    """

    left: pa.RecordBatch | None = None
    right: pa.RecordBatch | None = None
    alike: int = 0
    only_left: tuple[str, ...] = ()
    only_right: tuple[str, ...] = ()
    rejects_left: tuple[Reject, ...] = ()
    rejects_right: tuple[Reject, ...] = ()


def pairs(left: Readable, right: Readable) -> Generator[Paired, None, None]:
    """Yield the whole of two collections, paired."""
    with Unpaired() as unpaired:
        left_scan, right_scan = scan_to_compare(left), scan_to_compare(right)
        with ahead(left_scan) as left_pages, ahead(right_scan) as right_pages:
            yield from _in_passing(_Side(left_pages), _Side(right_pages), unpaired)
        yield from _by_id(left, right, unpaired)


class _Side:
    """One side of a pairing: its pages to come, and the records that wait for a partner.

    tail: how many of its latest records found none: how far it has read beyond the other side. largest: records of
    its largest page.
    """

    def __init__(self, pages: Iterator[Page]) -> None:
        self.pages = pages
        self.waiting: Records | None = None
        self.done = False
        self.tail = self.largest = 0

    @property
    def rows(self) -> int:
        """How many records wait."""
        return 0 if self.waiting is None else _count(self.waiting)

    def pull(self) -> Page | None:
        """Return the next page, None at the end."""
        page = next(self.pages, None)
        self.done = page is None
        return page

    def take(self, page: Page | None) -> tuple[Reject, ...]:
        """Let the records of a page wait; return its rejects."""
        if page is None:
            return ()
        self.largest = max(self.largest, page.read)
        parts = [part for part in (self.waiting, page.held) if part is not None and _count(part)]
        self.waiting = joined(parts or [page.held])
        return tuple(page.rejects)

    def keep(self, records: Records, alone: pa.Array, met: pa.Array) -> None:
        """Let some of its records wait, by number; the others have met their partners."""
        # Copied, however few: a slice would keep its whole page.
        self.waiting = records.take(alone)
        self.tail = _count(records) - 1 - pc.max(met).as_py() if len(met) else _count(records)

    def surplus(self, most: int) -> Records | None:
        """Return the oldest records that wait, and let half of `most` wait on, where more than that do."""
        waiting = self.waiting
        if waiting is None or self.rows <= most:
            return None
        gone = self.rows - most // 2
        self.waiting = waiting.slice(gone, most // 2)
        return waiting.slice(0, gone)


def _in_passing(left: _Side, right: _Side, unpaired: Unpaired) -> Iterator[Paired]:
    while not (left.done and right.done):
        one, other = _read_on(left, right)
        if one is not None and other is not None and not left.rows and not right.rows and _alike(one, other):
            yield Paired(alike=one.read)
            continue
        rejects_left, rejects_right = left.take(one), right.take(other)
        yield _match(left, right)
        if rejects_left or rejects_right:
            yield Paired(rejects_left=rejects_left, rejects_right=rejects_right)
        _note(left, right, unpaired, _WAITING_PAGES * max(left.largest, right.largest))
    _note(left, right, unpaired, 0)


def _read_on(left: _Side, right: _Side) -> tuple[Page | None, Page | None]:
    """Read the next page of the side that is behind, or of both: pages of two stores differ in size."""
    behind, ahead_of_it = left.tail <= right.tail, right.tail <= left.tail
    one = left.pull() if not left.done and (behind or right.done) else None
    other = right.pull() if not right.done and (ahead_of_it or left.done) else None
    return one, other


def _note(left: _Side, right: _Side, unpaired: Unpaired, most: int) -> None:
    for name, side in ((LEFT, left), (RIGHT, right)):
        surplus = side.surplus(most)
        if surplus is not None:
            unpaired.note(name, surplus)


def _alike(one: Page, other: Page) -> bool:
    """Tell whether two pages hold the same records in the same order, without decoding them."""
    if one.sealed is None or other.sealed is None or not one.sealed.equals(other.sealed):
        return False
    # What equals sound rows is sound.
    return one.sealed.sound(one.sealed.rows)


def _match(left: _Side, right: _Side) -> Paired:
    one, other = left.waiting, right.waiting
    left.tail, right.tail = left.rows, right.rows
    if one is None or other is None:
        return Paired()
    if not (isinstance(one, Native) and isinstance(other, Native) and one.form == other.form):
        one, other = decoded(one), decoded(other)
    met = meet(ids_of(one), ids_of(other))
    left.keep(one, met.only_mine, met.mine)
    right.keep(other, met.only_theirs, met.theirs)
    pair = some(one, met.mine), some(other, met.theirs)
    return _as_they_arrived(*pair) if isinstance(one, Native) else Paired(*pair)


def _as_they_arrived(one: Native, other: Native) -> Paired:
    """Pair rows of one form with equal ids in equal places; only those that differ are decoded."""
    unequal = np.flatnonzero(~pc.equal(one.rows, other.rows).to_numpy())
    if not len(unequal):
        return Paired(alike=len(one))
    rows = pa.array(unequal)
    return Paired(one.take(rows).records, other.take(rows).records, alike=len(one) - len(unequal))


def _by_id(left: Readable, right: Readable, unpaired: Unpaired) -> Iterator[Paired]:
    """Settle what found no partner in passing."""
    yield Paired(alike=unpaired.settle())
    for ids in unpaired.doubtful():
        wanted = pa.array(ids, type=pa.string())
        pair = align(left.fetch(wanted).records, right.fetch(wanted).records)
        yield Paired(
            pair.expected,
            pair.actual,
            only_left=tuple(pair.only_expected.column("id").to_pylist()),
            only_right=tuple(pair.only_actual.column("id").to_pylist()),
        )
    for ids in unpaired.only(LEFT):
        yield Paired(only_left=tuple(ids))
    for ids in unpaired.only(RIGHT):
        yield Paired(only_right=tuple(ids))


def _count(records: Records) -> int:
    return len(records) if isinstance(records, Native) else records.num_rows
