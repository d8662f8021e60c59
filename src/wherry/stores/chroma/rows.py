"""Between Arrow batches and what Chroma's client takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from chromadb.api.models.Collection import Collection as Handle

from wherry.record import make_batch, schema, vectors_of
from wherry.stores import packing
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


# `get` and `add` are what the methods of Chroma's `Collection` of these names call, without its checks, its
# float64 and its rebuilding of every row: a fifth of the time of reading. What those checks find is
# screened before, or refused by the engine, except for an id that comes twice.


def get(handle: Handle, ids: list[str] | None, everything: bool, limit: int | None = None) -> dict[str, Any]:
    """Get records by their ids, or the first `limit`, or all; everything=False brings no more than the ids."""
    return dict(
        handle._client._get(
            handle.id,
            ids=ids,
            limit=limit,
            include=list(PARTS) if everything else [],
            tenant=handle.tenant,
            database=handle.database,
        )
    )


def add(handle: Handle, records: Columns) -> None:
    """Add records whose ids are not there."""
    # Its types leave no room for a record without text or metadata; the engine does.
    server: Any = handle._client
    server._add(
        ids=records.ids,
        collection_id=handle.id,
        embeddings=list(records.vectors),
        documents=records.texts,
        metadatas=records.metadata,
        uris=records.uris if any(uri is not None for uri in records.uris) else None,
        tenant=handle.tenant,
        database=handle.database,
    )


def columns_of(batch: pa.RecordBatch) -> Columns:
    """Turn a batch into columns. Raises ValueError for metadata that is no JSON object, and for an id twice."""
    ids = batch.column("id").to_pylist()
    if len(set(ids)) != len(ids):
        raise ValueError("the batch holds an id twice")
    pairs = [to_engine(text) for text in batch.column("metadata").to_pylist()]
    return Columns(
        ids,
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
    vectors = found["embeddings"]
    width = len(vectors[0])
    pack = packing.packer(width)
    batch = make_batch(
        found["ids"],
        packing.joined([pack(*vector) for vector in vectors], width),
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
