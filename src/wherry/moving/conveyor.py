"""The way of a batch to the target: put down in the ledger, written, marked, read back, marked.

    step                                  a crash right after it leaves
    1 intend: entries, batch WRITING      entries whose content is unknown: the next sync looks
    2 upsert                              the same, with the records written
    3 batch WRITTEN  (commit point)       a written batch that nobody read back yet
    4 fetch and compare                   the same
    5 batch READ_BACK                     a finished batch

One batch is written while the one before is read back and the next is prepared, but a batch is marked
WRITTEN before the next one is begun: a crash leaves at most one batch to do again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from wherry.errors import ReadBackDiffers
from wherry.moving.differences import Tolerance, align, differences
from wherry.moving.ledger import READ_BACK, WRITTEN, Ledger
from wherry.moving.losses import Projection
from wherry.record import Page, Records, Reject, joined
from wherry.stores.base import Kindred, Readable, Writable

# What is read back at once.
_BACK_BYTES = 2 << 20
# Rows so wide that only a few of them fit are not carried one by one.
_LEAST_ROWS = 64


class Load:
    """Records on their way, as a batch or as their engine sent them, with the digests they are known by."""

    def __init__(self, rows: Records, digests: list[bytes]) -> None:
        self.page, self.digests = Page(rows), digests

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def ids(self) -> pa.Array:
        """The ids of the records."""
        return self.page.ids

    @property
    def records(self) -> pa.RecordBatch:
        """The records, decoded."""
        return self.page.records

    def take(self, rows: np.ndarray) -> Load:
        """Return some rows of the load, by number."""
        return Load(self.page.held.take(pa.array(rows, type=pa.int64())), [self.digests[i] for i in rows.tolist()])

    def slice(self, start: int, rows: int) -> Load:
        """Return some rows of the load."""
        return Load(self.page.held.slice(start, rows), self.digests[start : start + rows])

    @staticmethod
    def joined(loads: Sequence[Load]) -> Load:
        """Return several loads as one."""
        if len(loads) == 1:
            return loads[0]
        return Load(joined([load.page.held for load in loads]), [digest for load in loads for digest in load.digests])


class Conveyor:
    """Writes loads to a target; use as a context manager, and call `drain` at the end."""

    def __init__(
        self,
        target: Writable,
        ledger: Ledger,
        run: str,
        projection: Projection,
        tolerance: Tolerance,
        read_back: bool,
    ) -> None:
        self.target, self.ledger, self.run = target, ledger, run
        self.projection, self.tolerance, self.read_back = projection, tolerance, read_back
        self.written = 0
        self._takes = taker(target)
        self._writer = ThreadPoolExecutor(1, "wherry-write")
        self._reader = ThreadPoolExecutor(1, "wherry-read-back")
        self._writing: tuple[int, Page, Future[None]] | None = None
        self._reading: tuple[int, Future[None]] | None = None

    def __enter__(self) -> Conveyor:
        # Started before there is work: Ctrl-C while a pool starts its thread leaves one nobody waits for.
        for pool in (self._writer, self._reader):
            pool.submit(int).result()
        return self

    def __exit__(self, *error: object) -> None:
        # What is under way may finish or fail on its own; its batch stays marked as unfinished.
        self._writer.shutdown(wait=True, cancel_futures=True)
        self._reader.shutdown(wait=True, cancel_futures=True)

    def ready(self, load: Load) -> Load:
        """Return a load as it is written; what does not cross as it came is decoded here, before loads are joined."""
        native = load.page.native
        # What was looked at was decoded for that, and is not decoded again; joined with others, it would be.
        if native is None or not len(load) or (self.projection.does_nothing and self._takes(native.form)):
            return load
        return Load(load.records, load.digests)

    def send(self, load: Load, absent: bool) -> None:
        """Take a load of at most one batch that is `ready`; absent=True when the target holds none of its ids."""
        number = self.ledger.intend(self.run, load.ids.to_pylist(), load.digests, absent)
        self._settle_write()
        page, native = load.page, load.page.native
        if native is not None:
            future = self._writer.submit(self.target.upsert_native, native, absent)  # type: ignore[attr-defined]
        else:
            page = Page(self.projection.apply(load.records))
            future = self._writer.submit(self.target.upsert, page.records, absent)
        self._writing = (number, page, future)
        self.written += len(load)

    def drain(self) -> None:
        """Wait until everything sent is written, read back and marked."""
        self._settle_write()
        self._settle_read()

    def read(self, ids: pa.Array) -> Page:
        """Read records of the target, after whatever is being read back."""
        return self._reader.submit(self.target.fetch, ids).result()

    def _settle_write(self) -> None:
        if self._writing is None:
            return
        number, page, future = self._writing
        self._writing = None
        future.result()
        self.ledger.advance(number, WRITTEN)
        if self.read_back:
            self._settle_read()
            self._reading = (number, self._reader.submit(self._compare, page))

    def _settle_read(self) -> None:
        if self._reading is None:
            return
        number, future = self._reading
        self._reading = None
        future.result()
        self.ledger.advance(number, READ_BACK)

    def _compare(self, written: Page) -> None:
        # In parts: what was written stays in memory meanwhile, and what is read back comes on top of it.
        rows = fitting_rows(_BACK_BYTES, written.held.nbytes / max(written.read, 1))
        for start in range(0, written.read, rows):
            self._compare_part(Page(written.held.slice(start, rows)))

    def _compare_part(self, written: Page) -> None:
        page = self.target.fetch(written.ids)
        if written.native is None or not page.is_exactly(written.native):
            require_equal(written.records, page.records, page.rejects, self.tolerance, self.target.address)


def fitting_rows(size: int, row_bytes: float) -> int:
    """Return how many records of about `row_bytes` bytes are carried at once where `size` bytes may be."""
    return max(_LEAST_ROWS, int(size / max(row_bytes, 1.0)))


def taker(target: Readable) -> Callable[[str], bool]:
    """Return what tells whether a target takes records as they were sent by an engine of some form."""
    # Asked here, once: what a Protocol demands is looked for with every question.
    return target.takes if isinstance(target, Kindred) else lambda form: False


def require_equal(
    expected: pa.RecordBatch,
    actual: pa.RecordBatch,
    rejects: Sequence[Reject],
    tolerance: Tolerance,
    where: str,
) -> None:
    """Raise ReadBackDiffers, naming ids and fields, unless a batch reads back as it was written."""
    pair = align(expected, actual)
    found = [f"{d.id} ({d.field}: {d.detail})" for d in differences(pair.expected, pair.actual, tolerance)]
    found += [f"{i} (missing)" for i in pair.only_expected.column("id").to_pylist()]
    found += [f"{r.id} ({r.reason})" for r in rejects]
    if found:
        shown = ", ".join(found[:20])
        raise ReadBackDiffers(
            f"{len(found)} of {expected.num_rows} records do not read back as they were written: {shown}",
            where=where,
            left="the batch is in the target and marked as unfinished in the journal",
            next="the engine alters what it stores: run `wherry verify` to see all of it",
        )
