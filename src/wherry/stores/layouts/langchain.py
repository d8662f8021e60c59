"""LangChain's documents: `page_content` and `metadata`, kept as they are.

Nothing of a document lies elsewhere. But LangChain has no "no metadata": its stores write `{}` or nothing and
read both alike. So an empty object there is no metadata, and a record whose metadata is an empty object gets a
mark that says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from wherry.record import Page
from wherry.stores.layouts import LANGCHAIN

_NOTHING, _EMPTY = "{}", '{"_wherry_empty":true}'
_NOTHING_SHAPE, _EMPTY_SHAPE = r"^\s*\{\s*\}\s*$", r'^\s*\{\s*"_wherry_empty"\s*:\s*true\s*\}\s*$'


@dataclass(frozen=True)
class Documents:
    """The codec of documents in a column that says `{}` for no metadata."""

    name: str = field(default=LANGCHAIN, init=False)

    def read(self, page: Page) -> Page:
        """Return the records of a page."""
        batch = page.records
        metadata = _put(batch.column("metadata"), _NOTHING_SHAPE, None)
        return Page(_replaced(batch, _put(metadata, _EMPTY_SHAPE, _NOTHING)), list(page.rejects))

    def written(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return what LangChain would have written for these records."""
        metadata = _put(batch.column("metadata"), _NOTHING_SHAPE, _EMPTY)
        return _replaced(batch, pc.fill_null(metadata, _NOTHING))


def _put(metadata: pa.Array, shape: str, value: str | None) -> pa.Array:
    """Return texts with those of a shape replaced by a value."""
    fits = pc.fill_null(pc.match_substring_regex(metadata, shape), False)
    return pc.if_else(fits, pa.scalar(value, pa.string()), metadata)


def _replaced(batch: pa.RecordBatch, metadata: pa.Array) -> pa.RecordBatch:
    columns = [batch.column(name) for name in ("id", "vector", "text")]
    return pa.RecordBatch.from_arrays([*columns, metadata], schema=batch.schema)
