"""Names that a server itself keeps for collections, and that readers of another program ask by.

They follow a route: the name that is called like the route, and the one that the route's own address went by. A name
that stands for another collection than the one the route leaves is somebody else's, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from wherry.address import Address
from wherry.errors import WherryError
from wherry.moving.opening import reading
from wherry.routing.book import Route, shown
from wherry.stores.base import Readable, Switchable

NAMES, LEFT = "names", "left"


def names_of(route: Route, old: Readable) -> list[str]:
    """Return the names that a route takes along from the side that it leaves."""
    asked = Address.parse(route.target).collection
    own = [asked] if isinstance(old, Switchable) and asked != old.own_name else []
    return list(dict.fromkeys([route.name, *own]))


def own_address(target: str, store: Readable) -> str:
    """Return the address by the collection's own name: a name that moves would lead elsewhere later."""
    if not isinstance(store, Switchable) or Address.parse(target).collection == store.own_name:
        return target
    head, _, tail = target.rpartition("#")
    return f"{head}#{quote(store.own_name, safe='')}" + "".join(tail.partition("?")[1:])


def follow(names: Iterable[str], left: str, leads_to: str) -> list[str]:
    """Let names of the collection of identity `left` stand for another; return one sentence for each that does.

    The route is led already: what fails here is told, and stops nothing.
    """
    try:
        with reading(leads_to) as store:
            if not isinstance(store, Switchable) or not store.capabilities.atomic_switch:
                return []
            moved = [name for name in names if store.take_over(name, left)]
    except WherryError as error:
        return [f"names that the server of {shown(leads_to)} keeps were not led there: {error.what}"]
    return [f"the name {name!r} of the server leads there too" for name in moved]
