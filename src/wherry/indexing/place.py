"""Where the rows of an index are: what a run asks of a table, or of a store that joins no transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg

from wherry.address import Address
from wherry.errors import NoSuchCollection
from wherry.indexing.diff import Change, Known
from wherry.indexing.lease import Lease
from wherry.indexing.manifest import Generation, Manifest, Target, look
from wherry.postgres.database import Database
from wherry.space import Space

_TABLES = {"pgvector", "postgresql", "postgres"}


class Place(Protocol):
    """A collection that an index fills. database: where the manifest is."""

    @property
    def database(self) -> Database:
        """The database of the manifest."""
        ...

    @property
    def target(self) -> Target:
        """What the manifest looks for."""
        ...

    def make(self, connection: psycopg.Connection, space: Space) -> tuple[dict[str, Any], int | None]:
        """Make the collection of a first generation; return (place, oid of its table or None)."""
        ...

    def make_beside(
        self, connection: psycopg.Connection, live: dict[str, Any], space: Space, number: int
    ) -> tuple[dict[str, Any], int | None]:
        """Make the collection of another generation beside the live one."""
        ...

    def switch(
        self, connection: psycopg.Connection, live: Generation, other: Generation
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Let the name readers use mean another generation; return the places (live before, live now)."""
        ...

    def remove(self, connection: psycopg.Connection, place: dict[str, Any]) -> None:
        """Remove the collection of a generation that nobody reads."""
        ...

    def texts(self, connection: psycopg.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return (text, metadata as JSON text) of some chunks, by what identifies them."""
        ...

    def keys(self, connection: psycopg.Connection) -> Iterator[list[str]]:
        """Yield what identifies the records of the collection, some at a time."""
        ...

    def wrong_vectors(
        self, connection: psycopg.Connection, ids: Sequence[str], keys: Sequence[bytes], unit: bool
    ) -> set[str]:
        """Return which chunks have a vector that is not the one that was paid for."""
        ...

    def health(self) -> tuple[int, str]:
        """Return how many records the collection has, and its vector index in a word."""
        ...

    def row_ids(self, source: str, document: Known) -> list[str]:
        """Return what identifies the chunks of a document, in order."""
        ...

    def open(self, place: dict[str, Any]) -> None:
        """Work on the collection of a generation that exists."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the collection against other writers."""
        ...

    def recover(self, database: Database, lease: Lease, generation: int) -> None:
        """Put up what a run that ended early may have left half done."""
        ...

    def announce(
        self, database: Database, lease: Lease, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Do what cannot be done within the transaction of `change`, before it."""
        ...

    def change(
        self, connection: psycopg.Connection, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Bring the chunks of some documents to what they should be, in the transaction of the manifest."""
        ...

    def announce_gone(self, database: Database, lease: Lease, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Do what cannot be done within the transaction of `drop`, before it."""
        ...

    def drop(self, connection: psycopg.Connection, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Remove the chunks of some documents, in the transaction of the manifest."""
        ...

    def mend(self) -> None:
        """Remove what is left of an index that broke, so that the next run builds it."""
        ...

    def finish(self, space: Space, rows: int) -> None:
        """Make what was written searchable."""
        ...

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        ...


def place_of(address: str | Address) -> Place:
    """Return the place an address names. Nothing is made, and nobody is contacted."""
    parsed = address if isinstance(address, Address) else Address.parse(address)
    if parsed.scheme in _TABLES:
        from wherry.indexing.tables import TablePlace

        return TablePlace(parsed)
    from wherry.indexing.elsewhere import StorePlace

    return StorePlace(parsed)


@contextmanager
def located(into: str | os.PathLike[str] | Address) -> Iterator[tuple[Place, int, Generation]]:
    """Give the place of an index, its number and its live generation; the collection itself is not opened.

    Raises NoSuchCollection when there is no index.
    """
    place = place_of(into if isinstance(into, Address) else os.fspath(into))
    try:
        standing = look(place.database, place.target, None)
        if standing is None or standing.index is None or standing.live is None:
            raise NoSuchCollection(
                "there is no index at this address",
                where=place.target.shown,
                next=f"wherry index PATH --into '{place.target.shown}'",
            )
        yield place, standing.index, standing.live
    finally:
        place.close()


@contextmanager
def opened(into: str | os.PathLike[str] | Address) -> Iterator[tuple[Place, int, Generation]]:
    """Give the place of an index with its live collection open. Raises NoSuchCollection when either is not there."""
    with located(into) as (place, index, live):
        place.open(live.place)
        yield place, index, live
