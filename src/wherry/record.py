"""Records and the batches they travel in.

A record is an id, a vector, a text or none, and metadata or none. Many records travel as one Arrow
record batch; that batch is the only thing that passes between stores:

    id        string                     never null, never empty
    vector    fixed_size_list<float32>   never null
    text      string                     null = the record has no text
    metadata  string                     a JSON object as text; null = no metadata

What a store holds but cannot be put into that form (no vector, another dimension, text that is not
Unicode) is a `Reject`: an id and a reason, which ends in quarantine and never disappears.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

FIELDS = ("id", "vector", "text", "metadata")


@dataclass(frozen=True)
class Record:
    """One record, for people and tests; stores exchange batches."""

    id: str
    vector: Sequence[float]
    text: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reject:
    """A record that could not cross.

    id: as the source has it. reason: a class name of `errors.py` or a short word for it
    (`NonFinite`, `WrongDimension`, `DuplicateId`, ...). detail: for a person, never the record's body.
    """

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Page:
    """What one step of a scan yields.

    records: the batch. rejects: what the store holds here but no batch can.
    """

    records: pa.RecordBatch
    rejects: list[Reject] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many records of the store this page accounts for."""
        return self.records.num_rows + len(self.rejects)


def schema(dimension: int) -> pa.Schema:
    """Return the schema of a batch whose vectors have `dimension` components."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.field("item", pa.float32(), nullable=False), dimension)),
            pa.field("text", pa.string()),
            pa.field("metadata", pa.string()),
        ]
    )


def make_batch(
    ids: pa.Array | Sequence[str],
    vectors: np.ndarray,
    texts: pa.Array | Sequence[str | None],
    metadata: pa.Array | Sequence[str | None],
) -> pa.RecordBatch:
    """Build a batch.

    ids: n strings. vectors: float32, shape (n, dimension), C order (used without a copy).
    texts, metadata: n strings or nulls; metadata as JSON text.
    """
    dimension = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    wanted = schema(dimension)
    kind = wanted.field("vector").type
    # Arrow divides by the list size without looking, which ends the process where that is zero.
    column = pa.FixedSizeListArray.from_arrays(flat, type=kind) if dimension else pa.array([[]] * len(ids), type=kind)
    return pa.RecordBatch.from_arrays([_strings(ids), column, _strings(texts), _strings(metadata)], schema=wanted)


def from_records(records: Iterable[Record], dimension: int | None = None) -> pa.RecordBatch:
    """Build a batch from records; `dimension` is needed when there are none."""
    rows = list(records)
    size = dimension if dimension is not None else (len(rows[0].vector) if rows else 0)
    vectors = np.array([r.vector for r in rows], dtype=np.float32).reshape(len(rows), size)
    return make_batch(
        [r.id for r in rows],
        vectors,
        [r.text for r in rows],
        [None if r.metadata is None else json.dumps(r.metadata, ensure_ascii=False) for r in rows],
    )


def to_records(batch: pa.RecordBatch) -> list[Record]:
    """Turn a batch into records; vectors become float32 arrays."""
    rows = vectors_of(batch)
    return [
        Record(
            batch["id"][i].as_py(),
            rows[i],
            batch["text"][i].as_py(),
            None if (text := batch["metadata"][i].as_py()) is None else json.loads(text),
        )
        for i in range(batch.num_rows)
    ]


def vectors_of(batch: pa.RecordBatch) -> np.ndarray:
    """Return the vectors as float32, shape (n, dimension), without a copy."""
    column = batch.column("vector")
    dimension = column.type.list_size
    return column.flatten().to_numpy(zero_copy_only=True).reshape(batch.num_rows, dimension)


def dimension_of(batch: pa.RecordBatch) -> int:
    """Return the number of components of the batch's vectors."""
    return int(batch.schema.field("vector").type.list_size)


def _strings(values: pa.Array | Sequence[str | None]) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values if values.type == pa.string() else values.cast(pa.string())
    return pa.array(values, type=pa.string())
