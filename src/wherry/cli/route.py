"""Leading routes, and showing where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.words import safe
from wherry.errors import StoreError, Usage
from wherry.routing.book import Book, Event, Route, Toggle, shown
from wherry.routing.dual import follow, replay, shadow
from wherry.routing.switching import Switched, rollback, switch

if TYPE_CHECKING:
    from rich.console import RenderableType


def set_route(
    name: str, address: str, variable: str | None, on: str | None, off: str | None, why: str, json: bool
) -> int:
    """Make a route and print it."""
    if (variable is None) != (on is None and off is None):
        raise Usage("--toggle goes with --on and --off", next="name the variable and both addresses")
    toggle = Toggle(variable, on or address, off or address) if variable else None
    with Book() as book:
        made = book.make(name, address, toggle, why)
    return _put(
        made.to_dict(), json, [f"{name} leads to {_shown(made.target)}", f"next: wherry search QUESTION --in {name}"]
    )


def list_routes(json: bool) -> int:
    """Print every route."""
    with Book() as book:
        found = book.all()
    table = _table("route", "leads to", "before", "changed")
    for route in found:
        table.add_row(safe(route.name), _shown(route.leads_to()), _shown(route.previous), _when(route))
    lines: list[RenderableType] = (
        [table] if found else ["There is no route yet.", "next: wherry route set NAME ADDRESS"]
    )
    return _put({"routes": [route.to_dict() for route in found]}, json, lines)


def show_route(name: str, json: bool) -> int:
    """Print a route and its history."""
    with Book() as book:
        route, events = book.require(name), book.history(name)
    table = _table("when", "act", "from", "to", "who", "why")
    for event in events:
        ends = _shown(event.came_from), _shown(event.leads_to)
        table.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}", event.act, *ends, safe(event.who), safe(_why(event)))
    head = Text(f"{name} leads to {_shown(route.leads_to())}", style="bold")
    return _put({**route.to_dict(), "history": [event.to_dict() for event in events]}, json, [head, table])


def remove_route(name: str, why: str, json: bool) -> int:
    """Remove a route."""
    with Book() as book:
        book.remove(name, why)
    return _put({"removed": name}, json, [f"{name} is no route any more; its collections are untouched"])


def switch_route(name: str, address: str, prove: bool, waive: str, why: str, json: bool) -> int:
    """Lead a route elsewhere and print what was done."""
    with listening(json, address):
        done = switch(name, address, prove=prove, waive=waive, why=why)
    return _put(done.to_dict(), json, _done(done))


def roll_back(name: str, waive_writes: int | None, carry: bool, why: str, json: bool) -> int:
    """Lead a route back and print what was done."""
    with listening(json):
        done = rollback(name, waive_writes=waive_writes, carry=carry, why=why)
    return _put(done.to_dict(), json, _done(done))


def shadow_route(name: str, address: str | None, sample: str, off: bool, why: str, json: bool) -> int:
    """Let a side be asked too, or none, and print the route."""
    _require_one(address, off)
    route = shadow(name, address, share_of(sample), why)
    asked = f"{_shown(route.shadow)} is asked too, for {route.shadow_share:.0%} of the questions"
    lines: list[RenderableType] = [asked if route.shadow else "no other side is asked any more"]
    return _put(route.to_dict(), json, [*lines, f"next: wherry watch {name}"])


def dual_write(name: str, address: str | None, off: bool, why: str, json: bool) -> int:
    """Let a side follow, or none, and print the route."""
    _require_one(address, off)
    route = follow(name, address, why)
    lines: list[RenderableType] = [f"{_shown(route.dual)} follows {name}" if route.dual else f"no side follows {name}"]
    return _put(route.to_dict(), json, lines)


def replay_route(name: str, json: bool) -> int:
    """Empty the outbox as far as the other side lets us; 4 when something is left."""
    done = replay(name)
    lines: list[RenderableType] = [f"{done.records:,} records made alike, {done.waiting:,} writes still wait"]
    if done.error:
        lines.append(f"why: {safe(done.error)}")
    return _put(done.to_dict(), json, lines) or (StoreError.exit_code if done.waiting else 0)


def share_of(text: str) -> float:
    """Return a share written as `10%` or `0.1`. Raises Usage."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise Usage(f"{text!r} is no share", where="--sample", next="write 10% or 0.1")
    return share


def _require_one(address: str | None, off: bool) -> None:
    if (address is None) != off:
        raise Usage("name a collection, or --off", left="nothing was changed")


def _done(done: Switched) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"{done.route} leads to {_shown(done.leads_to)}", style="bold")]
    lines.append(f"before: {_shown(done.came_from)}, which is untouched")
    if done.proved_at:
        lines.append(f"both sides were equal, value by value, at {done.proved_at}")
    if done.carried:
        lines.append(f"{done.carried:,} records were carried back first")
    if done.waived:
        lines.append(f"without a proof: {safe(done.waived)}")
    lines += [f"note: {safe(note)}" for note in done.notes]
    return [*lines, f"next: wherry rollback {done.route} leads it back"]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _shown(address: str | None) -> str:
    return safe(shown(address) or "")


def _when(route: Route) -> str:
    return f"{route.changed_at:%Y-%m-%d %H:%M:%S}" if route.changed_at else ""


def _why(event: Event) -> str:
    return event.why or str(event.details.get("waived") or "")


def _put(value: dict[str, Any], json: bool, lines: list[RenderableType]) -> int:
    if json:
        out.put_json(value)
    else:
        out.put_all(lines)
    return 0
