"""Deciding, page by page, what each record of the source needs: the heart of plan and sync.

A record is **new** (the target has no such id), **changed**, **unchanged**, or in **quarantine**. The
ledger tells; where it only knows that something is there, the target itself is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from wherry.canonical import digests
from wherry.moving.conveyor import Load
from wherry.moving.differences import Tolerance, align, differences
from wherry.moving.ledger import Ledger, Walk
from wherry.moving.losses import Projection
from wherry.moving.screening import screen
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
    ) -> None:
        self.ledger, self.target, self.space = ledger, target, space
        self.projection, self.tolerance, self.read_target = projection, tolerance, read_target
        self.walk = Walk(ledger)
        self.held = ledger.count()
        # New ids are not in the ledger until their batch is sent; until then they wait here.
        self.waiting: set[str] = set()

    def sort(self, page: Page) -> Sorted:
        """Sort one page."""
        screened = screen(page.records, self.target, self.space)
        rejects = [*page.rejects, *screened.rejects]
        self._keep(rejects)
        ids = screened.records.column("id").to_pylist()
        load = Load(
            screened.records, digests(screened.records, screened.metadata), _versions(page, screened.rows)
        )
        match = self.walk.match(ids)
        repeated = self._repeated(ids, match.positions)
        if repeated.any():
            rejects += [
                Reject(ids[i], "DuplicateId", "the source holds this id more than once; the first one counts")
                for i in np.flatnonzero(repeated).tolist()
            ]
        absent = (match.positions < 0) & ~repeated
        self.waiting.update(ids[i] for i in np.flatnonzero(absent).tolist())
        same = np.array(
            [a is not None and a == b for a, b in zip(match.digests, load.digests, strict=True)], dtype=bool
        )
        unknown = np.array([d is None for d in match.digests], dtype=bool) & ~absent & ~repeated
        same &= ~repeated & ~absent
        self._restamp(load, match.versions, same)
        differ = ~(absent | same | unknown | repeated)
        adopted = self._look(load, unknown)
        changed = differ | (unknown & ~adopted)
        return Sorted(
            new=_pick(load, absent),
            changed=_pick(load, changed),
            adopted=_pick(load, adopted),
            unchanged=int(same.sum() + adopted.sum()),
            rejects=rejects,
        )

    def pass_over(self, ids: list[str], tokens: list[bytes]) -> tuple[int, pa.Array]:
        """Sort by version tokens alone: how many are proved unchanged, and the ids to be fetched."""
        match = self.walk.match(ids)
        same = np.array(
            [
                digest is not None and version == token
                for digest, version, token in zip(match.digests, match.versions, tokens, strict=True)
            ],
            dtype=bool,
        )
        self.walk.meet(match.positions[same])
        return int(same.sum()), pa.array([ids[i] for i in np.flatnonzero(~same).tolist()], type=pa.string())

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
        if rejects and self.held:
            positions = self.walk.match([r.id for r in rejects]).positions
            self.walk.meet(positions[positions >= 0])

    def _repeated(self, ids: list[str], positions: np.ndarray) -> np.ndarray:
        repeated = np.zeros(len(ids), dtype=bool)
        known = positions >= 0
        repeated[known] = self.walk.meet(positions[known])
        if len(set(ids)) < len(ids) or self.waiting:
            seen = set(self.waiting)
            for row, record_id in enumerate(ids):
                repeated[row] |= record_id in seen
                seen.add(record_id)
        return repeated

    def _restamp(self, load: Load, known: list[bytes | None], same: np.ndarray) -> None:
        """Keep the newest version token of a record that was touched and is still the same."""
        rows = [i for i in np.flatnonzero(same).tolist() if load.versions[i] != known[i]]
        if rows:
            ids = load.records.column("id")
            self.ledger.restamp([ids[i].as_py() for i in rows], [load.versions[i] for i in rows])

    def _look(self, load: Load, unknown: np.ndarray) -> np.ndarray:
        """Read at the target what the ledger does not know; return which rows hold the same there."""
        equal = np.zeros(len(unknown), dtype=bool)
        if not unknown.any():
            return equal
        wanted = _pick(load, unknown).records
        found = self.read_target(wanted.column("id")).records
        pair = align(self.projection.apply(wanted), found)
        bad = {d.id for d in differences(pair.expected, pair.actual, self.tolerance)}
        good = set(pair.expected.column("id").to_pylist()) - bad
        ids = load.records.column("id").to_pylist()
        for row in np.flatnonzero(unknown).tolist():
            equal[row] = ids[row] in good
        return equal


def _versions(page: Page, rows: np.ndarray) -> list[bytes | None]:
    if page.versions is None:
        return [None] * len(rows)
    tokens = page.versions.to_pylist()
    return tokens if len(tokens) == len(rows) else [tokens[i] for i in rows.tolist()]


def _pick(load: Load, mask: np.ndarray) -> Load:
    if mask.all():
        return load
    rows = np.flatnonzero(mask).tolist()
    return Load(
        load.records.take(pa.array(rows, type=pa.int64())),
        [load.digests[i] for i in rows],
        [load.versions[i] for i in rows],
    )
