"""Leading a route to another collection, and back.

    switch     only with a fresh proof that both sides are equal, or with a waiver that is recorded
    rollback   only when nothing written since is lost: it is carried back first, or waived by number

The pointer is one row that is compared and set; readers that are at work finish where they began. What was
written to the old side between the proof and the switch shows by its mark, and the result says so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from wherry.errors import NotVerified, Refused, WherryError, WouldLoseWrites
from wherry.moving.opening import reading
from wherry.moving.proofs import FRESH_S, Proof, recall
from wherry.moving.standing import mark_of
from wherry.moving.sync import sync
from wherry.moving.verify import verify
from wherry.routing.book import Book, Route, shown
from wherry.routing.dual import replay
from wherry.stores.base import Readable, Versioned


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
        _require_followed(route)
        if prove and not waive:
            verify(old, new)
        proof = None if waive else _proof(old, new, route, target, fresh_s)
        since = {"old": mark_of(old), "new": mark_of(new), "count": new.describe().count}
        details = {"proved_at": proof.when.isoformat() if proof else None, "waived": waive}
        led = book.lead(route, target, "switch", why, since, details)
        notes = [] if proof is None else _written_meanwhile(proof, old, new)
        return Switched(
            name, route.target, led.target, led.version, details["proved_at"], waived=waive, notes=tuple(notes)
        )


def rollback(name: str, *, why: str = "", waive_writes: int | None = None, carry: bool = True) -> Switched:
    """Lead a route back to where it led before.

    What was written to the live side since is carried back first, by a sync. carry=False refuses instead.
    waive_writes: lead it back at once, giving up that many writes at most. Raises NoSuchRoute, WouldLoseWrites, Busy.
    """
    with Book() as book:
        route = book.require(name)
        if route.previous is None:
            raise Refused(
                f"{name} was never led elsewhere", left="nothing was changed", next=f"wherry route show {name}"
            )
        lost = _writes_since(route, waive_writes)
        if lost == 0:
            return _led_back(book, route, why)
        if waive_writes is not None and (lost is None or lost <= waive_writes):
            given_up = "an unknown number of writes" if lost is None else f"{lost:,} writes"
            return _led_back(book, route, why, waived=f"{given_up} were given up")
        if not carry or waive_writes is not None:
            raise _would_lose(route, lost)
        moved = sync(route.target, route.previous, accept_losses=True, allow_mass_delete=True)
        carried = moved.written + moved.deleted
        return _led_back(book, route, why, carried=carried)


def _require_followed(route: Route) -> None:
    """Let what is in the outbox reach the side that follows. Raises Refused when it cannot."""
    left = replay(route.name)
    if left.waiting:
        raise Refused(
            f"{left.waiting:,} writes have not reached the side that follows {route.name}: {left.error or 'not yet'}",
            where=route.name,
            left="readers go on as before",
            next=f"wherry route replay {route.name}",
        )


def _proof(old: Readable, new: Readable, route: Route, target: str, fresh_s: float) -> Proof:
    """Return a proof that stands, whichever side was copied from the other. Raises NotVerified."""
    doubts: list[str] = []
    for source, copy in ((old, new), (new, old)):
        proof = recall(source, copy)
        if proof is not None:
            found = proof.doubts(source, copy, fresh_s)
            if not found:
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


def _writes_since(route: Route, waived: int | None) -> int | None:
    """Count what was written to the live side since the switch; None where that cannot be told."""
    try:
        with reading(route.target) as store:
            mark = route.since.get("new")
            if mark is None or not isinstance(store, Versioned):
                return None
            since = store.touched(mark)
            if since is None:
                return None
            return len(since.ids) + max(0, int(route.since.get("count", since.count)) - since.count)
    except WherryError:
        # A live side that cannot be read is the usual reason to go back; only a waiver leads there then.
        if waived is None:
            raise
        return None


def _led_back(book: Book, route: Route, why: str, carried: int = 0, waived: str = "") -> Switched:
    assert route.previous is not None
    details = {"carried": carried, "waived": waived}
    led = book.lead(route, route.previous, "rollback", why, {}, details)
    return Switched(route.name, route.target, led.target, led.version, carried=carried, waived=waived)


def _would_lose(route: Route, lost: int | None) -> WouldLoseWrites:
    number = "an unknown number of" if lost is None else f"{lost:,}"
    return WouldLoseWrites(
        f"{number} writes were made to {shown(route.target)} since {route.name} was led there",
        where=route.name,
        left="readers go on as before",
        next=f"wherry rollback {route.name} carries them back first"
        + (f"; --waive-writes {lost} gives them up" if lost else ""),
    )
