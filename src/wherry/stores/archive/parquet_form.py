"""`.parquet`: the columns of a record, in row groups that carry their own checksums.

The footer's key-value metadata holds `wherry` (the card, with the end and digest of every row group),
`wherry_space` and `wherry_seal` (count, digest sum of the records, and the seal). The seal covers the
whole file, footer included, and is checked before the Parquet library sees a byte: that library was
not made for hostile input. Files of others are read as they are; see `parquet_columns`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from wherry.errors import ArchiveCorrupt
from wherry.record import Page, schema
from wherry.stores.archive.card import CARD_KEY, SEAL_KEY, Card, Tally
from wherry.stores.archive.disk import CHUNK, ArchiveFile
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.paging import PAGE_BYTES, pieces
from wherry.stores.archive.parquet_columns import Columns, survey
from wherry.stores.archive.seal import Sink, damaged, verify_seal
from wherry.stores.archive.splitter import corrupt

_MAGIC = b"PAR1"
_SMALLEST = 12
_GROUPS = re.compile(rb'"groups": (\[\[.*?\]\])')
_TAIL = 1 << 22
_COMPRESSION = {"id": "ZSTD", "text": "ZSTD", "metadata": "ZSTD", "vector.list.element": "NONE"}


class ParquetForm:
    """Parquet, ours and anybody's. A place is the number of a row, and 1."""

    suffix = ".parquet"
    options = frozenset({"id", "vector", "text", "metadata"})

    def inspect(self, file: ArchiveFile) -> tuple[Card, Lookup | None]:
        """Check the seal of an archive of ours; decode all of any other."""
        if _sealed(file):
            card, _ = _own(file, self._open(file))
            return card, None
        _require_frame(file)
        found = self._open(file)
        if {CARD_KEY.encode(), SEAL_KEY.encode()} & (found.metadata.metadata or {}).keys():
            raise damaged(file.shown, "it has lost its seal")
        columns = Columns.of(found.schema_arrow, file.options, file.shown)
        return survey(file, columns, self._batches(file, found, columns.names, 4096)), None

    def pages(self, file: ArchiveFile, card: Card, rows: int) -> Iterator[Page]:
        """Yield all records in file order; row groups of ours are checked again as they are read."""
        found = self._open(file)
        if not card.sealed:
            columns = Columns.of(found.schema_arrow, file.options, file.shown)
            for batch in self._batches(file, found, columns.names, rows):
                for piece in pieces(batch, rows):
                    yield columns.page(piece, card)
            return
        yield from self.pages_of(file, card, rows, range(found.metadata.num_row_groups))

    def groups(self, file: ArchiveFile) -> list[int]:
        """Return the records of each row group."""
        found = self._open(file).metadata
        return [found.row_group(number).num_rows for number in range(found.num_row_groups)]

    def pages_of(self, file: ArchiveFile, card: Card, rows: int, groups: range) -> Iterator[Page]:
        """Yield the records of some row groups of ours, each of which is checked as it is read."""
        for batch in self._checked_batches(file, self._open(file), rows, groups):
            for piece in pieces(batch, rows):
                yield Page(_in_form(piece, card))

    def lookup(self, file: ArchiveFile, card: Card) -> Lookup:
        """Return the index of the file's ids."""
        lookup, row = Lookup(), 0
        for ids in self._ids(file, card):
            lookup.add((i, row + at, 1) for at, i in enumerate(ids) if i)
            row += len(ids)
        return lookup

    def _ids(self, file: ArchiveFile, card: Card) -> Iterator[list[str | None]]:
        found = self._open(file)
        columns = Columns.of(found.schema_arrow, {} if card.sealed else file.options, file.shown)
        for batch in self._batches(file, found, [columns.id], 65536):
            yield columns.ids(batch).to_pylist()

    def at(self, file: ArchiveFile, card: Card, places: Sequence[tuple[int, int]]) -> Page:
        """Return the records of some rows, reading only the row groups that hold them."""
        found = self._open(file)
        columns = Columns.of(found.schema_arrow, {} if card.sealed else file.options, file.shown)
        wanted = np.array([row for row, _ in places], dtype=np.int64)
        picked = list(self._picked(file, found, columns, wanted))
        if not picked:
            return Page(pa.RecordBatch.from_pylist([], schema=schema(card.dimension)))
        batch = pa.Table.from_batches(picked).combine_chunks().to_batches()[0]
        return columns.page(batch, card, distinct=True)

    def _picked(
        self, file: ArchiveFile, found: pq.ParquetFile, columns: Columns, wanted: np.ndarray
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        for group in range(found.metadata.num_row_groups):
            rows = found.metadata.row_group(group).num_rows
            if np.any((wanted >= start) & (wanted < start + rows)):
                at = start
                for batch in self._batches(file, found, columns.names, 4096, [group]):
                    inside = wanted[(wanted >= at) & (wanted < at + batch.num_rows)]
                    if len(inside):
                        yield batch.take(pa.array(inside - at))
                    at += batch.num_rows
            start += rows

    def _open(self, file: ArchiveFile) -> pq.ParquetFile:
        with _decoding(file):
            return pq.ParquetFile(file.stream(), page_checksum_verification=True, pre_buffer=False, buffer_size=CHUNK)

    def _batches(
        self,
        file: ArchiveFile,
        found: pq.ParquetFile,
        names: list[str],
        rows: int,
        groups: list[int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Decode some columns; never more rows at once than about fill a page."""
        metadata = found.metadata
        size = sum(metadata.row_group(g).total_byte_size for g in range(metadata.num_row_groups))
        fitting = max(1, PAGE_BYTES * max(1, metadata.num_rows) // max(1, size))
        # Nearly all bytes are in one column, so threads gain no time; each would keep memory of its own.
        batches = found.iter_batches(min(rows, fitting), row_groups=groups, columns=names, use_threads=False)
        while True:
            with _decoding(file):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _checked_batches(
        self, file: ArchiveFile, found: pq.ParquetFile, rows: int, wanted: range
    ) -> Iterator[pa.RecordBatch]:
        _, groups = _own(file, found)
        start = 0
        for number, (count, end, digest) in enumerate(groups):
            if number not in wanted:
                start = end
                continue
            if _digest(file, start, end) != digest:
                raise damaged(file.shown, f"row group {number:,} ({count:,} records) was changed")
            yield from self._batches(file, found, schema(0).names, rows, [number])
            start = end

    def write(self, sink: Sink, card: Card, batches: Iterable[pa.RecordBatch], tally: Tally) -> None:
        """Write one row group per batch, then the card with their checksums."""
        groups: list[tuple[int, int, str]] = []
        with pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema(card.dimension),
            compression=_COMPRESSION,  # pyright: ignore[reportArgumentType]
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer:
            for batch in batches:
                writer.write_batch(batch)
                groups.append((batch.num_rows, *sink.end_part()))
            writer.add_key_value_metadata(_key_values(card, groups, tally))


def _key_values(card: Card, groups: list[tuple[int, int, str]], tally: Tally) -> dict[str, str]:
    own = {**card.to_dict(), "name": card.name, "extra": card.extra, "groups": groups}
    return {
        "wherry_space": json.dumps(card.space.to_dict()),
        CARD_KEY: json.dumps(own),
        SEAL_KEY: json.dumps(tally.closing()),
    }


def _own(file: ArchiveFile, found: pq.ParquetFile) -> tuple[Card, list[tuple[int, int, str]]]:
    own: dict[str, Any] = json.loads(found.metadata.metadata[CARD_KEY.encode()])
    card = Card.from_dict(str(own.get("name") or file.path.stem), own, file.shown)
    return replace(card, extra=dict(own.get("extra") or {})), [tuple(group) for group in own["groups"]]


def _in_form(batch: pa.RecordBatch, card: Card) -> pa.RecordBatch:
    # The library renames the inner field of a list; the values are the same.
    return pa.RecordBatch.from_arrays(
        [c.cast(f.type) for c, f in zip(batch.columns, schema(card.dimension), strict=True)],
        schema=schema(card.dimension),
    )


def _sealed(file: ArchiveFile) -> bool:
    try:
        return verify_seal(file)
    except ArchiveCorrupt as error:
        place = _first_damage(file)
        raise damaged(file.shown, f"{place} was changed") if place else error from None


def _first_damage(file: ArchiveFile) -> str:
    """Name the first row group whose checksum does not match, as far as the file can still tell."""
    stated = _GROUPS.findall(file.read_at(max(0, file.size - _TAIL), _TAIL))
    try:
        groups = json.loads(stated[-1]) if stated else []
        start = 0
        for number, (rows, end, digest) in enumerate(groups):
            if _digest(file, start, int(end)) != digest:
                return f"row group {number:,} ({rows:,} records)"
            start = int(end)
    except (ValueError, TypeError, OverflowError):
        return ""
    return "its footer" if groups else ""


def _digest(file: ArchiveFile, start: int, end: int) -> str:
    digest = xxhash.xxh3_128()
    for offset in range(start, min(end, file.size), CHUNK):
        digest.update(file.read_at(offset, min(CHUNK, end - offset)))
    return digest.hexdigest()


def _require_frame(file: ArchiveFile) -> None:
    """Raise ArchiveCorrupt unless the file begins and ends like Parquet, with room for its footer."""
    tail = file.read_at(max(0, file.size - 8), 8)
    if file.size < _SMALLEST or file.read_at(0, 4) != _MAGIC:
        raise corrupt(file.shown, "this is no Parquet file", "its first bytes")
    if tail[4:] != _MAGIC:
        raise corrupt(file.shown, "the file is cut off", f"it ends at byte {file.size:,} without a footer")
    if int.from_bytes(tail[:4], "little") > file.size - _SMALLEST:
        raise corrupt(file.shown, "the footer is longer than the file", f"byte {file.size - 8:,}")


@contextmanager
def _decoding(file: ArchiveFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        words = str(error).partition("\n")[0][:120]
        raise corrupt(file.shown, f"the file cannot be decoded: {words}", "Parquet") from None
