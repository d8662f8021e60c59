"""What stood when the last run ended well, and what the engines prove about the time since.

A run that ends with both sides equal remembers it: a census of the ids, and a mark of each side that
can tell what was written after a moment. The next run asks for what was touched since and looks at
that alone. The memory is erased when a run begins and written when it has ended well, so a crash can
never look clean; and whenever an engine is in doubt, everything is listed or read instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from wherry.moving.census import Census, census, take_stock
from wherry.moving.journal import Journal
from wherry.moving.ledger import Ledger, Walk
from wherry.stores.base import Discerning, Others, Readable, Touched, Versioned, glance

_KEY = "standing"
# More than this share of a collection is read faster in one scan than by id.
_FEW, _SHARE = 1000, 4


@dataclass(frozen=True)
class Standing:
    """The state in which a run ended: both sides held the same ids, and nothing was in quarantine."""

    ids: Census
    source: str
    source_mark: str | None
    target_mark: str | None

    @classmethod
    def recall(cls, journal: Journal) -> Standing | None:
        """Return the state in which the last run ended, None when it did not end well; and erase it."""
        text = journal.recall(_KEY)
        forget(journal)
        if not text:
            return None
        found = json.loads(text)
        return cls(Census(*found["ids"]), found["source"], found["source_mark"], found["target_mark"])

    def remember(self, journal: Journal) -> None:
        """Remember this state for the next run."""
        journal.remember(
            _KEY,
            json.dumps(
                {
                    "ids": [self.ids.count, self.ids.total],
                    "source": self.source,
                    "source_mark": self.source_mark,
                    "target_mark": self.target_mark,
                }
            ),
        )


def forget(journal: Journal) -> None:
    """Erase the state in which the last run ended: the next one lists and reads everything."""
    journal.remember(_KEY, "")


@dataclass
class Stock:
    """What was found at the target before anything is decided.

    ids: a census of the ids it holds now. lost: ids of the ledger it no longer has. strangers: ids it
    holds and the ledger did not know. known: whether both lists are complete; a large one is not kept.
    """

    ids: Census
    lost: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    known: bool = True


@dataclass(frozen=True)
class Rest:
    """The part of a source that has to be looked at: the ids, out of `count` records it holds now.

    listing: whether something was deleted at the source, so that its ids have to be listed.
    """

    ids: list[str]
    count: int
    listing: bool


def mark_of(store: Readable) -> str | None:
    """Return a mark of this moment, None when the engine has none."""
    return store.mark() if isinstance(store, Versioned) and store.capabilities.detects_changes else None


def stock_of(target: Readable, ledger: Ledger, standing: Standing | None) -> Stock:
    """Make the ledger agree with what the target holds, by what it proves or by listing its ids."""
    if standing is not None and standing.target_mark is not None:
        since = _since(target, standing.target_mark)
        if since is None:
            # It may be another server's backup or another file under this name: nothing is known of it.
            ledger.doubt_all()
        strangers = [] if since is None else _doubted(ledger, since)
        if since is not None and since.count == ledger.count():
            return Stock(standing.ids.with_ids(strangers), strangers=strangers)
    ids = census(target.ids())
    if standing is not None and standing.ids == ids and ledger.count() == ids.count:
        return Stock(ids)
    lost, strangers = take_stock(ledger, target.ids())
    if lost is None or strangers is None:
        return Stock(ids, known=False)
    return Stock(ids, lost, strangers)


def _doubted(ledger: Ledger, since: Touched) -> list[str]:
    """Doubt what somebody else wrote at the target; return the ids that are new to the ledger."""
    listed = since.ids.to_pylist()
    positions = Walk(ledger).match(listed).positions
    strangers = [listed[i] for i in np.flatnonzero(positions < 0).tolist()]
    ledger.adopt(strangers, [None] * len(strangers))
    ledger.doubt([listed[i] for i in np.flatnonzero(positions >= 0).tolist()])
    return strangers


def rest_of(source: Readable, ledger: Ledger, standing: Standing | None, stock: Stock) -> Rest | None:
    """Return what of the source has to be looked at, or None: all of it."""
    if standing is None or standing.source != source.identity or not stock.known:
        return None
    since = _since(source, standing.source_mark)
    if since is None:
        return None
    touched = since.ids.to_pylist()
    wanted = list(dict.fromkeys([*touched, *ledger.unknown_ids(), *stock.lost]))
    if len(wanted) > max(_FEW, since.count // _SHARE):
        return None
    # Without deletions the source holds what it held and what was added.
    added = len(touched) - _known_then(ledger, touched, stock)
    return Rest(wanted, since.count, listing=since.count != standing.ids.count + added)


def written_by_others(target: Readable, ledger: Ledger, run: str, mark: str | None, held: int) -> Others:
    """Return how many records the target holds, and the ids written since a mark by others.

    held: how many it held at the mark. Of an engine that does not know its own writes, what this run wrote is not
    among the ids; none are where it cannot tell, as after a run that wrote most of a collection.
    """
    found = target.others(mark, held) if mark is not None and isinstance(target, Discerning) else None
    if found is not None:
        return found
    since = _since(target, mark)
    if since is None:
        return Others(glance(target).count, [])
    listed = since.ids.to_pylist()
    return Others(since.count, sorted(set(listed) - ledger.written_by(run, listed)))


def _known_then(ledger: Ledger, ids: list[str], stock: Stock) -> int:
    """Count the ids that both sides held when the last run ended."""
    in_ledger = set(_held(ids, Walk(ledger).match(ids).positions)) - set(stock.strangers)
    return len(in_ledger | (set(stock.lost) & set(ids)))


def _held(ids: list[str], positions: np.ndarray) -> Iterable[str]:
    return (ids[i] for i in np.flatnonzero(positions >= 0).tolist())


def _since(store: Readable, mark: str | None) -> Touched | None:
    if mark is None or not isinstance(store, Versioned) or not store.capabilities.detects_changes:
        return None
    return store.touched(mark)
