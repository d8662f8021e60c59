"""Folders and files as a source of documents."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

from wherry.errors import BadRecord
from wherry.indexing.base import Document, Listed, Stamp
from wherry.indexing.sources import formats
from wherry.indexing.sources.globs import Choice
from wherry.indexing.sources.tables import Columns, Unreadable, rows_of
from wherry.indexing.sources.walking import Found, Listing, printable

MAX_BYTES = 512 << 20


class FileListed:
    """A file that a folder has shown. stamp: None for a link that leads nowhere."""

    __slots__ = ("_max_bytes", "id", "path", "stamp")

    def __init__(self, id: str, stamp: Stamp | None, path: str, max_bytes: int) -> None:
        self.id, self.stamp, self.path = id, stamp, path
        self._max_bytes = max_bytes

    def bytes(self) -> bytes:
        """Return what the file holds. Raises OSError, BadRecord where it is too large."""
        # Making a Path would double the time that a small file takes.
        with open(self.path, "rb", buffering=0) as handle:  # noqa: PTH123
            # A file that is too large is not read at all; one that grows meanwhile is caught afterwards.
            if os.fstat(handle.fileno()).st_size > self._max_bytes:
                raise self._too_large()
            data = handle.readall()
        if len(data) > self._max_bytes:
            raise self._too_large()
        return data

    def read(self, data: bytes) -> Document:
        """Parse the file by its name's suffix. Raises BadRecord where it cannot be read."""
        return formats.reader_of(self.path)(self.id, data)

    def _too_large(self) -> BadRecord:
        return BadRecord(
            f"the file is larger than {self._max_bytes:,} bytes",
            where=self.id,
            next="split the file, raise max_bytes, or leave the file out with an exclude pattern",
        )


class Files:
    """The files of a folder, or some files given by name.

    base: what ids are relative to. whole: everything below `base` is meant. given: files that are meant by name,
    whatever their kind. Only a whole folder is listed completely: files given by name say nothing of the others,
    so `complete` is False for them and nothing may be deleted for being missing. Hidden files are left out,
    links followed, each folder visited once.
    """

    def __init__(
        self,
        base: Path,
        *,
        whole: bool = True,
        given: Sequence[Path] | None = None,
        name: str | None = None,
        choice: Choice | None = None,
        columns: Columns | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.base = base
        self.whole, self.given = whole, tuple(given) if given else None
        self._name = name or unicodedata.normalize("NFC", printable(os.fspath(base)))
        self._choice, self._columns, self._max_bytes = choice or Choice(), columns or Columns(), max_bytes
        self._chooses = bool(self._choice.include or self._choice.exclude)
        self._left_out: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Return the name that was given, else the folder's path."""
        return self._name

    @property
    def paths(self) -> list[Path]:
        """Return the paths that open the same files again."""
        return [*([self.base] if self.whole else []), *(self.given or ())]

    @property
    def complete(self) -> bool:
        """Whether a document that is not listed is gone."""
        return self.whole

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the last listing has to tell: how many files of kinds that cannot be read were left out."""
        kinds = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in self._left_out.most_common())
        return (f"{self._name}: files of other kinds were left out: {kinds}",) if kinds else ()

    @property
    def parser(self) -> str:
        """Return name and version of what reads files, with the columns of tables."""
        columns = self._columns
        said = "" if columns == Columns() else f" id={columns.id} text={columns.text} metadata={columns.metadata}"
        return formats.identity() + said

    def documents(self) -> Iterator[Listed]:
        """Yield every document, rows of tables included.

        Folders that cannot be listed and rows that cannot be read are passed over and told at the end, by
        NotListed: what came before it is right, and what did not come may exist.
        """
        listing = Listing(self.base)
        self._left_out = Counter()
        for path, plain, stamp in self._found(listing):
            id = listing.unique(plain, path)
            if stamp is not None and formats.suffix_of(plain) in formats.TABLES:
                yield from self._rows(id, path, stamp, listing)
            else:
                yield FileListed(id, stamp, path, self._max_bytes)
        listing.require_whole(self._name)

    def called(self, name: str) -> Files:
        """Return the same files as a source of another name."""
        other = copy(self)
        other._name, other._left_out = name, Counter()
        return other

    def _found(self, listing: Listing) -> Iterator[Found]:
        seen: set[str] = set()
        if self.whole:
            for found in listing.walk(self._enters):
                if self._takes(found[1]):
                    seen.update((found[0],) if self.given else ())
                    yield found
                elif not self._choice.include and self._choice.takes(found[1], True):
                    self._left_out[formats.suffix_of(found[1].rpartition("/")[2])] += 1
        yield from listing.given(path for path in self.given or () if os.fspath(path) not in seen)

    def _rows(self, id: str, path: str, stamp: Stamp, listing: Listing) -> Iterator[Listed]:
        try:
            data = FileListed(id, stamp, path, self._max_bytes).bytes()
        except OSError as error:
            listing.failed(path, error)
            return
        except BadRecord as error:
            listing.problems.append(f"{id}: {error.what}")
            yield Unreadable(id, error)
            return
        for row in rows_of(id, data, stamp, self._columns):
            if isinstance(row, Unreadable):
                listing.problems.append(row.id)
            yield row

    def _takes(self, id: str) -> bool:
        known = formats.suffix_of(id[id.rfind("/") + 1 :]) in formats.KNOWN
        return self._choice.takes(id, known) if self._chooses else known

    def _enters(self, id: str) -> bool:
        return not self._chooses or self._choice.enters(id)
