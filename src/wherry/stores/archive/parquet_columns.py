"""Parquet files of others: which column is what, and how its rows become records.

Columns are found under their usual names or named in the address (`?id=pk&vector=emb`). Vectors are
lists of 16, 32 or 64 bit floats; metadata is JSON text, a struct or a map.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from wherry.canonical import canonical_metadata
from wherry.errors import BadAddress, Refused
from wherry.record import Page, Reject, make_batch
from wherry.space import Space
from wherry.stores.archive.card import Card
from wherry.stores.archive.disk import ArchiveFile

_NAMES = {
    "id": ("id",),
    "vector": ("vector", "embedding"),
    "text": ("text", "document"),
    "metadata": ("metadata",),
}
_NO_CHECKSUMS = "the file carries no checksums of ours: damage inside a value cannot be seen"
Fault = tuple[str, str]


@dataclass(frozen=True)
class Columns:
    """The names of the columns that make up a record; text and metadata may be absent."""

    id: str
    vector: str
    text: str | None
    metadata: str | None
    schema: pa.Schema

    @classmethod
    def of(cls, found: pa.Schema, options: dict[str, str], shown: str) -> Columns:
        """Find the columns. Raises BadAddress when one is missing, Refused when its type cannot be read."""
        chosen = {role: _choose(role, found, options, shown) for role in _NAMES}
        columns = cls(schema=found, **chosen)  # type: ignore[arg-type]
        for role, name in chosen.items():
            if name is not None and not _READABLE[role](found.field(name).type):
                raise Refused(
                    f"column {name!r} cannot be read as {role}: its type is {found.field(name).type}",
                    where=shown,
                    left="nothing was read from it",
                    next=f"name another column: ?{role}=…",
                )
        return columns

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.id, self.vector, self.text, self.metadata) if name is not None]

    @property
    def integer_ids(self) -> bool:
        """Whether the ids are numbers in the file."""
        return bool(pt.is_integer(self.schema.field(self.id).type))

    def notes(self) -> Iterator[str]:
        """Say what a person should know before these records are moved."""
        yield _NO_CHECKSUMS
        width = self.schema.field(self.vector).type.value_type
        if width == pa.float64():
            yield "the vectors are 64 bit floats; they are read as 32 bit"
        if self.integer_ids:
            yield "the ids are integers; they become their decimal text"
        for role, name in (("text", self.text), ("metadata", self.metadata)):
            if name is None:
                yield f"no column holds a {role}; name one with ?{role}=…"
        if further := self.further():
            yield f"further columns are not carried: {', '.join(further)}"

    def further(self) -> list[str]:
        """Return the columns that a record has no place for."""
        return [name for name in self.schema.names if name not in self.names]

    def losses(self) -> Iterator[str]:
        """Say what would be lost if the file were written anew."""
        if self.further():
            yield f"these columns would be gone: {', '.join(self.further())}"
        if self.integer_ids:
            yield "integer ids would become texts"
        if self.schema.field(self.vector).type.value_type == pa.float64():
            yield "64 bit vectors would become 32 bit"
        if set(self.names) - {"id", "vector", "text", "metadata"}:
            yield "its columns would get other names"

    def ids(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the ids of a batch as strings; null where there is none."""
        return _texts(batch.column(self.id))[0]

    def page(self, batch: pa.RecordBatch, card: Card, distinct: bool = False) -> Page:
        """Turn rows of the file into records and rejects."""
        rows = batch.num_rows
        faults: dict[int, Fault] = {}
        ids = self._ids(batch, faults)
        vectors = _vectors(batch.column(self.vector), card.dimension, faults)
        texts = self._text(batch, faults)
        metadata = self._metadata(batch, faults)
        keep = np.ones(rows, dtype=bool)
        keep[list(faults)] = False
        known = ids.to_pylist()
        if distinct:
            _keep_first(known, keep)
        rejects = [Reject(known[row] or "", *faults[row]) for row in sorted(faults)]
        mask = pa.array(keep)
        good = make_batch(ids.filter(mask), vectors[keep], texts.filter(mask), metadata.filter(mask))
        held = set(good.column("id").to_pylist()) if distinct else set()
        return Page(good, [reject for reject in rejects if reject.id not in held])

    def _ids(self, batch: pa.RecordBatch, faults: dict[int, Fault]) -> pa.Array:
        ids, bad = _texts(batch.column(self.id))
        missing = pc.or_kleene(pc.is_null(ids), pc.equal(pc.fill_null(pc.binary_length(ids), 0), 0))
        _blame(faults, np.asarray(missing), "BadId", "the id is missing or empty")
        _blame(faults, bad, "BadId", "the id is not valid Unicode")
        return ids

    def _text(self, batch: pa.RecordBatch, faults: dict[int, Fault]) -> pa.Array:
        if self.text is None:
            return pa.nulls(batch.num_rows, pa.string())
        texts, bad = _texts(batch.column(self.text))
        _blame(faults, bad, "BadText", "the text is not valid Unicode")
        return texts

    def _metadata(self, batch: pa.RecordBatch, faults: dict[int, Fault]) -> pa.Array:
        if self.metadata is None:
            return pa.nulls(batch.num_rows, pa.string())
        column = batch.column(self.metadata)
        if _is_text(column.type):
            texts, bad = _texts(column)
            _blame(faults, bad, "BadMetadata", "the metadata is not valid Unicode")
        else:
            texts = pa.array([_as_json(value) for value in column], type=pa.string())
        for row, words in canonical_metadata(texts).faults.items():
            faults.setdefault(row, ("BadMetadata", words))
        return texts


def survey(file: ArchiveFile, columns: Columns, batches: Iterable[pa.RecordBatch]) -> Card:
    """Decode a whole file of somebody else, so that damage shows before anything is handed out."""
    count, missing = 0, 0
    sizes: Counter[int] = Counter()
    for batch in batches:
        count += batch.num_rows
        lengths = pc.fill_null(pc.list_value_length(batch.column(columns.vector)), 0)
        found, times = np.unique(np.asarray(lengths), return_counts=True)
        sizes.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    missing = sizes.pop(0, 0)
    dimension = max(sizes, key=sizes.__getitem__) if sizes else None
    card = Card(
        file.path.stem,
        count,
        Space(dimension=dimension),
        integer_ids=columns.integer_ids,
        notes=tuple(columns.notes()),
        losses=tuple(columns.losses()),
    )
    if count and missing == count:
        return card.noted("no embeddings: must be re-embedded")
    if missing:
        card = card.noted(f"{missing:,} of {count:,} records have no embedding")
    return card


def _choose(role: str, found: pa.Schema, options: dict[str, str], shown: str) -> str | None:
    wanted = (options[role],) if role in options else _NAMES[role]
    for name in wanted:
        if found.names.count(name) == 1:
            return name
    if role in options or role in ("id", "vector"):
        raise BadAddress(
            f"the file has no column {wanted[0]!r} for the {role}, or more than one",
            where=shown,
            left="nothing was read from it",
            next=f"name it with ?{role}=…; the columns are {', '.join(found.names)}",
        )
    return None


def _is_text(kind: pa.DataType) -> bool:
    if pt.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_vector(kind: pa.DataType) -> bool:
    lists = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
    return bool(lists and pt.is_floating(kind.value_type))


def _is_object(kind: pa.DataType) -> bool:
    return bool(pt.is_struct(kind) or (pt.is_map(kind) and _is_text(kind.key_type)))


_READABLE = {
    "id": lambda kind: _is_text(kind) or pt.is_integer(kind),
    "vector": _is_vector,
    "text": lambda kind: _is_text(kind) or pt.is_null(kind),
    "metadata": lambda kind: _is_text(kind) or _is_object(kind) or pt.is_null(kind),
}


def _texts(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return a column as valid strings (bad ones null) and which rows were bad (bool)."""
    texts = column.cast(pa.string())
    bad = np.zeros(len(texts), dtype=bool)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = [None if value is None else _decoded(value) for value in texts.cast(pa.binary()).to_pylist()]
        bad = np.array([value is _BAD for value in raw])
        texts = pa.array([None if value is _BAD else value for value in raw], type=pa.string())
    return texts, bad


_BAD: Any = object()


def _decoded(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _BAD


def _vectors(column: pa.Array, dimension: int, faults: dict[int, Fault]) -> np.ndarray:
    """Return vectors (n, dimension) as float32; rows that have none are zero and blamed."""
    vectors = np.zeros((len(column), dimension), dtype=np.float32)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    fitting = lengths == dimension
    _blame(faults, lengths == 0, "MissingVector", "there is no embedding")
    for row in np.flatnonzero(~fitting).tolist():
        faults.setdefault(row, ("WrongDimension", f"{lengths[row]} components, the file has {dimension}"))
    kept = column.filter(pa.array(fitting))
    with np.errstate(over="ignore"):
        # A null among the components comes out as NaN.
        values = kept.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors[fitting] = values.reshape(int(fitting.sum()), dimension)
    words = "the vector holds NaN, a null, an infinity or a number beyond 32 bits"
    _blame(faults, np.asarray(~np.isfinite(vectors).all(axis=1)), "NonFinite", words)
    return vectors


def _as_json(value: pa.Scalar) -> str | None:
    """Return an object as JSON text; what JSON has no word for becomes a text that is no object."""
    try:
        plain = value.as_py(maps_as_pydicts="strict")
        return None if plain is None else json.dumps(plain, ensure_ascii=False)
    except (KeyError, TypeError, ValueError) as error:
        return json.dumps(f"{type(error).__name__}")


def _blame(faults: dict[int, Fault], rows: np.ndarray, reason: str, words: str) -> None:
    for row in np.flatnonzero(rows).tolist():
        faults.setdefault(row, (reason, words))


def _keep_first(ids: list[str], keep: np.ndarray) -> None:
    seen: set[str] = set()
    for row in np.flatnonzero(keep).tolist():
        keep[row] = ids[row] not in seen
        seen.add(ids[row])
