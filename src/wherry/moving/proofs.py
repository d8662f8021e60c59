"""Proofs: that two collections were found equal, value by value, and whether that still stands.

A deep verification leaves one, and so does a sync that read back all it wrote. It is kept in the journal of
the target. What asks for one (switching readers over) asks for a fresh one: young enough, and nothing was
written to either side since, as far as the engines can tell.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from wherry.moving.journal import Journal
from wherry.moving.standing import mark_of
from wherry.stores.base import Readable, Versioned, glance

FRESH_S = 3600.0
PROOF = "proof of "


@dataclass(frozen=True)
class Marks:
    """The marks of both sides, taken before they were read; None of a side that has none."""

    source: str | None
    target: str | None

    @classmethod
    def of(cls, source: Readable, target: Readable) -> Marks:
        """Take the marks of this moment."""
        return cls(mark_of(source), mark_of(target))


@dataclass(frozen=True)
class Proof:
    """Two collections were equal. at: seconds since 1970, when the reading began. count: records on each side."""

    source: str
    target: str
    count: int
    at: float
    marks: Marks

    @classmethod
    def of(cls, source: Readable, target: Readable, count: int, at: float, marks: Marks) -> Proof:
        """Return the proof that two stores hold the same `count` records."""
        return cls(source.identity, target.identity, count, at, marks)

    def remember(self, journal: Journal) -> None:
        """Keep it in the journal of the target, in place of an older one of the same two."""
        journal.remember(_key(self.source), json.dumps(asdict(self)))

    @property
    def when(self) -> datetime:
        """When the reading began."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def age_s(self) -> float:
        """Seconds since the reading began."""
        return datetime.now(UTC).timestamp() - self.at

    def doubts(self, source: Readable, target: Readable, fresh_s: float = FRESH_S) -> list[str]:
        """Return why it may not stand any more, one sentence each; none when it does.

        Of an engine without marks only the number of records can be compared.
        """
        found = []
        if self.age_s > fresh_s:
            found.append(f"it is {self.age_s / 60:.0f} minutes old, and {fresh_s / 60:.0f} are allowed")
        sides = ((source, self.marks.source, "source"), (target, self.marks.target, "target"))
        return found + [doubt for store, mark, side in sides if (doubt := self._doubt(store, mark, side))]

    def _doubt(self, store: Readable, mark: str | None, side: str) -> str | None:
        if mark is None or not isinstance(store, Versioned):
            count = glance(store).count
            return None if count == self.count else f"the {side} held {self.count:,} records and now holds {count:,}"
        since = store.touched(mark)
        if since is None:
            return f"what was written to the {side} since cannot be told"
        if len(since.ids) or since.count != self.count:
            return f"the {side} was written to since"
        return None


def recall(source: Readable, target: Readable) -> Proof | None:
    """Return the last proof that two collections were equal, None when there is none."""
    with Journal(target.identity) as journal:
        text = journal.recall(_key(source.identity))
    if text is None:
        return None
    found = json.loads(text)
    return Proof(**{**found, "marks": Marks(**found["marks"])})


def _key(source: str) -> str:
    return f"{PROOF}{source}"
