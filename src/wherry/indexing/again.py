"""Running an index again with what it remembers: its sources, its model, its chunkers."""

from __future__ import annotations

import os
from collections.abc import Callable

from wherry.address import Address
from wherry.errors import NoSuchCollection
from wherry.indexing.act import Wants, index_opened
from wherry.indexing.manifest import look
from wherry.indexing.model import Wish
from wherry.indexing.opening import again
from wherry.indexing.place import place_of
from wherry.indexing.results import IndexResult


def refresh(
    into: str | os.PathLike[str] | Address,
    *,
    embedder: Wish = None,
    retry: bool = False,
    allow_mass_delete: bool = False,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> IndexResult:
    """Index the sources of an index again, as they were given last. retry: try dead letters too.

    Raises NoSuchCollection where there is no index, Usage where a source was given by a program.
    """
    place = place_of(into if isinstance(into, Address) else os.fspath(into))
    try:
        standing = look(place.database, place.target, None)
        if standing is None or standing.live is None:
            raise NoSuchCollection(
                "there is no index at this address",
                where=place.target.shown,
                next=f"wherry index PATH --into '{place.target.shown}'",
            )
        found = again(standing.sources.values(), place.target.shown)
    finally:
        place.close()
    return index_opened(found, into, embedder, None, Wants(allow_mass_delete, retry, progress=progress))
