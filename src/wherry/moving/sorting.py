"""Deciding, page by page, what each record of the source needs: the heart of plan and sync.

A record is **new** (the target has no such id), **changed**, **unchanged**, or in **quarantine**. The
ledger tells; where it only knows that something is there, the target itself is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from wherry.canonical import digests_as_read
from wherry.moving.conveyor import Load
from wherry.moving.differences import Tolerance, align, differences
from wherry.moving.journal import printable
from wherry.moving.ledger import Ledger, Match, Walk
from wherry.moving.losses import Projection
from wherry.moving.screening import holds_ids, screen
from wherry.record import Page, Reject
from wherry.space import Space
from wherry.stores.base import Capabilities


@dataclass
class Sorted:
    """One page of the source, sorted. `adopted` records were read at the target and found equal."""

    new: Load
    changed: Load
    adopted: Load
    unchanged: int
    rejects: list[Reject] = field(default_factory=list)


class Sorter:
    """Sorts the pages of one pass over a source."""

    def __init__(
        self,
        ledger: Ledger,
        target: Capabilities,
        space: Space,
        projection: Projection,
        tolerance: Tolerance,
        read_target: Callable[[pa.Array], Page],
        source: Capabilities,
        takes: Callable[[str], bool] = lambda form: False,
        first_copy: bool | None = None,
    ) -> None:
        self.ledger, self.target, self.space = ledger, target, space
        self.projection, self.tolerance, self.read_target = projection, tolerance, read_target
        self.walk = Walk(ledger)
        # Positions begin at 1.
        self.knows_any = len(self.walk.met) > 1
        # Nothing to find, nothing to find twice: a first copy need not ask the ledger.
        self.first_copy = source.unique_ids and (not self.knows_any if first_copy is None else first_copy)
        self.source, self.takes = source, takes
        # New ids are not in the ledger until their batch is sent; until then they wait here.
        self.waiting: set[str] = set()

    def sort(self, page: Page) -> Sorted:
        """Sort one page.

        A digest that is the one recorded proves a record unchanged. Another digest proves nothing yet:
        the same record reads differently from another engine. Then what the target holds decides.
        """
        ids = page.ids.to_pylist()
        found = digests_as_read(page)
        match = Match.none(len(ids)) if self.first_copy else self.walk.match(ids)
        repeated = self._repeated(ids, match.positions)
        proved = match.proved(found) & ~repeated
        rejects = [*page.rejects, *_duplicates(ids, repeated)]
        self._keep(page.rejects)
        rest = ~proved & ~repeated
        load = _pick(Load(page.records if page.native is None else page.native, found), rest)
        done = self._examine(load, match.positions[rest] < 0)
        done.rejects[:0] = rejects
        done.unchanged += int(proved.sum())
        return done

    def _examine(self, load: Load, absent: np.ndarray) -> Sorted:
        """Sort records that no digest proves unchanged."""
        if not len(load):
            return Sorted(load, load, load, 0)
        rejects: list[Reject] = []
        if not self._fits(load):
            screened = screen(load.records, self.target, self.space, self.source)
            rejects = screened.rejects
            if rejects:
                load, absent = load.take(screened.rows), absent[screened.rows]
        if not self.first_copy:
            self.waiting.update(load.ids.filter(pa.array(absent)).to_pylist())
        adopted = self._look(load, ~absent)
        return Sorted(
            new=_pick(load, absent),
            changed=_pick(load, ~absent & ~adopted),
            adopted=_pick(load, adopted),
            unchanged=int(adopted.sum()),
            rejects=rejects,
        )

    def _fits(self, load: Load) -> bool:
        """Tell without decoding whether the target can hold every record; False means "look closer"."""
        native = load.page.native
        return native is not None and native.plain and self.takes(native.form) and holds_ids(load.ids, self.target)

    def take_for_granted(self, shown: Iterable[list[str]] | None, but: list[str]) -> int:
        """Count entries as met without seeing their records: those shown (None = all), but not some.

        Returns how many of those excepted are entries of the ledger.
        """
        if shown is None:
            self.walk.meet_all()
        else:
            for ids in shown:
                positions = self.walk.match(ids).positions
                self.walk.meet(positions[positions >= 0])
        excepted = self.walk.match(but).positions
        self.walk.forget(excepted)
        return int((excepted >= 0).sum())

    def sent(self, ids: list[str]) -> None:
        """Hear that new records are in the ledger now."""
        self.waiting.difference_update(ids)
        last = self.ledger.last_position()
        self.walk.meet(np.arange(last - len(ids) + 1, last + 1))

    def unmet(self) -> Iterator[list[str]]:
        """Yield the ids at the target that the source did not show in this pass."""
        return self.walk.unmet()

    def _keep(self, rejects: list[Reject]) -> None:
        """A record in quarantine is still in the source: what the target holds of it stays."""
        # An id that is no Unicode was never written, and SQLite could not even be asked for it.
        ids = [r.id for r in rejects if printable(r.id) == r.id]
        if ids and self.knows_any:
            positions = self.walk.match(ids).positions
            self.walk.meet(positions[positions >= 0])

    def _repeated(self, ids: list[str], positions: np.ndarray) -> np.ndarray:
        repeated = np.zeros(len(ids), dtype=bool)
        known = positions >= 0
        repeated[known] = self.walk.meet(positions[known])
        if not self.first_copy and (self.waiting or len(set(ids)) < len(ids)):
            here: set[str] = set()
            for row, record_id in enumerate(ids):
                repeated[row] |= record_id in self.waiting or record_id in here
                here.add(record_id)
        return repeated

    def _look(self, load: Load, unknown: np.ndarray) -> np.ndarray:
        """Read records at the target; return which rows hold the same there."""
        equal = np.zeros(len(unknown), dtype=bool)
        if not unknown.any():
            return equal
        wanted = _pick(load, unknown).page
        found = self.read_target(wanted.ids)
        if wanted.native is not None and found.is_exactly(wanted.native):
            return unknown.copy()
        pair = align(self.projection.apply(wanted.records), found.records)
        bad = {d.id for d in differences(pair.expected, pair.actual, self.tolerance)}
        good = set(pair.expected.column("id").to_pylist()) - bad
        ids = load.ids.to_pylist()
        for row in np.flatnonzero(unknown).tolist():
            equal[row] = ids[row] in good
        return equal


def _duplicates(ids: list[str], repeated: np.ndarray) -> list[Reject]:
    words = "the source holds this id more than once; the first one counts"
    return [Reject(ids[i], "DuplicateId", words) for i in np.flatnonzero(repeated).tolist()]


def _pick(load: Load, mask: np.ndarray) -> Load:
    if mask.all():
        return load
    # Taking nothing would still join what is in several parts.
    return load.take(np.flatnonzero(mask)) if mask.any() else load.slice(0, 0)
