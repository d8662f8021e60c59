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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

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


class Native:
    """Records as an engine sent them, decoded only when somebody asks.

    Rows of equal forms that have equal bytes are equal records, so a store of the same kind can compare
    them and take them as they are.

    form: what the bytes mean, in words that only stores of one kind read. rows: binary, one per record. ids: of the
    records, in the same order. plain: no row needs a closer look before it is written: its vector is finite and not
    zero, its metadata short. decode: what makes a batch of rows.
    """

    def __init__(
        self,
        form: str,
        rows: pa.ChunkedArray,
        ids: pa.Array,
        plain: bool,
        decode: Callable[[pa.ChunkedArray], pa.RecordBatch],
    ) -> None:
        self.form, self.rows, self.ids, self.plain = form, rows, ids, plain
        self._decode = decode

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """How many bytes the rows take."""
        return int(self.rows.nbytes)

    @cached_property
    def records(self) -> pa.RecordBatch:
        """The records, decoded."""
        return self._decode(self.rows)

    def take(self, rows: pa.Array) -> Native:
        """Return some rows, by number."""
        return self._with(self.rows.take(rows), self.ids.take(rows))

    def slice(self, start: int, rows: int) -> Native:
        """Return some rows; nothing is copied."""
        return self._with(self.rows.slice(start, rows), self.ids.slice(start, rows))

    @staticmethod
    def joined(parts: Sequence[Native]) -> Native | None:
        """Return several as one, None when their forms differ."""
        first = parts[0]
        if any(part.form != first.form for part in parts):
            return None
        rows = pa.chunked_array([chunk for part in parts for chunk in part.rows.chunks], type=pa.binary())
        ids = pa.concat_arrays([part.ids for part in parts])
        return Native(first.form, rows, ids, all(part.plain for part in parts), first._decode)

    def _with(self, rows: pa.ChunkedArray, ids: pa.Array) -> Native:
        return Native(self.form, rows, ids, self.plain, self._decode)


Records: TypeAlias = pa.RecordBatch | Native


def ids_of(records: Records) -> pa.Array:
    """Return the ids of records; nothing is decoded for them."""
    return records.ids if isinstance(records, Native) else records.column("id")


def decoded(records: Records) -> pa.RecordBatch:
    """Return records as a batch."""
    return records.records if isinstance(records, Native) else records


def joined(parts: Sequence[Records]) -> Records:
    """Return several as one: as they arrived where all have one form, else decoded."""
    if len(parts) == 1:
        return parts[0]
    native = [part for part in parts if isinstance(part, Native)]
    whole = Native.joined(native) if len(native) == len(parts) else None
    if whole is not None:
        return whole
    batches = [decoded(part) for part in parts]
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.to_batches()[0] if table.num_rows else batches[0]


@dataclass(frozen=True)
class Sealed:
    """Rows as an engine sent them, before anybody has looked at them.

    form: as in `Native`. rows: as there, or as columns. sound: what tells whether each row can be in a batch; False
    may also mean "look closer". look: what makes a page of the rows, with rejects for those that no batch can hold.
    """

    form: str
    rows: pa.ChunkedArray | pa.Table
    sound: Callable[[Any], bool]
    look: Callable[[Any], Page]

    def equals(self, other: Sealed) -> bool:
        """Tell whether both are the same rows in the same order; False may also mean "look closer"."""
        return _same_rows(self, other)


class Page:
    """What one step of a scan yields.

    records: the batch. rejects: what the store holds here but no batch can. native: the same records as the
    engine sent them, where it offers that; then the batch is made when it is first asked for. sealed: the rows
    as they arrived, where the engine offers that; then everything else is found when it is first asked for.
    """

    def __init__(self, records: pa.RecordBatch | Native | Sealed, rejects: list[Reject] | None = None) -> None:
        self.sealed = records if isinstance(records, Sealed) else None
        self._held = None if isinstance(records, Sealed) else records
        self._rejects = [] if rejects is None else rejects
        self._opened: Page | None = None

    @property
    def native(self) -> Native | None:
        """The records as the engine sent them, where every row was found fit to be one."""
        held = self.held
        return held if isinstance(held, Native) else None

    @property
    def records(self) -> pa.RecordBatch:
        """The records of the page."""
        return decoded(self.held)

    @property
    def rejects(self) -> list[Reject]:
        """What the store holds here but no batch can."""
        return self._seen._rejects

    @property
    def held(self) -> Records:
        """The records, not decoded where the engine's own form will do."""
        return self._seen._held

    @property
    def ids(self) -> pa.Array:
        """The ids of the records; nothing is decoded for them."""
        return ids_of(self.held)

    def is_exactly(self, native: Native) -> bool:
        """Tell whether these are the same records in the same order; False may also mean "look closer".

        What equals sound rows is sound, so these need not be looked at.
        """
        arrived = self.native if self.sealed is None else self.sealed
        return arrived is not None and _same_rows(arrived, native)

    @property
    def read(self) -> int:
        """How many records of the store this page accounts for."""
        if self.sealed is not None:
            return len(self.sealed.rows)
        native = self.native
        return (self.records.num_rows if native is None else len(native)) + len(self.rejects)

    @property
    def _seen(self) -> Page:
        # A page that held itself would stay, with all its rows, until somebody looks for garbage.
        if self.sealed is None:
            return self
        if self._opened is None:
            self._opened = self.sealed.look(self.sealed.rows)
        return self._opened


def _same_rows(one: Sealed | Native, other: Sealed | Native) -> bool:
    return one.form == other.form and bool(one.rows.equals(other.rows))


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


def offsets_of(column: pa.Array) -> np.ndarray:
    """Return where strings or binaries begin in their bytes, and where the last one ends: int32, shape (n + 1,)."""
    if not len(column):
        return np.zeros(1, dtype=np.int32)
    return np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset : column.offset + len(column) + 1]


def bytes_of(column: pa.Array) -> memoryview:
    """Return the bytes of all strings or binaries, one behind the other, without a copy."""
    data, offsets = column.buffers()[2], offsets_of(column)
    return memoryview(b"" if data is None else data)[offsets[0] : offsets[-1]]


def dimension_of(batch: pa.RecordBatch) -> int:
    """Return the number of components of the batch's vectors."""
    return int(batch.schema.field("vector").type.list_size)


def _strings(values: pa.Array | Sequence[str | None]) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values if values.type == pa.string() else values.cast(pa.string())
    return pa.array(values, type=pa.string())
