"""Reading two collections side by side and pairing their records by id.

Both are read once, in whatever order they have. Where the orders agree, which is the rule after a
sync, records pair up in passing. Records that find no partner wait in a small buffer, so that an
insertion or a deletion on one side only shifts the other; what leaves the buffer unpaired is noted by
id on disk, and at the end those ids are fetched from both sides. Memory stays flat in every case.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from wherry.moving.differences import Aligned, align
from wherry.moving.streams import ahead
from wherry.record import Page, Reject
from wherry.stores.base import PAGE_ROWS, Readable

_WAITING_ROWS = 2 * PAGE_ROWS


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
    with _Unpaired() as unpaired:
        with ahead(left.scan(PAGE_ROWS)) as left_pages, ahead(right.scan(PAGE_ROWS)) as right_pages:
            yield from _in_passing(_Side("left_id", left_pages), _Side("right_id", right_pages), unpaired)
        yield from _by_id(left, right, unpaired)


class _Side:
    """One side of a pairing: its pages to come, and the records that wait for a partner."""

    def __init__(self, name: str, pages: Iterator[Page]) -> None:
        self.name, self.pages = name, pages
        self.waiting: pa.RecordBatch | None = None
        self.done = False

    @property
    def rows(self) -> int:
        """How many records wait."""
        return 0 if self.waiting is None else self.waiting.num_rows

    def pull(self) -> Page | None:
        """Return the next page, None at the end."""
        page = next(self.pages, None)
        self.done = page is None
        return page

    def take(self, page: Page | None) -> tuple[Reject, ...]:
        """Let the records of a page wait; return its rejects."""
        if page is None:
            return ()
        self.waiting = _joined(self.waiting, page.records)
        return tuple(page.rejects)


def _in_passing(left: _Side, right: _Side, unpaired: _Unpaired) -> Iterator[Paired]:
    while not (left.done and right.done):
        # The side with fewer records waiting reads on: pages of two stores differ in size.
        behind = left.rows <= right.rows
        ahead_too = right.rows <= left.rows
        one = left.pull() if not left.done and (behind or right.done) else None
        other = right.pull() if not right.done and (ahead_too or left.done) else None
        if one is not None and other is not None and not left.rows and not right.rows and _alike(one, other):
            yield Paired(alike=one.read)
            continue
        rejects_left, rejects_right = left.take(one), right.take(other)
        yield Paired(*_match(left, right), rejects_left=rejects_left, rejects_right=rejects_right)
        for side in (left, right):
            side.waiting = unpaired.trim(side.name, side.waiting)
    for side in (left, right):
        unpaired.note(side.name, side.waiting)


def _alike(one: Page, other: Page) -> bool:
    """Tell whether two pages hold the same records in the same order, without decoding them."""
    if one.sealed is None or other.sealed is None or not one.sealed.equals(other.sealed):
        return False
    # What equals sound rows is sound.
    return one.native is not None


def _match(left: _Side, right: _Side) -> tuple[pa.RecordBatch | None, pa.RecordBatch | None]:
    if left.waiting is None or right.waiting is None:
        return None, None
    pair = align(left.waiting, right.waiting)
    left.waiting, right.waiting = pair.only_expected, pair.only_actual
    return pair.expected, pair.actual


def _by_id(left: Readable, right: Readable, unpaired: _Unpaired) -> Iterator[Paired]:
    """Settle what found no partner in passing."""
    for ids in unpaired.on_both():
        wanted = pa.array(ids, type=pa.string())
        a, b = left.fetch(wanted), right.fetch(wanted)
        pair: Aligned = align(a.records, b.records)
        yield Paired(
            pair.expected,
            pair.actual,
            only_left=tuple(pair.only_expected.column("id").to_pylist()),
            only_right=tuple(pair.only_actual.column("id").to_pylist()),
        )
    for ids in unpaired.only("left_id", "right_id"):
        yield Paired(only_left=tuple(ids))
    for ids in unpaired.only("right_id", "left_id"):
        yield Paired(only_right=tuple(ids))


class _Unpaired:
    """Ids that found no partner yet, kept in a file."""

    def __enter__(self) -> _Unpaired:
        self.folder = tempfile.TemporaryDirectory(prefix="wherry-pairing-")
        self.db = sqlite3.connect(Path(self.folder.name) / "unpaired.sqlite3", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=OFF")
        self.db.execute("PRAGMA synchronous=OFF")
        for side in ("left_id", "right_id"):
            self.db.execute(f"CREATE TABLE {side} (id TEXT PRIMARY KEY) WITHOUT ROWID")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()
        self.folder.cleanup()

    def trim(self, side: str, waiting: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """Note the oldest records of a buffer that has grown too long, and return the rest."""
        if waiting is None or waiting.num_rows <= _WAITING_ROWS:
            return waiting
        surplus = waiting.num_rows - _WAITING_ROWS // 2
        self.note(side, waiting.slice(0, surplus))
        return waiting.slice(surplus)

    def note(self, side: str, records: pa.RecordBatch | None) -> None:
        """Note the ids of records."""
        if records is not None and records.num_rows:
            self.db.execute("BEGIN")
            self.db.executemany(
                f"INSERT OR IGNORE INTO {side} VALUES (?)", ((i,) for i in records.column("id").to_pylist())
            )
            self.db.execute("COMMIT")

    def on_both(self) -> Iterator[list[str]]:
        """Yield the ids noted on both sides, a page at a time."""
        return self._pages(
            "SELECT id FROM left_id WHERE id IN (SELECT id FROM right_id)"
            " AND (?1 IS NULL OR id > ?2) ORDER BY id LIMIT ?3"
        )

    def only(self, side: str, other: str) -> Iterator[list[str]]:
        """Yield the ids noted on one side alone, a page at a time."""
        return self._pages(
            f"SELECT id FROM {side} WHERE id NOT IN (SELECT id FROM {other})"
            " AND (?1 IS NULL OR id > ?2) ORDER BY id LIMIT ?3"
        )

    def _pages(self, query: str) -> Iterator[list[str]]:
        last: str | None = None
        while rows := self.db.execute(query, (last, last, PAGE_ROWS)).fetchall():
            last = rows[-1][0]
            yield [row[0] for row in rows]


def _joined(waiting: pa.RecordBatch | None, more: pa.RecordBatch) -> pa.RecordBatch:
    if waiting is None or waiting.num_rows == 0:
        return more
    if more.num_rows == 0:
        return waiting
    return pa.Table.from_batches([waiting, more]).combine_chunks().to_batches()[0]
