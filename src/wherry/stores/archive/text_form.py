"""What the two JSON formats have in common: documents one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa

from wherry.record import Page, vectors_of
from wherry.stores.archive.card import Card
from wherry.stores.archive.disk import ArchiveFile
from wherry.stores.archive.element import Element, parse
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.paging import PageMaker, pieces
from wherry.stores.archive.splitter import corrupt
from wherry.stores.archive.survey import contradiction

_LOOKUP_ROWS, _WRITE_ROWS = 4096, 256
Places = Sequence[tuple[int, int]]
# Offset and length of a document in the file, and what it holds.
Placed = tuple[int, int, Element]


class TextForm:
    """Reading documents; a place is the offset and the length of a document in bytes."""

    options: frozenset[str] = frozenset()

    def raw_documents(self, file: ArchiveFile) -> Iterator[tuple[int, bytes]]:
        """Yield every document as it stands in the file, with its offset."""
        raise NotImplementedError

    def documents(self, file: ArchiveFile, vectors: bool = True) -> Iterator[Placed]:
        """Yield every document, read."""
        return parsed(self.raw_documents(file), file.shown, vectors)

    def pages(self, file: ArchiveFile, card: Card, rows: int) -> Iterator[Page]:
        """Yield all records in file order."""
        maker = PageMaker(card, rows, lambda place: file.read_at(*place))
        read = 0
        for offset, length, element in self.documents(file):
            maker.add(element, (offset, length))
            read += 1
            if maker.full:
                yield maker.page()
        if read != card.count:
            raise contradiction(f"{read:,} documents were read, {card.count:,} were announced", file.shown)
        if maker.read:
            yield maker.page()

    def groups(self, file: ArchiveFile) -> list[int]:
        """Nothing: where a document begins in the middle of a text, only reading from its start can tell."""
        return []

    def pages_of(self, file: ArchiveFile, card: Card, rows: int, groups: range) -> Iterator[Page]:
        """Nothing: there are no parts."""
        return iter(())

    def lookup(self, file: ArchiveFile, card: Card) -> Lookup:
        """Return the index of the file's ids."""
        lookup = Lookup()
        waiting: list[tuple[str, int, int]] = []
        for offset, length, element in self.documents(file, vectors=False):
            if element.id:
                waiting.append((element.id, offset, length))
            if len(waiting) == _LOOKUP_ROWS:
                lookup.add(waiting)
                waiting.clear()
        lookup.add(waiting)
        return lookup

    def at(self, file: ArchiveFile, card: Card, places: Places) -> Page:
        """Return the records at some places."""
        maker = PageMaker(card, max(1, len(places)), lambda place: file.read_at(*place), distinct=True)
        for offset, length in places:
            raw = file.read_at(offset, length)
            maker.add(_parse(raw, f"byte {offset:,}", file.shown), (offset, length))
        return maker.page()


def parsed(raws: Iterable[tuple[int, bytes]], shown: str, vectors: bool = True) -> Iterator[Placed]:
    """Read documents given as (offset, bytes). Raises ArchiveCorrupt for one that is no JSON."""
    for number, (offset, raw) in enumerate(raws, start=1):
        yield offset, len(raw), _parse(raw, f"document {number:,}, byte {offset:,}", shown, vectors)


def _parse(raw: bytes, place: str, shown: str, vectors: bool = True) -> Element:
    try:
        return parse(raw, vectors)
    except ValueError as error:
        # The parser's own words may quote the record; only their kind is passed on.
        raise corrupt(shown, f"a document is no JSON: {type(error).__name__}", place) from None


def small_parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut batches for writing: as text a batch is several times as large."""
    for batch in batches:
        yield from pieces(batch, _WRITE_ROWS)


def encoded(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Yield each record of a batch as one line of JSON, without the line's end."""
    texts = [b"null" if t is None else orjson.dumps(t) for t in batch.column("text").to_pylist()]
    columns: tuple[Iterable[bytes], ...] = (
        [orjson.dumps(i) for i in batch.column("id").to_pylist()],
        texts,
        [b"null" if m is None else _one_line(m) for m in batch.column("metadata").cast(pa.binary()).to_pylist()],
        _vectors(vectors_of(batch)),
    )
    for record_id, text, metadata, vector in zip(*columns, strict=True):
        yield b'{"id":%b,"text":%b,"metadata":%b,"embedding":[%b]}' % (record_id, text, metadata, vector)


def _vectors(vectors: np.ndarray) -> list[bytes]:
    if not vectors.size:
        return [b""] * len(vectors)
    # Shortest digits that read back to the same float32; one call for the batch, then cut apart.
    return orjson.dumps(np.ascontiguousarray(vectors), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")


def _one_line(metadata: bytes) -> bytes:
    # A line break cannot be inside a string of JSON, so it is white space and a blank is the same.
    return metadata.replace(b"\r", b" ").replace(b"\n", b" ")
