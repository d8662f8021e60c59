"""From what a caller writes to sources and chunkers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from wherry.errors import Usage, WherryError
from wherry.indexing.base import Chunker, DocumentSource
from wherry.indexing.manifest import SourceRow


@dataclass(frozen=True)
class Choice:
    """Which files of folders are documents: patterns, none means all that can be read."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A source, and how it can be opened again; origin None for one of the caller's own."""

    source: DocumentSource
    origin: str | None


One = str | os.PathLike[str] | DocumentSource | Opened
Documents = One | Iterable[One]


def sources_of(documents: Documents, choice: Choice = Choice()) -> list[Opened]:
    """Return the sources that paths name, and those that were given. Raises Usage where there is none, or twice one."""
    given = [documents] if isinstance(documents, (str, os.PathLike, DocumentSource, Opened)) else list(documents)
    found = [one for one in given if isinstance(one, Opened)]
    found += [Opened(one, None) for one in given if isinstance(one, DocumentSource)]
    found += _at([os.fspath(one) for one in given if not isinstance(one, (DocumentSource, Opened))], choice)
    if not found:
        raise Usage("there is nothing to index", next="name a file, a folder or a source")
    names = [one.source.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Usage(f"the source {twice[0]} is named twice", next="name each source once")
    return found


def again(rows: Iterable[SourceRow], shown: str) -> list[Opened]:
    """Open the sources of an index as they were opened last. Raises Usage for one that only its owner can open."""
    found = []
    for row in rows:
        if row.origin is None:
            raise Usage(
                f"the source {row.name} was given by a program, which alone can open it again",
                where=shown,
                next="run it again from there",
            )
        origin = json.loads(row.origin)
        if "index" in origin:
            found.append(named_source(origin["index"], origin["file"]))
            continue
        found += _at(origin["paths"], Choice(tuple(origin["include"]), tuple(origin["exclude"])))
    return found


def named_source(name: str, file: str) -> Opened:
    """Open the source of an index that a settings file names. Raises Usage."""
    from wherry.indexing.config import named_index

    origin = json.dumps({"index": name, "file": file}, ensure_ascii=False)
    return Opened(named_index(name, file).source(), origin)


def chunker_of(wish: str | Chunker | None, row: SourceRow | None, source: DocumentSource) -> tuple[Chunker, str]:
    """Return the chunker of a source and how it is remembered: the wish, else the last one, else the usual one."""
    if wish is not None and not isinstance(wish, str):
        return wish, wish.identity
    from wherry.indexing.chunking import open_chunker

    spec = wish if wish is not None else (row.chunker if row is not None else "")
    try:
        return open_chunker(spec or None), spec
    except WherryError as error:
        if wish is not None:
            raise
        raise Usage(
            f"{source.name} was cut by a chunker of your own: {spec}",
            next="give it again, or name another one with --chunker",
        ) from error


def _at(paths: Sequence[str], choice: Choice) -> list[Opened]:
    if not paths:
        return []
    from wherry.indexing.sources import open_sources

    found = []
    for source in open_sources(paths, include=choice.include, exclude=choice.exclude):
        origin = {"paths": [str(place) for place in source.paths], **asdict(choice)}
        found.append(Opened(source, json.dumps(origin, ensure_ascii=False)))
    return found
