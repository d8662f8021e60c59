"""What was written to a route's live side since it was led there, and carrying it back to the side before."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

from wherry.errors import MassDelete, SpaceMismatch, StoreError, Unsupported, WouldLoseWrites
from wherry.moving.opening import reading, writing
from wherry.moving.renewing import MOST, unlike
from wherry.moving.sync import sync
from wherry.moving.verify import verify
from wherry.routing.book import Book, Route, shown
from wherry.routing.dual import make_alike, replaying
from wherry.stores.base import Collection, Readable, Shared, Touched, Versioned, Writable, glance

_HANDS = min(8, os.cpu_count() or 1)
_WORTH_A_HAND = 100


def writes_since(route: Route, count: bool = True) -> int | None:
    """Return how many records of the live side the side before lacks or has otherwise; None where nobody can tell.

    Where the engine cannot tell what was written since the switch, `count` decides whether both sides are compared.
    """
    try:
        with reading(route.target) as live:
            since = _since(route, live)
            if since is None:
                return _different(route) if count else None
            return _lacking(route, live, since)
    except (StoreError, SpaceMismatch):
        # A live side that cannot be read is the usual reason to go back, and records of two models cannot be compared;
        # only a waiver leads there then.
        return None


def _lacking(route: Route, live: Readable, since: Touched) -> int:
    """Count what was written and deleted since the switch and did not reach the side before by other ways."""
    assert route.previous is not None
    written = len(since.ids)
    try:
        with reading(route.previous) as before:
            if written > MOST:
                return written + max(0, glance(before).count - since.count)
            new, changed = map(len, unlike(live, before, since.ids.to_pylist()))
            return new + changed + max(0, glance(before).count + new - since.count)
    except StoreError:
        return written + max(0, int(route.since.get("count", since.count)) - since.count)


def _different(route: Route) -> int:
    assert route.previous is not None
    found = verify(route.previous, route.target)
    return found.missing + found.extra + found.different + found.unreadable


def carried_back(book: Book, route: Route) -> int:
    """Carry back what was written since, by its ids where the engine tells them, else by a sync; return how much."""
    assert route.previous is not None
    try:
        # Both write to the side before, and so does whoever brings it up to date behind the writers.
        with replaying(book.database.server, route.name, wait=True):
            found = _carried_by_ids(route)
            if found is not None:
                return found
            moved = sync(route.target, route.previous, accept_losses=True)
    except Unsupported as error:
        lost = writes_since(route)
        if lost == 0:
            return 0
        raise would_lose(route, lost, error.what) from error
    except MassDelete as error:
        error.left = "readers go on as before; nothing was deleted on the side before"
        error.next = f"wherry verify {shown(route.previous)} {shown(route.target)}, then rollback --waive-writes N"
        raise
    return moved.written + moved.deleted


def _carried_by_ids(route: Route) -> int | None:
    """Carry back the records that are told by name and read them again; None where that is not all there is to do.

    Deletions have no names. They show in the number of records, and then a sync has to look for them.
    """
    with reading(route.target) as live, ExitStack() as stack:
        since = _since(route, live)
        if since is None or len(since.ids) > MOST:
            return None
        before = stack.enter_context(writing(str(route.previous)))
        stack.enter_context(before.exclusive())
        ids, card = since.ids.to_pylist(), before.describe()
        missing, changed = unlike(live, before, ids)
        if card.count + len(missing) != since.count:
            return None
        lacking = missing + changed
        _brought(route, live, before, lacking, card)
        before.finish(card.space, card.index)
        return len(lacking) if unlike(live, before, ids) == ([], []) else None


def _brought(route: Route, live: Readable, before: Writable, ids: list[str], card: Collection) -> None:
    """Make the side before hold of some ids what the live side holds; by several hands where that is worth it.

    What takes the time is the engine's vector index, which one connection extends on one core. card: of the side
    before.
    """
    hands = min(_HANDS, len(ids) // _WORTH_A_HAND)
    if hands < 2 or not isinstance(before, Shared):
        make_alike(live, before, ids)
        return

    def share(number: int) -> None:
        own = ids[number::hands]
        with reading(route.target) as source, writing(str(route.previous)) as target, ExitStack() as stack:
            portion = cast(Shared, target).portion(number)
            if portion is not target:
                stack.callback(portion.close)
            portion.prepare(card.space, card.index, len(own))
            make_alike(source, portion, own)

    with ThreadPoolExecutor(hands, "carrying") as pool:
        list(pool.map(share, range(hands)))
    before.gather()


def _since(route: Route, live: Readable) -> Touched | None:
    """Return what was written to the live side since the switch, None where the engine cannot tell."""
    mark = route.since.get("new")
    return live.touched(mark) if mark is not None and isinstance(live, Versioned) else None


def would_lose(route: Route, lost: int | None, barred: str = "") -> WouldLoseWrites:
    """Return the refusal of a way back that gives writes up. barred: why they cannot be carried back."""
    number = "an unknown number of" if lost is None else f"{lost:,}"
    return WouldLoseWrites(
        f"{number} writes were made to {shown(route.target)} since {route.name} was led there"
        + (f", and they cannot be carried back: {barred}" if barred else ""),
        where=route.name,
        left="readers go on as before",
        next=("" if barred else f"wherry rollback {route.name} carries them back first; ")
        + f"--waive-writes {lost or 'N'} gives them up",
    )
