"""Giving a collection a name that readers use, without asking who reads."""

from __future__ import annotations

from wherry.errors import Usage
from wherry.routing.book import Book, Route, Toggle


def set_route(
    name: str,
    address: str,
    *,
    variable: str | None = None,
    on: str | None = None,
    off: str | None = None,
    why: str = "",
) -> Route:
    """Return the route of a name; make it, leading to `address`, where there is none.

    variable: an environment variable of the reader that decides: `on` when true, `off` when false, where it was set
    to when neither. A route that is there keeps leading where it leads. Raises Usage for a name or an address that
    cannot be, and for a variable without an address.
    """
    if variable is None and (on or off):
        raise Usage("on and off go with a variable", where=name, next="name the variable that decides")
    toggle = Toggle(variable, on or address, off or address) if variable else None
    with Book() as book:
        found = book.find(name)
        return found if found is not None else book.make(name, address, toggle, why)
