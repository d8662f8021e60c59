"""Hits of a framework's collection, as a scan of it would show their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from wherry.record import Page, make_batch
from wherry.stores.base import Hit


class Reading(Protocol):
    """What a layout's codec does for a reader."""

    def read(self, page: Page) -> Page:
        """Return the records of a page that an engine yielded."""
        ...


def as_records(hits: Sequence[Hit], codec: Reading | None) -> list[Hit]:
    """Return hits with text and metadata as records have them, in the same order.

    codec: of the collection's layout, None for a plain one. What its own framework could not read is left out.
    """
    if codec is None or not hits:
        return list(hits)
    by_id = {hit.id: hit for hit in hits}
    nowhere = np.zeros((len(hits), 1), dtype=np.float32)
    batch = make_batch([h.id for h in hits], nowhere, [h.text for h in hits], [h.metadata for h in hits])
    read = codec.read(Page(batch)).records
    columns = (read.column(name).to_pylist() for name in ("id", "text", "metadata"))
    return [
        Hit(i, by_id[i].similarity, by_id[i].distance, text, metadata, by_id[i].metric)
        for i, text, metadata in zip(*columns, strict=True)
    ]
