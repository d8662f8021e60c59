"""Where the rows of an index are: what a run asks of a table, or of a store that joins no transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from wherry.address import Address
from wherry.indexing.database import Database
from wherry.indexing.diff import Change, Known
from wherry.indexing.manifest import Target
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

    def make(self, connection: psycopg.Connection, space: Space, suffix: str = "") -> tuple[dict[str, Any], int | None]:
        """Make the collection of a new generation; return (place, oid of its table or None)."""
        ...

    def open(self, place: dict[str, Any]) -> None:
        """Work on the collection of a generation that exists."""
        ...

    def change(
        self, connection: psycopg.Connection, index: int, generation: int, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Bring the chunks of some documents to what they should be."""
        ...

    def drop(
        self, connection: psycopg.Connection, index: int, generation: int, source: str, documents: Sequence[Known]
    ) -> None:
        """Remove the chunks of some documents."""
        ...

    def finish(self, space: Space, rows: int) -> None:
        """Make what was written searchable."""
        ...

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        ...


def place_of(address: str | Address) -> Place:
    """Return the place an address names. Nothing is made, and nobody is contacted."""
    from wherry.indexing.tables import TablePlace

    parsed = address if isinstance(address, Address) else Address.parse(address)
    if parsed.scheme in _TABLES:
        return TablePlace(parsed)
    raise NotImplementedError
