"""Opening what the acts work on: an address is opened and closed here, a store is used as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.address import Address
from wherry.stores.base import Readable, Writable
from wherry.stores.registry import open_source, open_target

Place = str | Path | Address
Source = Place | Readable
Target = Place | Writable


def is_place(end: object) -> bool:
    """Tell whether an end of a move has to be opened: an address or a path, not an open store."""
    return isinstance(end, (str, os.PathLike, Address))


@contextmanager
def reading(source: Source) -> Iterator[Readable]:
    """Open a source; close it again if it was opened here."""
    if not isinstance(source, (str, os.PathLike, Address)):
        yield source
        return
    store = open_source(address_of(source))
    try:
        yield store
    finally:
        store.close()


@contextmanager
def writing(target: Target) -> Iterator[Writable]:
    """Open a target; close it again if it was opened here."""
    if not isinstance(target, (str, os.PathLike, Address)):
        yield target
        return
    store = open_target(address_of(target))
    try:
        yield store
    finally:
        store.close()


def address_of(place: object) -> Address:
    """Return the address of an end of a move that `is_place`."""
    if not isinstance(place, (str, os.PathLike, Address)):
        raise TypeError(f"{type(place).__name__} is an open store, not an address")
    return place if isinstance(place, Address) else Address.parse(os.fspath(place))
