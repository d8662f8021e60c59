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

from wherry.errors import NotVerified, Refused
from wherry.moving.opening import reading
from wherry.moving.proofs import FRESH_S, Proof, recall
from wherry.moving.renewing import still_equal
from wherry.moving.standing import mark_of
from wherry.moving.verify import verify
from wherry.routing import aliases, turns
from wherry.routing.book import Book, Route, shown
from wherry.routing.carrying import carried_back, would_lose, writes_since
from wherry.routing.dual import drain, replay
from wherry.stores.base import Readable, glance


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
            since = {"old": mark_of(old), "new": mark_of(new), "count": glance(new).count, aliases.NAMES: names}
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
            carried += carried_back(book, route)
        with turns.leading(book.database, name):
            lost = _left_behind(book, route, waive_writes, carry)
            if lost != 0 and carry and waive_writes is None:
                carried, lost = carried + carried_back(book, route), 0
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
        raise would_lose(route, lost)


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
