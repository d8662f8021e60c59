"""From what a caller writes to sources and chunkers."""

from __future__ import annotations

import os
from collections.abc import Iterable

from wherry.errors import Usage, WherryError
from wherry.indexing.base import Chunker, DocumentSource
from wherry.indexing.manifest import SourceRow

Documents = str | os.PathLike[str] | DocumentSource | Iterable[str | os.PathLike[str] | DocumentSource]


def sources_of(documents: Documents) -> list[DocumentSource]:
    """Return the sources that paths name, and those that were given. Raises Usage where there is none, or twice one."""
    given = [documents] if isinstance(documents, (str, os.PathLike, DocumentSource)) else list(documents)
    found = [one for one in given if isinstance(one, DocumentSource)]
    paths = [os.fspath(one) for one in given if not isinstance(one, DocumentSource)]
    if paths:
        from wherry.indexing.sources import open_sources

        found += open_sources(paths)
    if not found:
        raise Usage("there is nothing to index", next="name a file, a folder or a source")
    names = [source.name for source in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Usage(f"the source {twice[0]} is named twice", next="name each source once")
    return found


def chunker_of(wish: str | Chunker | None, row: SourceRow | None, source: DocumentSource) -> tuple[Chunker, str]:
    """Return the chunker of a source and how it is remembered: the wish, else the last one, else the usual one."""
    if wish is not None and not isinstance(wish, str):
        return wish, wish.identity
    from wherry.indexing.chunking import open_chunker

    spec = wish if wish is not None else (row.chunker if row is not None else None)
    try:
        return open_chunker(spec), spec or ""
    except WherryError as error:
        if wish is not None:
            raise
        raise Usage(
            f"{source.name} was cut by a chunker of your own: {spec}",
            next="give it again, or name another one with --chunker",
        ) from error
