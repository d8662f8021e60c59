"""Ways to make Wherry itself wrong, and the tests that must notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest

import wherry
from tests.crash import scene as scenes
from tests.crash import test_faults_at_every_call as faults
from tests.crash import test_kill_matrix as matrix
from tests.crash import test_traps as traps
from tests.saboteurs.stores import Loose, Swap
from wherry.errors import ReadBackDiffers, Unreachable, WherryError
from wherry.moving import ledger, sync, verify
from wherry.moving.census import Census
from wherry.moving.conveyor import Conveyor
from wherry.moving.pairing import Paired
from wherry.moving.standing import Rest, Standing, Stock
from wherry.stores.base import Others, Readable
from wherry.testing.faults import Fault, Moment

MATRIX = "tests/crash/test_kill_matrix.py::test_killed_in_the_middle_of_a_write_ends_equal"
DROPPED = "tests/crash/test_traps.py::test_target_dropped_behind_our_back_is_filled_again"
VERIFY = "tests/crash/test_faults_at_every_call.py::test_verify_never_calls_an_unread_part_equal"
FAULTS = "tests/crash/test_faults_at_every_call.py::test_failed_call_is_named_and_resumable"
READ_BACK = "tests/saboteurs/test_saboteurs.py::test_swapped_vectors_do_not_pass"
MARKS = "tests/crash/test_traps.py::test_tokens_of_two_sources_by_turns"
ALONE = "tests/crash/test_traps.py::test_target_changed_by_somebody_else_during_a_run"
MISSED = "tests/crash/test_traps.py::test_scan_that_misses_records_deletes_nothing_the_source_still_has"
PAIRED = "tests/saboteurs/test_saboteurs.py::test_order_of_the_target_does_not_matter"


@contextmanager
def checkpoint_before_the_data() -> Iterator[None]:
    """Marks a batch as written and read back, and only then writes it."""
    original = ledger.Ledger.intend

    def intend(self: ledger.Ledger, run: str, *columns: Any) -> int:
        number = original(self, run, *columns)
        self.advance(number, ledger.READ_BACK)
        return number

    with patch.object(ledger.Ledger, "intend", intend):
        yield


@contextmanager
def trusts_unfinished_batches() -> Iterator[None]:
    """Does not turn the entries of a batch that was cut short to "unknown"."""
    with patch.object(ledger.Ledger, "settle", lambda self, read_back: 0):
        yield


@contextmanager
def durable_only_when_finished() -> Iterator[None]:
    """The target says that a batch is durable and writes it when asked to finish."""
    with patch.object(scenes, "TARGET", Loose):
        yield


@contextmanager
def believes_the_ledger_about_what_is_there() -> Iterator[None]:
    """Does not list what the target holds."""

    def believing(target: Readable, known: ledger.Ledger, standing: object) -> Stock:
        return Stock(Census(known.count(), 0))

    with patch.object(sync, "stock_of", believing):
        yield


@contextmanager
def calls_an_unread_part_equal() -> Iterator[None]:
    """Ends a comparison quietly where a page cannot be read."""
    real = verify.pairs

    def forgiving(left: Readable, right: Readable) -> Iterator[Paired]:
        try:
            yield from real(left, right)
        except WherryError:
            return

    with patch.object(verify, "pairs", forgiving):
        yield


@contextmanager
def swallows_what_a_write_raises() -> Iterator[None]:
    """Takes a write that failed for done."""
    settle = Conveyor._settle_write

    def forgiving(self: Conveyor) -> None:
        try:
            settle(self)
        except WherryError:
            self._writing = None

    with patch.object(Conveyor, "_settle_write", forgiving):
        yield


@contextmanager
def reads_nothing_back() -> Iterator[None]:
    """Believes every write."""
    with patch.object(Conveyor, "_compare", lambda self, records: None):
        yield


@contextmanager
def takes_marks_of_any_source() -> Iterator[None]:
    """Asks what was touched since a mark, and not whose mark it is."""
    real = sync.rest_of

    def careless(source: Readable, known: ledger.Ledger, standing: Standing | None, stock: Stock) -> Rest | None:
        return real(source, known, standing and replace(standing, source=source.identity), stock)

    with patch.object(sync, "rest_of", careless):
        yield


@contextmanager
def believes_itself_alone_at_the_target() -> Iterator[None]:
    """Does not ask whether somebody else wrote to the target during the run."""
    with patch.object(sync, "written_by_others", lambda target, *rest: Others(target.describe().count, [])):
        yield


@contextmanager
def deletes_what_a_scan_missed() -> Iterator[None]:
    """Deletes whatever the scan did not show, without asking the source again."""
    with patch.object(sync._Run, "_gone", lambda self, ids: ids):
        yield


@contextmanager
def pairs_by_place() -> Iterator[None]:
    """Compares the first record of one side with the first of the other, and so on."""

    def by_place(left: Readable, right: Readable) -> Iterator[Paired]:
        for mine, theirs in zip(left.scan(), right.scan(), strict=False):
            ids = theirs.records.schema.field("id")
            yield Paired(mine.records, theirs.records.set_column(0, ids, mine.records.column("id")))

    with patch.object(verify, "pairs", by_place):
        yield


def killed_in_a_write(folder: Path) -> None:
    """The kill matrix, half-way through every write."""
    matrix.test_killed_in_the_middle_of_a_write_ends_equal(scenes.update, folder)


def changed_during_a_run(folder: Path) -> None:
    """A target that somebody else changes while a run is at work."""
    traps.test_target_changed_by_somebody_else_during_a_run(True, folder)


def dropped_target(folder: Path) -> None:
    """A target that vanished."""
    traps.test_target_dropped_behind_our_back_is_filled_again(folder)


def verify_with_faults(folder: Path) -> None:
    """A verification whose calls fail one after the other."""
    faults.test_verify_never_calls_an_unread_part_equal("deep", folder)


def fault_at_each_call(folder: Path) -> None:
    """A sync whose calls fail one after the other."""
    faults.every_fault(scenes.update(folder / "template"), folder, Fault(Moment.BEFORE, Unreachable))


def swap_in_the_target(folder: Path) -> None:
    """A target that exchanges two vectors, both read back at once."""
    source = traps.in_memory("s", *(scenes.record(n) for n in range(20)))
    with pytest.raises(ReadBackDiffers, match=r"r000 \(vector"):
        wherry.sync(source, Swap("t"))


def two_sources_with_marks(folder: Path) -> None:
    """Two copies of a database onto one target, by turns."""
    traps.test_tokens_of_two_sources_by_turns(folder)


def scan_that_misses(folder: Path) -> None:
    """A scan that loses its last page."""
    traps.test_scan_that_misses_records_deletes_nothing_the_source_still_has()


def verify_in_another_order(folder: Path) -> None:
    """Two collections that hold the same records in another order, and two that do not."""
    records = [replace(scenes.record(n % 2), id=f"r{n:03d}") for n in range(40)]
    one = traps.in_memory("one", *records)
    other = traps.in_memory("other", *reversed(records))
    assert wherry.verify(one, other).verdict == "verified"
    other.delete(pa.array(["r003"]))
    other.upsert(wherry.record.from_records([replace(records[3], id="r999")]))
    found = wherry.verify(one, other)
    assert (found.missing, found.extra, found.different) == (1, 1, 0)
