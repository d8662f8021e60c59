"""From the paths of a command line or of wherry.toml to sources."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from wherry.errors import NotListed, Usage
from wherry.indexing.base import Document, DocumentSource, Listed, Stamp
from wherry.indexing.sources.files import MAX_BYTES, Files
from wherry.indexing.sources.globs import Choice
from wherry.indexing.sources.tables import Columns
from wherry.indexing.sources.walking import spelled

_LONGEST = 120


class Combined:
    """Several folders as one source: ids begin with the name of their folder."""

    def __init__(self, members: Sequence[Files], name: str | None = None) -> None:
        self.members = tuple(members)
        self._labels = _labels([member.base for member in members])
        self._name = name or _joined([member.name for member in members])

    @property
    def name(self) -> str:
        """Return the name that was given, else those of the members."""
        return self._name

    @property
    def complete(self) -> bool:
        """Whether a document that is not listed is gone."""
        return all(member.complete for member in self.members)

    @property
    def parser(self) -> str:
        """Return what reads the files, the same for every member."""
        return self.members[0].parser

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the last listings have to tell."""
        return tuple(note for member in self.members for note in member.notes)

    def documents(self) -> Iterator[Listed]:
        """Yield the documents of one member after the other. Raises NotListed as they do."""
        failures: list[NotListed] = []
        for label, member in zip(self._labels, self.members, strict=True):
            try:
                for item in member.documents():
                    yield _Moved(f"{label}/{item.id}", item)
            except NotListed as failure:
                # The other folders are listed all the same.
                failures.append(failure)
        if failures:
            raise failures[0]


class _Moved:
    """A listed document under the name of its folder."""

    __slots__ = ("_item", "id")

    def __init__(self, id: str, item: Listed) -> None:
        self.id, self._item = id, item

    @property
    def stamp(self) -> Stamp | None:
        return self._item.stamp

    def bytes(self) -> bytes:
        return self._item.bytes()

    def read(self, data: bytes) -> Document:
        return replace(self._item.read(data), id=self.id)


def open_sources(
    paths: Sequence[str | os.PathLike[str]],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    columns: Columns | None = None,
    max_bytes: int = MAX_BYTES,
) -> list[Files]:
    """Return one source per folder: the folders among `paths`, and those of the files among them.

    A file within a folder that is also given belongs to that folder. Raises Usage for a path that does not
    exist or is neither file nor folder, and where there is no path at all.
    """
    if not paths:
        raise Usage("no path is given", next="name a folder or files: wherry index docs/ --into pgvector:#docs")
    folders: list[Path] = []
    files: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(_resolved(path) for path in paths):
        if path.is_dir():
            folders.append(path)
        else:
            files.setdefault(path.parent, []).append(path)
    # A folder within another one is listed with it.
    folders = [one for one in folders if not any(other != one and one.is_relative_to(other) for other in folders)]
    homes: dict[Path, list[Path]] = {folder: [] for folder in folders}
    for parent, given in files.items():
        home = next((folder for folder in folders if parent.is_relative_to(folder)), parent)
        homes.setdefault(home, []).extend(sorted(given))
    options = {"choice": Choice(include, exclude), "columns": columns, "max_bytes": max_bytes}
    return [Files(base, whole=base in folders, given=given, **options) for base, given in homes.items()]


def open_source_paths(
    paths: Sequence[str | os.PathLike[str]],
    *,
    name: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    columns: Columns | None = None,
    max_bytes: int = MAX_BYTES,
) -> DocumentSource:
    """Return the documents of some paths as one source.

    One folder: ids are paths within it. Several: they begin with the folder's name. name: by default made of
    the folders' paths, so that the same folders are the same source however they are written. Raises Usage as
    `open_sources` does.
    """
    sources = open_sources(paths, include=include, exclude=exclude, columns=columns, max_bytes=max_bytes)
    if len(sources) > 1:
        return Combined(sources, name)
    return sources[0] if name is None else sources[0].called(name)


def _resolved(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    try:
        # The folder is resolved, a link to a file is not: its own name is the document's.
        place = Path(os.path.abspath(text))  # noqa: PTH100 - Path.absolute keeps `..`
        found = place.stat()
        if stat.S_ISDIR(found.st_mode):
            return place.resolve()
        if stat.S_ISREG(found.st_mode):
            return place.parent.resolve() / place.name
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise Usage(f"{spelled(text)!r} cannot be indexed: {words}", next="check the path") from None
    raise Usage(f"{spelled(text)!r} is neither a file nor a folder", next="name a folder or files")


def _labels(bases: Sequence[Path]) -> list[str]:
    """Return a short name for each folder: its last parts, as many as tell it from the others."""
    parts = 1
    while True:
        labels = [spelled("/".join(base.parts[-parts:]).lstrip("/")) for base in bases]
        if len(set(labels)) == len(labels):
            return labels
        parts += 1


def _joined(names: Sequence[str]) -> str:
    joined = ", ".join(sorted(names))
    if len(joined) <= _LONGEST:
        return joined
    return f"{joined[: _LONGEST - 20]}... {blake2b(joined.encode(), digest_size=8).hexdigest()}"
