"""What a sync would do, lose and need: worked out before a byte is written."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pyarrow as pa

from wherry.errors import LossNotAccepted, NotEnoughSpace, Refused, UnknownMetric
from wherry.moving.losses import Projection, possible
from wherry.moving.results import Loss, Plan
from wherry.record import Page
from wherry.space import Space
from wherry.stores.base import Collection, Readable, Writable

# Vector index, row headers and write-ahead log come on top of the plain bytes.
_DISK_FACTOR = 2.0
# Bytes beside vector, text and metadata that any engine needs for a record.
_ROW_OVERHEAD = 64


class Outline:
    """The part of a plan that needs no scan: both sides, their spaces, what may be lost, the disk."""

    def __init__(self, source: Readable, target: Writable) -> None:
        self.source, self.target = source, target
        self.from_, self.to = source.describe(), target.describe()
        _require_two(source, target)
        if self.to.exists:
            self.from_.space.require_same(self.to.space, source.address, target.address)
        self.space = self._space()
        metric = self.space.metric
        self.losses = tuple(possible(source.capabilities, target.capabilities, metric))
        self.started = time.perf_counter()
        self.row_bytes, self.read_rate = self._probe()

    def _space(self) -> Space:
        space = self.from_.space.filled_from(self.to.space) if self.to.exists else self.from_.space
        if space.metric is not None and space.metric not in self.target.capabilities.metrics:
            raise Refused(
                f"{self.target.address} cannot search by {space.metric}",
                where=self.target.address,
                left="nothing was written",
                next="choose another target",
            )
        return space

    def _probe(self) -> tuple[float, float | None]:
        """Read one page of the source: bytes per row and rows per second."""
        began = time.perf_counter()
        page = first_page(self.source)
        seconds = time.perf_counter() - began
        if page is None or page.records.num_rows == 0:
            return float((self.space.dimension or 0) * 4 + _ROW_OVERHEAD), None
        return _bytes_of(page.records) / page.records.num_rows + _ROW_OVERHEAD, page.read / max(seconds, 1e-6)

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

    def plan(self, losses: tuple[Loss, ...] | None = None, **counts: object) -> Plan:
        """Return the plan, with what a scan found where there was one."""
        needed, free = self.disk()
        seconds = None if self.read_rate is None else self.from_.count / self.read_rate
        return Plan(
            source=self.source.address,
            target=self.target.address,
            rows=self.from_.count,
            bytes=self.bytes,
            creates=not self.to.exists,
            losses=self.losses if losses is None else losses,
            notes=(*self.from_.notes, *self.to.notes),
            disk_needed=needed,
            disk_free=free,
            seconds=seconds,
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


def first_page(source: Readable) -> Page | None:
    """Read the first page of a scan and stop there."""
    scan = source.scan(512)
    try:
        return next(iter(scan), None)
    finally:
        close = getattr(scan, "close", None)
        if close is not None:
            close()


def existing(path: str) -> str:
    """Return the nearest folder above a path that exists."""
    at = Path(path).absolute()
    while not at.exists():
        at = at.parent
    return os.fspath(at)


def require_dimension(found: Collection, address: str) -> None:
    """Raise UnknownMetric's sibling Refused when a collection does not tell its dimension."""
    if found.space.dimension is None and found.count:
        raise UnknownMetric(
            f"{address} does not say how many components its vectors have",
            where=address,
            left="nothing was written",
            next="check the collection with `wherry plan`",
        )


def _require_two(source: Readable, target: Writable) -> None:
    if source.identity == target.identity:
        raise Refused(
            "source and target are the same collection",
            where=source.address,
            left="nothing was touched",
            next="name another target",
        )


def _bytes_of(batch: pa.RecordBatch) -> int:
    return int(batch.get_total_buffer_size())


def _loss_words(loss: Loss) -> str:
    count = "" if loss.records is None else f" ({loss.records:,} records, such as {', '.join(loss.examples)})"
    return f"{loss.words}{count}"
