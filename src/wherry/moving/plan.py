"""What a sync would do, lose and need: worked out before a byte is written."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from wherry.errors import LossNotAccepted, NotEnoughSpace, Refused, UnknownMetric, WherryError
from wherry.moving.census import take_stock
from wherry.moving.cutting import WHOLE, Cut, cut, require
from wherry.moving.differences import tolerance_between
from wherry.moving.journal import Journal
from wherry.moving.ledger import Ledger
from wherry.moving.losses import Projection, possible
from wherry.moving.opening import Source, Target, is_place, reading, writing
from wherry.moving.progress import Progress, silent
from wherry.moving.results import LISTED, Loss, Plan
from wherry.moving.sorting import Sorter
from wherry.moving.streams import ahead
from wherry.record import Reject
from wherry.space import Space
from wherry.state import home
from wherry.stores.base import PAGE_ROWS, Readable, Shaped, Writable, sample

_ENOUGH_TO_TELL = 1000
_PROBE_ROWS = 512
# Vector index, row headers and write-ahead log come on top of the plain bytes.
_DISK_FACTOR = 2.0
# Bytes beside vector, text and metadata that any engine needs for a record.
_ROW_OVERHEAD = 64


class Outline:
    """The part of a plan that needs no scan: both sides, their spaces, what may be lost, the disk.

    probe: read some of the source, for the size of its records and its rate, even where no record
    more is expected at the target.
    """

    def __init__(self, source: Readable, target: Writable, probe: bool) -> None:
        self.source, self.target = source, target
        self.from_ = source.describe()
        if isinstance(target, Shaped):
            target.follow(self.from_.layout)
        self.to = target.describe()
        _require_two(source, target)
        self.from_.space.require_same(self.to.space, source.address, target.address)
        self.space = self._space()
        metric = self.space.metric
        self.losses = tuple(possible(source.capabilities, target.capabilities, metric))
        self.row_bytes = float((self.space.dimension or 0) * 4 + _ROW_OVERHEAD)
        self.read_rate: float | None = None
        if probe or self.from_.count > self.to.count:
            self._probe()

    def _space(self) -> Space:
        # A target that does not exist yet may state its metric in its address.
        space = self.from_.space.filled_from(self.to.space)
        if space.metric is not None and space.metric not in self.target.capabilities.metrics:
            raise Refused(
                f"{self.target.address} cannot search by {space.metric}",
                where=self.target.address,
                left="nothing was written",
                next="choose another target",
            )
        if space.metric is None and self.target.capabilities.needs_metric:
            raise UnknownMetric(
                f"{self.source.address} does not say by which metric its vectors are compared",
                where=f"{self.source.address} -> {self.target.address}",
                left="nothing was written",
                next="state it in either address: ?metric=cosine (or l2, ip)",
            )
        return space

    def _probe(self) -> None:
        """Read some records of the source: bytes per row and rows per second."""
        began = time.perf_counter()
        page = sample(self.source, _PROBE_ROWS)
        seconds = time.perf_counter() - began
        if page is not None and page.records.num_rows:
            self.row_bytes = _bytes_of(page.records) / page.records.num_rows + _ROW_OVERHEAD
            self.read_rate = page.read / max(seconds, 1e-6)

    @property
    def bytes(self) -> int:
        """The source's records, in bytes."""
        return int(self.from_.count * self.row_bytes)

    def disk(self) -> tuple[int, int | None]:
        """Bytes the target may need on its volume, and bytes free there (None = not ours to see)."""
        rows = max(0, self.from_.count - self.to.count)
        needed = int(rows * self.row_bytes * _DISK_FACTOR)
        volume = self.to.volume
        return needed, None if volume is None else shutil.disk_usage(existing(volume)).free

    def require_room(self) -> None:
        """Raise NotEnoughSpace when the target's volume is too small."""
        needed, free = self.disk()
        if free is not None and needed > free:
            raise NotEnoughSpace(
                f"the copy needs about {needed:,} bytes and {free:,} are free",
                where=str(self.to.volume),
                left="nothing was written",
                next="free some room or choose a target on another disk",
            )

    def require_accepted(self, losses: tuple[Loss, ...], accepted: bool) -> None:
        """Raise LossNotAccepted when something would be gone for good and nobody agreed."""
        gone = [loss for loss in losses if loss.severity == "lossy"]
        if gone and not accepted:
            raise LossNotAccepted(
                "the move would lose: " + "; ".join(_loss_words(loss) for loss in gone),
                where=f"{self.source.address} -> {self.target.address}",
                left="nothing was written",
                next="look at `wherry plan`, then add --accept-losses if that is what you want",
            )

    def _seconds(self) -> float | None:
        """Estimate the run: reading by the probe, writing by what earlier runs to this engine took."""
        if self.read_rate is None:
            return None
        reading = self.from_.count / self.read_rate
        writes = max(0, self.from_.count - self.to.count)
        rate = write_rate(self.target.address.partition(":")[0])
        return round(reading if rate is None else max(reading, writes / rate), 1)

    def plan(self, losses: tuple[Loss, ...] | None = None, cut: Cut = WHOLE, **counts: object) -> Plan:
        """Return the plan, with what a scan found where there was one. cut: how workers share it."""
        needed, free = self.disk()
        seconds = self._seconds()
        return Plan(
            source=self.source.address,
            target=self.target.address,
            rows=self.from_.count,
            bytes=self.bytes,
            creates=not self.to.exists,
            losses=self.losses if losses is None else losses,
            notes=(*self.from_.notes, *self.to.notes, *cut.notes),
            disk_needed=needed,
            disk_free=free,
            seconds=seconds,
            layouts=(self.from_.layout, self.to.layout),
            parts=cut.ranges,
            **counts,  # type: ignore[arg-type]
        )


def data_losses(outline: Outline) -> tuple[Loss, ...]:
    """Return the losses that really happen to the source's records, read for that purpose.

    Where two engines keep the same things there is nothing to find, and nothing is read.
    """
    projection = Projection(outline.target.capabilities)
    if any(loss.severity == "lossy" for loss in outline.losses) and not projection.does_nothing:
        for page in outline.source.scan():
            projection.apply(page.records)
    return tuple(projection.found(list(outline.losses)))


def plan(
    source: Source,
    target: Target,
    *,
    workers: int = 1,
    engine: str = "local",
    ray_address: str | None = None,
    progress: Progress = silent,
) -> Plan:
    """Work out what `sync` would do, without writing to either side.

    workers, engine, ray_address: as `sync` will be given them; the plan then lists the ranges of keys.

    The source is read once; the target is read where the journal does not know what it holds. Raises
    what `sync` would raise before its first write, except for losses, missing room and deletions: those
    are in the plan.
    """
    require(workers, engine, ray_address)
    with reading(source) as from_, writing(target) as to:
        outline = Outline(from_, to, probe=True)
        opened = not (is_place(source) and is_place(target))
        parts = cut(from_, to, outline.from_.count, workers, opened)
        with (
            tempfile.TemporaryDirectory(prefix="wherry-plan-") as scratch,
            Journal.of(to.identity, engine == "ray") as journal,
            journal.copy(Path(scratch) / "journal.sqlite3") as copy,
        ):
            return _sorted_plan(outline, Ledger(copy), progress, parts)


def _sorted_plan(outline: Outline, ledger: Ledger, progress: Progress, cut: Cut) -> Plan:
    source, target = outline.source, outline.target
    ledger.settle(read_back=True)
    take_stock(ledger, target.ids() if outline.to.exists else ())
    projection = Projection.between(source.capabilities, target.capabilities)
    tolerance = tolerance_between(source.capabilities, target.capabilities, outline.space.metric)
    sorter = Sorter(
        ledger, target.capabilities, outline.space, projection, tolerance, target.fetch, source.capabilities
    )
    # Counts as sync will: over the whole source, and apart from what the sorter only compares.
    everything = replace(projection, changed={}, counts={})
    counts = dict.fromkeys(("new", "changed", "unchanged", "quarantined"), 0)
    rejects: list[Reject] = []
    read = 0
    with ahead(source.scan(PAGE_ROWS)) as pages:
        for page in pages:
            # An engine's tokens are those of the last sync, whose source may have been another one.
            found = sorter.sort(page)
            everything.apply(page.records)
            counts["new"] += len(found.new)
            counts["changed"] += len(found.changed)
            counts["unchanged"] += found.unchanged
            counts["quarantined"] += len(found.rejects)
            rejects += found.rejects[: LISTED - len(rejects)]
            read += page.read
            progress("plan", read, outline.from_.count)
    deleted = sum(len(part) for part in sorter.unmet())
    losses = tuple(everything.found(list(outline.losses)))
    return outline.plan(losses, cut, **counts, deleted=deleted, quarantine=tuple(rejects))


def write_rate(engine: str) -> float | None:
    """Return the records per second that the latest large sync to this kind of engine wrote, or None."""
    latest: tuple[str, float] | None = None
    for run in _runs():
        seconds, written = run["outcome"].get("seconds"), run["outcome"].get("written", 0)
        if run["target"].startswith(f"{engine}:") and seconds and written >= _ENOUGH_TO_TELL:
            latest = max(latest or ("", 0.0), (run["started"], written / seconds))
    return None if latest is None else latest[1]


def _runs() -> Iterator[dict[str, Any]]:
    """Yield the runs on every target; a journal that cannot be read is for its own target to report."""
    for path in sorted((home() / "journal").glob("*.sqlite3")):
        with suppress(WherryError), Journal("", path) as journal:
            yield from journal.runs()


def existing(path: str) -> str:
    """Return the nearest folder above a path that exists."""
    at = Path(path).absolute()
    while not at.exists():
        at = at.parent
    return os.fspath(at)


def _require_two(source: Readable, target: Writable) -> None:
    if source.identity == target.identity:
        raise Refused(
            "source and target are the same collection",
            where=source.address,
            left="nothing was touched",
            next="name another target",
        )


def _bytes_of(batch: pa.RecordBatch) -> int:
    # Not the size of its buffers: a page is often cut out of a much larger batch.
    return int(batch.nbytes)


def _loss_words(loss: Loss) -> str:
    count = "" if loss.records is None else f" ({loss.records:,} records, such as {', '.join(loss.examples)})"
    return f"{loss.words}{count}"
