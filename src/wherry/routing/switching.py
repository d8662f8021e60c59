"""Leading a route to another collection, and back.

    switch     only with a fresh proof that both sides are equal, or with a waiver that is recorded
    rollback   only when nothing written since is lost: it is carried back first, or waived by number

The pointer is one row that is compared and set; readers that are at work finish where they began. In the last moment
writers by the route wait (`turns.py`), so that none of their writes is left behind. What others wrote to the old side
between the proof and the switch shows by its mark, and the result says so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from wherry.errors import (
    MassDelete,
    NotVerified,
    Refused,
    SpaceMismatch,
    StoreError,
    Unsupported,
    WouldLoseWrites,
)
from wherry.moving.opening import reading, writing
from wherry.moving.proofs import FRESH_S, Proof, recall
from wherry.moving.renewing import MOST, still_equal, unlike
from wherry.moving.standing import mark_of
from wherry.moving.sync import sync
from wherry.moving.verify import verify
from wherry.routing import aliases, turns
from wherry.routing.book import Book, Route, shown
from wherry.routing.dual import drain, make_alike, replay, replaying
from wherry.stores.base import Readable, Touched, Versioned

_IDS_AT_ONCE = 2000


@dataclass(frozen=True)
class Switched:
    """What a switch or a rollback did. proof: when both sides were found equal, None where that was waived.

    carried: records carried back before a rollback. waived: why no proof was asked for, or how many writes were
    given up. notes: what a person should look at, one sentence each.
    """

    route: str
    came_from: str
    leads_to: str
    version: int
    proved_at: str | None = None
    carried: int = 0
    waived: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry switch` and `wherry rollback` print; no passwords are in it."""
        ends = {"came_from": shown(self.came_from), "leads_to": shown(self.leads_to)}
        return {**self.__dict__, **ends, "notes": list(self.notes)}


def switch(
    name: str, target: str, *, why: str = "", prove: bool = False, waive: str = "", fresh_s: float = FRESH_S
) -> Switched:
    """Lead a route to `target`.

    prove: verify both sides now, instead of asking for a proof that is there. waive: the reason why none is
    needed; it is kept in the history. fresh_s: how old a proof may be, in seconds. Raises NoSuchRoute, NotVerified,
    Busy, or what reading the two sides raises.
    """
    with Book() as book, ExitStack() as stack:
        route = book.require(name)
        old, new = (stack.enter_context(reading(place)) for place in (route.target, target))
        if old.identity == new.identity:
            raise Refused(f"{name} leads there already", where=str(shown(target)), left="nothing was changed")
        if prove and not waive:
            # What still waits for the side that follows would be found to be missing there.
            replay(name)
            verify(old, new)
        with turns.leading(book.database, name):
            _require_followed(book, route)
            proof = None if waive else _proved(old, new, route, target, fresh_s, prove)
            names = aliases.names_of(route, old)
            since = {"old": mark_of(old), "new": mark_of(new), "count": new.describe().count, aliases.NAMES: names}
            details = {"proved_at": proof.when.isoformat() if proof else None, "waived": waive}
            back = aliases.own_address(route.target, old)
            led = book.lead(route, target, "switch", why, since | {aliases.LEFT: new.identity}, details, back)
            notes = aliases.follow(names, old.identity, target)
        notes += [] if proof is None else _written_meanwhile(proof, old, new)
        return Switched(
            name, route.target, led.target, led.version, details["proved_at"], waived=waive, notes=tuple(notes)
        )


def rollback(name: str, *, why: str = "", waive_writes: int | None = None, carry: bool = True) -> Switched:
    """Lead a route back to where it led before.

    What was written to the live side since is carried back first, by a sync; it never deletes a large part of what is
    there. carry=False refuses instead. waive_writes: lead it back at once, giving up that many writes at most. Raises
    NoSuchRoute, WouldLoseWrites, MassDelete, Busy.
    """
    with Book() as book:
        route = book.require(name)
        if route.previous is None:
            raise Refused(
                f"{name} was never led elsewhere", left="nothing was changed", next=f"wherry route show {name}"
            )
        carried = 0
        if carry and waive_writes is None and writes_since(route, count=False) != 0:
            # Most of it goes while writers go on; the rest, a moment later, while they wait.
            carried += _carried(book, route)
        with turns.leading(book.database, name):
            lost = _left_behind(book, route, waive_writes, carry)
            if lost != 0 and carry and waive_writes is None:
                carried, lost = carried + _carried(book, route), 0
            if lost != 0:
                _require_given_up(route, lost, waive_writes)
            return _led_back(book, route, why, carried, _given_up(lost) if lost != 0 else "")


def _left_behind(book: Book, route: Route, waived: int | None, carry: bool) -> int | None:
    """Return how many writes the side before lacks, None where nobody can tell."""
    if waived is None:
        _require_followed(book, route)
    else:
        # What the side before still takes needs not be given up.
        drain(book, route, alone=True)
    return writes_since(route, count=not carry or waived is not None)


def _require_given_up(route: Route, lost: int | None, waived: int | None) -> None:
    if waived is None or (lost is not None and lost > waived):
        raise _would_lose(route, lost)


def _carried(book: Book, route: Route) -> int:
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
        raise _would_lose(route, lost, error.what) from error
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
        if card.count + missing != since.count:
            return None
        for start in range(0, len(ids), _IDS_AT_ONCE):
            make_alike(live, before, ids[start : start + _IDS_AT_ONCE])
        before.finish(card.space, card.index)
        return missing + changed if unlike(live, before, ids) == (0, 0) else None


def _since(route: Route, live: Readable) -> Touched | None:
    """Return what was written to the live side since the switch, None where the engine cannot tell."""
    mark = route.since.get("new")
    return live.touched(mark) if mark is not None and isinstance(live, Versioned) else None


def _require_followed(book: Book, route: Route) -> None:
    """Let what is in the outbox reach the side that follows. Raises Refused when it cannot."""
    left = drain(book, route, alone=True)
    if left.waiting:
        raise Refused(
            f"{left.waiting:,} writes have not reached the side that follows {route.name}: {left.error or 'not yet'}",
            where=route.name,
            left="readers go on as before",
            next=f"wherry route replay {route.name}",
        )


def _proved(old: Readable, new: Readable, route: Route, target: str, fresh_s: float, prove: bool) -> Proof:
    """Return a proof that stands; make one now, while writers wait, where theirs were found under way before."""
    try:
        return _proof(old, new, route, target, fresh_s)
    except NotVerified:
        if not prove:
            raise
        verify(old, new)
        return _proof(old, new, route, target, fresh_s)


def _proof(old: Readable, new: Readable, route: Route, target: str, fresh_s: float) -> Proof:
    """Return a proof that stands, whichever side was copied from the other. Raises NotVerified."""
    doubts: list[str] = []
    for source, copy in ((old, new), (new, old)):
        proof = recall(source, copy)
        if proof is not None:
            found = proof.doubts(source, copy, fresh_s)
            if not found or (proof.age_s <= fresh_s and still_equal(proof, source, copy)):
                return proof
            doubts = doubts or found
    raise NotVerified(
        f"it is not proved that {shown(target)} holds what {shown(route.target)} holds"
        + (f": {'; '.join(doubts)}" if doubts else ""),
        where=route.name,
        left="readers go on as before",
        next=f"wherry verify {shown(route.target)} {shown(target)}, or switch with --verify",
    )


def _written_meanwhile(proof: Proof, old: Readable, new: Readable) -> list[str]:
    source, copy = (old, new) if proof.source == old.identity else (new, old)
    doubts = proof.doubts(source, copy, float("inf"))
    return [f"after the proof: {doubt}; sync the old side into the new one" for doubt in doubts]


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
            new, changed = unlike(live, before, since.ids.to_pylist()) if written <= MOST else (0, written)
            return new + changed + max(0, before.describe().count + new - since.count)
    except StoreError:
        return written + max(0, int(route.since.get("count", since.count)) - since.count)


def _different(route: Route) -> int:
    assert route.previous is not None
    found = verify(route.previous, route.target)
    return found.missing + found.extra + found.different + found.unreadable


def _led_back(book: Book, route: Route, why: str, carried: int = 0, waived: str = "") -> Switched:
    assert route.previous is not None
    details = {"carried": carried, "waived": waived}
    led = book.lead(route, route.previous, "rollback", why, {}, details)
    names, left = route.since.get(aliases.NAMES, []), route.since.get(aliases.LEFT)
    notes = aliases.follow(names, left, route.previous) if left else []
    return Switched(
        route.name, route.target, led.target, led.version, carried=carried, waived=waived, notes=tuple(notes)
    )


def _given_up(lost: int | None) -> str:
    return "an unknown number of writes were given up" if lost is None else f"{lost:,} writes were given up"


def _would_lose(route: Route, lost: int | None, barred: str = "") -> WouldLoseWrites:
    number = "an unknown number of" if lost is None else f"{lost:,}"
    return WouldLoseWrites(
        f"{number} writes were made to {shown(route.target)} since {route.name} was led there"
        + (f", and they cannot be carried back: {barred}" if barred else ""),
        where=route.name,
        left="readers go on as before",
        next=("" if barred else f"wherry rollback {route.name} carries them back first; ")
        + f"--waive-writes {lost or 'N'} gives them up",
    )
