"""Between Arrow batches and what Chroma's client takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.record import make_batch, schema, vectors_of
from wherry.stores.chroma.values import Metadata, from_engine, to_engine

PARTS = ("embeddings", "documents", "metadatas", "uris")


@dataclass(frozen=True)
class Columns:
    """Some records as Chroma takes them: n ids, float32 of shape (n, dimension), n of each of the rest."""

    ids: list[str]
    vectors: np.ndarray
    texts: list[str | None]
    metadata: list[Metadata | None]
    uris: list[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: list[int]) -> Columns:
        """Return some rows."""
        if len(rows) == len(self):
            return self
        return Columns(
            [self.ids[r] for r in rows],
            self.vectors[rows],
            [self.texts[r] for r in rows],
            [self.metadata[r] for r in rows],
            [self.uris[r] for r in rows],
        )

    def parts(self, rows: int) -> Iterator[Columns]:
        """Cut the records into pieces of at most `rows`."""
        for start in range(0, len(self), rows):
            cut = slice(start, start + rows)
            yield Columns(self.ids[cut], self.vectors[cut], self.texts[cut], self.metadata[cut], self.uris[cut])

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `Collection.add`."""
        arguments: dict[str, Any] = {
            "ids": self.ids,
            "embeddings": self.vectors,
            "documents": self.texts,
            "metadatas": self.metadata,
        }
        if any(uri is not None for uri in self.uris):
            arguments["uris"] = self.uris
        return arguments


def columns_of(batch: pa.RecordBatch) -> Columns:
    """Turn a batch into columns. Raises ValueError when metadata is not a JSON object."""
    pairs = [to_engine(text) for text in batch.column("metadata").to_pylist()]
    return Columns(
        batch.column("id").to_pylist(),
        vectors_of(batch),
        batch.column("text").to_pylist(),
        [metadata for metadata, _ in pairs],
        [uri for _, uri in pairs],
    )


def batch_of(found: dict[str, Any], asked: list[str], dimension: int) -> pa.RecordBatch:
    """Turn what `Collection.get` found into a batch, in the order of `asked`."""
    if not found["ids"]:
        return empty(dimension)
    pairs = zip(found["metadatas"], found["uris"], strict=True)
    batch = make_batch(
        found["ids"],
        np.asarray(found["embeddings"], dtype=np.float32),
        found["documents"],
        [from_engine(metadata, uri) for metadata, uri in pairs],
    )
    if found["ids"] == asked:
        return batch
    at = {record_id: row for row, record_id in enumerate(found["ids"])}
    return batch.take(pa.array([at[i] for i in asked if i in at], type=pa.int64()))


def empty(dimension: int) -> pa.RecordBatch:
    """Return a batch without records."""
    return pa.RecordBatch.from_pylist([], schema=schema(dimension))


def joined(batches: list[pa.RecordBatch], dimension: int) -> pa.RecordBatch:
    """Put batches of one dimension together."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return empty(dimension)
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
