"""Opening what the acts work on: an address is opened and closed here, a store is used as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wherry.address import Address
from wherry.stores.base import Readable, Writable
from wherry.stores.registry import open_source, open_target

Source = str | Address | Readable
Target = str | Address | Writable


@contextmanager
def reading(source: Source) -> Iterator[Readable]:
    """Open a source; close it again if it was opened here."""
    if not isinstance(source, (str, Address)):
        yield source
        return
    store = open_source(source)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def writing(target: Target) -> Iterator[Writable]:
    """Open a target; close it again if it was opened here."""
    if not isinstance(target, (str, Address)):
        yield target
        return
    store = open_target(target)
    try:
        yield store
    finally:
        store.close()
