"""What the parts of indexing hand to each other: a source yields documents, a chunker cuts them.

Source.documents() -> Listed (cheap) -> Listed.read() -> Document -> Chunker.cut() -> Chunk
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Part:
    """A stretch of a document that has a place of its own. page: from 1, None where there are none."""

    text: str
    page: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A document as it was read.

    id: stable within its source, NFC-normalised, `/` between folders. parts: its text in order. title: None
    where it has none. metadata: what travels to every chunk; volatile things (times, sizes) stay out.
    """

    id: str
    parts: tuple[Part, ...]
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """A piece of a document, ready to be embedded.

    ordinal: from 0 within the document. text: exactly what is embedded and stored. start, end: characters
    of the document's text (its parts joined by one newline) that it covers, end exclusive. headings: the path
    of headings it stands under.
    """

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stamp:
    """What a listing tells of a document without reading it; equal stamps that are old enough mean unread."""

    size: int
    mtime_ns: int
    inode: int = 0


@runtime_checkable
class Listed(Protocol):
    """A document that a source has shown and nobody has read yet."""

    @property
    def id(self) -> str:
        """Return the id its Document will have."""
        ...

    @property
    def stamp(self) -> Stamp | None:
        """Return its stamp, None where only reading tells whether it changed."""
        ...

    def bytes(self) -> bytes:
        """Return the source bytes, which the first fingerprint is taken over. Raises OSError or WherryError."""
        ...

    def read(self, data: bytes) -> Document:
        """Parse the bytes. Raises BadRecord, saying why, when they cannot be parsed."""
        ...


@runtime_checkable
class DocumentSource(Protocol):
    """Something that yields documents: a folder, a file, a query, an app's own.

    It may have a `complete: bool`: False says that a document it does not list may still exist, as when single
    files are named; then nothing is deleted.
    """

    @property
    def name(self) -> str:
        """Return a stable name, fit to print; documents of two sources never mix."""
        ...

    @property
    def parser(self) -> str:
        """Return name, version and options of what `read` does; part of the fingerprint."""
        ...

    def documents(self) -> Iterator[Listed]:
        """Yield every document. An error while listing is raised: then nothing may be deleted."""
        ...


@runtime_checkable
class Chunker(Protocol):
    """Cuts documents."""

    @property
    def identity(self) -> str:
        """Return name, version and options; part of the fingerprint."""
        ...

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order; none for one without text. Ends on every input."""
        ...
