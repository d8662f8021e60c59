"""Applying a change of text and metadata to every row of a page or a batch."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from wherry.errors import Rejected
from wherry.record import Page, Reject

# (id, text, metadata as JSON text) -> (text, metadata)
Row = tuple[str | None, str | None]
Change = Callable[[str, str | None, str | None], Row]


class BadRow(ValueError):
    """A row is not what its framework writes. reason: a short word for its reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_page(page: Page, change: Change) -> Page:
    """Return a page with texts and metadata changed; a row that `change` refuses becomes a reject."""
    batch, rows, rejects = page.records, [], list(page.rejects)
    good: list[int] = []
    for number, (record_id, text, metadata) in enumerate(_rows(batch)):
        try:
            rows.append(change(record_id, text, metadata))
            good.append(number)
        except BadRow as bad:
            rejects.append(Reject(record_id, bad.reason, bad.detail))
    if len(good) < batch.num_rows:
        batch = batch.take(pa.array(good, type=pa.int64()))
    return Page(_with(batch, rows), rejects)


def written_batch(batch: pa.RecordBatch, change: Change) -> pa.RecordBatch:
    """Return a batch with texts and metadata changed. Raises Rejected for a row that `change` refuses."""
    rows = []
    for record_id, text, metadata in _rows(batch):
        try:
            rows.append(change(record_id, text, metadata))
        except BadRow as bad:
            raise Rejected(f"record {record_id!r}: {bad.detail}", left="nothing of the batch was written") from None
    return _with(batch, rows)


def _rows(batch: pa.RecordBatch) -> zip[tuple[str, str | None, str | None]]:
    columns = (batch.column(name).to_pylist() for name in ("id", "text", "metadata"))
    return zip(*columns, strict=True)


def _with(batch: pa.RecordBatch, rows: list[Row]) -> pa.RecordBatch:
    texts = pa.array([text for text, _ in rows], type=pa.string())
    metadata = pa.array([found for _, found in rows], type=pa.string())
    return pa.RecordBatch.from_arrays(
        [batch.column("id"), batch.column("vector"), texts, metadata], schema=batch.schema
    )
