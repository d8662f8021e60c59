"""From the fields of rows to batches and rejects, in whichever form the rows arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.record import Page, Reject, make_batch, offsets_of, schema
from wherry.stores.pgvector.form import HEAD_BYTES, ID, VECTOR, Form
from wherry.stores.pgvector.jsonb import from_column

# A JSON object, or JSON's null, which means that there is none.
_OBJECT = r"^(\s*\{|null$)"


class Fields(Protocol):
    """Rows, field by field. lengths: int64 arrays, one per field, in bytes; the length of null is -1."""

    lengths: list[np.ndarray]

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    def first_bytes(self, field: int, skip: int = 0) -> np.ndarray:
        """Return byte number `skip` of a field of every row; of one that is too short, any byte."""
        ...

    def variable(self, field: int, chosen: np.ndarray | None = None, skip: int = 0) -> pa.Array:
        """Return a field of the chosen rows as binary, without its first `skip` bytes; null stays null."""
        ...

    def vectors(self, field: int, width: int, half: bool, chosen: np.ndarray | None = None) -> np.ndarray:
        """Return pgvector's vectors (half: halfvecs), shape (rows, width); all chosen have `width` components."""
        ...


def decoded(parts: Sequence[Fields], form: Form) -> Page:
    """Decode rows, in whichever form they arrived, to a page; what no batch can hold becomes a reject."""
    page = _Decoded(form, sum(map(len, parts)))
    for part in parts:
        page.add(part)
    return page.finished()


def nothing(form: Form) -> Page:
    """Return a page without records."""
    return Page(pa.RecordBatch.from_pylist([], schema=schema(form.dimension)))


class _Decoded:
    """A page of decoded rows; what no batch can hold becomes a reject."""

    def __init__(self, form: Form, room: int) -> None:
        self.form = form
        self.vectors = np.empty((room, form.dimension), dtype=np.float32)
        self.columns: tuple[list[pa.Array], list[pa.Array], list[pa.Array]] = ([], [], [])
        self.rejects: list[Reject] = []
        self.count = 0

    def add(self, rows: Fields) -> None:
        """Decode some rows."""
        form = self.form
        chosen = self._fitting(rows)
        kept = len(rows) if chosen is None else len(chosen)
        if not kept:
            return
        room = self.vectors[self.count : self.count + kept]
        room[:] = rows.vectors(VECTOR, form.dimension, form.table.half, chosen)
        self.count += kept
        for column, position, skip in zip(self.columns, form.positions, form.skips, strict=True):
            column.append(rows.variable(position, chosen, skip) if position else pa.nulls(kept, pa.binary()))

    def finished(self) -> Page:
        """Return the page."""
        if not self.count:
            return Page(nothing(self.form).records, self.rejects)
        raw = [pa.concat_arrays(column) for column in self.columns]
        vectors = self.vectors[: self.count]
        sound = self._sound(raw)
        if sound is not None:
            raw = [column.filter(pa.array(sound)) for column in raw]
            vectors = vectors[sound]
        ids, texts, metadata = (column.view(pa.string()) for column in raw)
        batch = make_batch(ids, vectors, texts, from_column(metadata))
        return Page(batch, self.rejects)

    def _fitting(self, rows: Fields) -> np.ndarray | None:
        """Return the numbers of the rows with an id and a vector of the right length; None = all."""
        form = self.form
        lengths, named = rows.lengths[VECTOR], rows.lengths[ID] > 0
        fits = named & (lengths == form.vector_bytes)
        if fits.all():
            return None
        for row in np.flatnonzero(~fits).tolist():
            record_id = lenient(rows.variable(ID, np.array([row])))[0] or ""
            self.rejects.append(_reject(record_id, int(lengths[row]), form))
        return np.flatnonzero(fits)

    def _sound(self, raw: list[pa.Array]) -> np.ndarray | None:
        """Return which rows hold Unicode and a JSON object, None for all of them; reject the others."""
        unicode = np.ones(len(raw[0]), dtype=bool)
        for column in raw:
            if not is_unicode(column):
                unicode &= np.array([value is None or _is_text(value) for value in column.to_pylist()])
        objects = _are_objects(raw[2])
        if unicode.all() and objects.all():
            return None
        for row in np.flatnonzero(~(unicode & objects)).tolist():
            record_id = lenient(raw[0].slice(row, 1))[0] or ""
            if unicode[row]:
                self.rejects.append(Reject(record_id, "BadMetadata", "the metadata is no JSON object"))
            else:
                self.rejects.append(Reject(record_id, "BadText", "the record is not Unicode"))
        return unicode & objects


def _reject(record_id: str, length: int, form: Form) -> Reject:
    if not record_id:
        return Reject(record_id, "BadId", "the id is empty or null")
    if length == -1:
        return Reject(record_id, "MissingVector", "the vector is null")
    size = (length - HEAD_BYTES) // (2 if form.table.half else 4)
    return Reject(record_id, "WrongDimension", f"{size} components, the collection has {form.dimension}")


def lenient(column: pa.Array) -> list[str | None]:
    """Return texts for a message, with what is not Unicode escaped."""
    return [None if v is None else v.decode("utf-8", "backslashreplace") for v in column.to_pylist()]


def is_unicode(column: pa.Array) -> bool:
    """Tell whether all values of a binary column are UTF-8."""
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(value: bytes) -> bool:
    return is_unicode(pa.array([value], type=pa.binary()))


def _are_objects(column: pa.Array) -> np.ndarray:
    """Tell of each JSON text whether it is an object or nothing."""
    starts, data = offsets_of(column)[:-1], column.buffers()[2]
    if not column.null_count and data and (np.frombuffer(data, dtype=np.uint8)[starts] == ord("{")).all():
        return np.ones(len(column), dtype=bool)
    return pc.fill_null(pc.match_substring_regex(column, _OBJECT), True).to_numpy(zero_copy_only=False)
