"""What the target holds, as recorded when it was written.

An entry is an id with the digest of the source's record it was written from. A digest of NULL means
"the target holds this id, but what it holds there is unknown", and the next sync looks. That one rule
carries every recovery: before a batch is written its entries are put down as part of a batch in state
WRITING; a crash leaves that state behind, and opening the ledger again turns those digests to NULL.

Entries are matched in order of arrival, which is the order most scans have again, so the common case
reads them sequentially; whatever is out of order is looked up by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from wherry.moving.journal import Journal

WRITING, WRITTEN, READ_BACK = 0, 1, 2
_LOOKUP = 8000
T = TypeVar("T")


@dataclass(frozen=True)
class Match:
    """Entries for a sequence of ids, aligned with it.

    positions: int64, -1 where the ledger has no such id. digests: None where the content is unknown.
    """

    positions: np.ndarray
    digests: list[bytes | None]

    @classmethod
    def none(cls, rows: int) -> Match:
        """Return the match of ids that are all unknown."""
        return cls(np.full(rows, -1, dtype=np.int64), [None] * rows)

    def proved(self, digests: list[bytes]) -> np.ndarray:
        """Tell which entries carry exactly these digests (bool, aligned)."""
        if self.digests == digests:
            return np.ones(len(digests), dtype=bool)
        return np.array([a == b for a, b in zip(self.digests, digests, strict=True)], dtype=bool)


class Ledger:
    """The entries of one target."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.db = journal, journal.db

    def settle(self, read_back: bool, writer: str | None = None) -> int:
        """Turn the entries of unfinished batches to "unknown"; return how many that were.

        read_back: also those that were written but never read back. writer: only batches of this one.
        """
        which = "state < ?"
        values: list[int | str] = [READ_BACK if read_back else WRITTEN]
        if writer is not None:
            which, values = "state < ? AND run = ?", [*values, writer]
        if not self._has_batch(which, values):
            # Entries are not found by their batch: all of them would be looked at for nothing.
            return 0
        changed = self.db.execute(
            f"UPDATE entry SET digest = NULL, batch = NULL WHERE batch IN (SELECT no FROM batch WHERE {which})", values
        ).rowcount
        self.db.execute(f"DELETE FROM batch WHERE {which}", values)
        return changed

    def begun(self, writer: str) -> bool:
        """Tell whether a partition of a run has put down a batch."""
        return self._has_batch("run = ?", (writer,))

    def _has_batch(self, which: str, values: Sequence[int | str]) -> bool:
        return self.db.execute(f"SELECT 1 FROM batch WHERE {which} LIMIT 1", values).fetchone() is not None

    def count(self) -> int:
        """Return the number of entries."""
        return int(self.db.execute("SELECT count(*) FROM entry").fetchone()[0])

    def unknown(self) -> int:
        """Return the number of entries whose content is unknown."""
        return int(self.db.execute("SELECT count(*) FROM entry WHERE digest IS NULL").fetchone()[0])

    def unchecked(self) -> bool:
        """Tell whether some batch was written and never read back."""
        return self._has_batch("state < ?", (READ_BACK,))

    def last_position(self) -> int:
        """Return the highest position in use, 0 when there is none."""
        return int(self.db.execute("SELECT coalesce(max(pos), 0) FROM entry").fetchone()[0])

    def intend(self, run: str, ids: Sequence[str], digests: Sequence[bytes], absent: bool = False) -> int:
        """Put down a batch that is about to be written; return its number. absent: hardly one of its ids is there."""
        if absent and (new := self.journal.put_new(run, WRITING, ids, digests)) is not None:
            return new
        with Transaction(self):
            insert = "INSERT INTO batch (run, state) VALUES (?, ?) RETURNING no"
            number = int(self.db.execute(insert, (run, WRITING)).fetchone()[0])
            self.journal.put(ids, digests, number)
        return number

    def advance(self, number: int, state: int) -> None:
        """Note that a batch has been WRITTEN or READ_BACK."""
        self.db.execute("UPDATE batch SET state = ? WHERE no = ?", (state, number))

    def adopt(self, ids: Sequence[str], digests: Sequence[bytes | None]) -> None:
        """Record what was read at the target, or None for "present, content unknown"."""
        with Transaction(self):
            self.journal.put(ids, digests, None)

    def forget(self, ids: Sequence[str]) -> None:
        """Remove entries: before a deletion, or when the target has lost them."""
        with Transaction(self):
            for part, marks in _parts(ids):
                self.db.execute(f"DELETE FROM entry WHERE id IN ({marks})", part)

    def doubt(self, ids: Sequence[str]) -> None:
        """Mark entries as unknown, because the target was seen to differ."""
        with Transaction(self):
            for part, marks in _parts(ids):
                self.db.execute(f"UPDATE entry SET digest = NULL WHERE id IN ({marks})", part)

    def doubt_all(self) -> None:
        """Mark every entry as unknown: everything is to be read again."""
        self.db.execute("UPDATE entry SET digest = NULL")

    def unknown_ids(self) -> list[str]:
        """Return the ids whose content is unknown."""
        return [row[0] for row in self.db.execute("SELECT id FROM entry WHERE digest IS NULL ORDER BY pos")]

    def written_by(self, run: str, ids: Sequence[str]) -> set[str]:
        """Return which of some records were last written by a run, any partition of it included."""
        found: set[str] = set()
        for part, marks in _parts(ids):
            query = f"SELECT id FROM entry JOIN batch ON batch = no WHERE (run = ? OR run LIKE ?) AND id IN ({marks})"
            found.update(row[0] for row in self.db.execute(query, [run, f"{run}/%", *part]))
        return found

    def ids_at(self, positions: np.ndarray) -> list[str]:
        """Return the ids at some positions."""
        found: list[str] = []
        for part, marks in _parts(positions.tolist()):
            rows = self.db.execute(f"SELECT id FROM entry WHERE pos IN ({marks}) ORDER BY pos", part)
            found += [row[0] for row in rows]
        return found


def _parts(values: Sequence[T]) -> Iterator[tuple[Sequence[T], str]]:
    """Yield values in parts, with the marks of a statement that asks for all of a part."""
    for start in range(0, len(values), _LOOKUP):
        part = values[start : start + _LOOKUP]
        yield part, ",".join("?" * len(part))


class Walk:
    """One pass over the ledger beside a pass over a store; remembers which entries were met."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.cursor = 0
        self.met = np.zeros(ledger.last_position() + 1, dtype=bool)

    def match(self, ids: list[str]) -> Match:
        """Return the entries of `ids`, reading ahead when the order is that of the ledger."""
        rows = self.ledger.db.execute(
            "SELECT pos, id, digest FROM entry WHERE pos > ? ORDER BY pos LIMIT ?",
            (self.cursor, len(ids)),
        ).fetchall()
        if [row[1] for row in rows] != ids:
            rows = self._look_up(ids)
        if not rows:
            return Match.none(0)
        positions = np.array([row[0] for row in rows], dtype=np.int64)
        if len(rows) and (highest := int(positions.max())) > 0:
            self.cursor = highest
        return Match(positions, [row[2] for row in rows])

    def meet(self, positions: np.ndarray) -> np.ndarray:
        """Mark positions as met and return which of them had been met before (bool, aligned)."""
        if len(positions) and (highest := int(positions.max())) >= len(self.met):
            # Doubling keeps the growth of a long first copy linear; zeros take no memory before they are written to.
            grown = np.zeros(max(highest + 1, 2 * len(self.met)), dtype=bool)
            grown[: len(self.met)] = self.met
            self.met = grown
        before = self.met[positions].copy()
        self.met[positions] = True
        return before

    def meet_all(self) -> None:
        """Mark every entry as met."""
        self.met[:] = True

    def forget(self, positions: np.ndarray) -> None:
        """Count entries as not met after all; -1 stands for an unknown id and is passed over."""
        self.met[positions[positions >= 0]] = False

    def missing(self) -> int:
        """Count the entries that were never met."""
        return self.ledger.count() - int(np.count_nonzero(self.met[1:]))

    def unmet(self) -> Iterator[list[str]]:
        """Yield the ids of entries that were never met, some thousand at a time."""
        positions = np.flatnonzero(~self.met[1:]) + 1
        for start in range(0, len(positions), _LOOKUP):
            found = self.ledger.ids_at(positions[start : start + _LOOKUP])
            if found:
                yield found

    def _look_up(self, ids: list[str]) -> list[tuple[int, str, bytes | None]]:
        found: dict[str, tuple[int, str, bytes | None]] = {}
        for part, marks in _parts(ids):
            for row in self.ledger.db.execute(f"SELECT pos, id, digest FROM entry WHERE id IN ({marks})", part):
                found[row[1]] = row
        return [found.get(i, (-1, i, None)) for i in ids]


class Transaction:
    """One SQLite transaction: all of it or none of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.db = ledger.db

    def __enter__(self) -> None:
        try:
            self.db.execute("BEGIN IMMEDIATE")
        except BaseException:
            # Ctrl-C is heard after the statement: nobody would end what it began.
            self._give_up()
            raise

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self.db.execute("COMMIT")
        finally:
            self._give_up()

    def _give_up(self) -> None:
        # SQLite has rolled back by itself when the disk is full; a second time would be an error.
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
