"""The sidecar: ids, texts and metadata in Parquet, row for row beside the vectors of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wherry.stores.faiss.files import Output, Stored, corrupt

PAGE_BYTES = 16 << 20
SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), ("text", pa.string()), ("metadata", pa.string())])
# Few enough that one row can be had without reading much, enough to compress.
_GROUP_ROWS = 4096
_BROKEN = (pa.ArrowException, OSError, ValueError)


def write_sidecar(out: Output, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches of `SCHEMA` as Parquet; return how many rows they had."""
    rows = 0
    with pq.ParquetWriter(out, SCHEMA, compression="zstd", compression_level=1, use_dictionary=False) as writer:
        for batch in batches:
            for part in pieces(batch, _GROUP_ROWS):
                writer.write_batch(part, row_group_size=part.num_rows)
            rows += batch.num_rows
    return rows


class Sidecar:
    """A sidecar opened for reading; several threads may read at once."""

    def __init__(self, file: Stored) -> None:
        """Read the footer. Raises ArchiveCorrupt for what is no sidecar."""
        self._file = file
        try:
            self._footer = pq.read_metadata(file.source)
            names = pq.ParquetFile(file.source, metadata=self._footer).schema_arrow
        except _BROKEN as error:
            raise self._corrupt(error) from None
        if not names.equals(SCHEMA):
            raise corrupt(file.shown, f"{file.path.name} has other columns than {', '.join(SCHEMA.names)}")
        sizes = [self._footer.row_group(n).num_rows for n in range(self._footer.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @property
    def rows(self) -> int:
        """How many records the sidecar holds."""
        return int(self._footer.num_rows)

    @property
    def group_rows(self) -> list[int]:
        """How many records each row group holds."""
        found: list[int] = np.diff(self._starts).tolist()
        return found

    def groups(
        self, columns: list[str] | None = None, wanted: range | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, rows) of one row group after the other; wanted: their numbers, None = all."""
        # A reader of its own: one may not be used by two threads at a time.
        reader = self._reader()
        for number in range(len(self._starts) - 1) if wanted is None else wanted:
            yield int(self._starts[number]), self._group(reader, number, columns)

    def take(self, rows: np.ndarray, columns: list[str] | None = None) -> pa.RecordBatch:
        """Return some rows; `rows` ascend."""
        reader = self._reader()
        at = np.searchsorted(self._starts, rows, side="right") - 1
        parts = [
            self._group(reader, number, columns).take(pa.array(rows[at == number] - self._starts[number]))
            for number in np.unique(at).tolist()
        ]
        return joined(parts, SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns]))

    def _reader(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._file.source, metadata=self._footer, pre_buffer=False)

    def _group(self, reader: pq.ParquetFile, number: int, columns: list[str] | None) -> pa.RecordBatch:
        try:
            table = reader.read_row_group(number, columns=columns, use_threads=False)
            batches = table.combine_chunks().to_batches()
        except _BROKEN as error:
            raise self._corrupt(error) from None
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def _corrupt(self, error: Exception) -> Exception:
        # The parser's own words may quote a record; only their kind is passed on.
        return corrupt(self._file.shown, f"{self._file.path.name} is no Parquet: {type(error).__name__}")


def joined(parts: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Return several batches as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return pa.RecordBatch.from_pylist([], schema=schema)
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def pieces(batch: pa.RecordBatch, rows: int, more: int = 0) -> Iterator[pa.RecordBatch]:
    """Cut a batch into slices of at most `rows` records and about 16 MiB, without a copy.

    more: bytes that each row brings besides, as its vector does.
    """
    start = 0
    while start < batch.num_rows:
        part = batch.slice(start, max(1, min(rows, PAGE_BYTES // max(1, more))))
        while part.num_rows > 1 and part.nbytes + more * part.num_rows > PAGE_BYTES:
            part = part.slice(0, part.num_rows // 2)
        yield part
        start += part.num_rows
