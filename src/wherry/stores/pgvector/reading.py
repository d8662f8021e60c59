"""From a binary COPY to pages: one statement per scan or fetch, decoded a few hundred rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from wherry.postgres.copy import CHUNK_BYTES, CHUNK_ROWS, Message, Rows, as_kept, chunks
from wherry.record import Native, Page, Reject, Sealed, joined, make_batch, schema
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.jsonb import from_column
from wherry.stores.pgvector.keys import selected

PAGE_BYTES = 2 << 20
_VECTOR, _ID = 0, 1
# In front of a vector's components stand its dimension and two bytes of nothing.
_HEAD_BYTES = 4
_TEXTS = ("text", "varchar")
# Metadata up to here can hold neither a number beyond a double nor endless nesting.
_SHORT = 300
# A JSON object, or JSON's null, which means that there is none.
_OBJECT = r"^(\s*\{|null$)"


@dataclass(frozen=True)
class Form:
    """What is read of a table. dimension: components of a vector that can be in a batch."""

    table: Table
    dimension: int
    utf8: bool = True

    @cached_property
    def native(self) -> str | None:
        """What the rows mean to another table of PostgreSQL; None where they have to be decoded to be sound."""
        text, metadata = self.table.text, self.table.metadata
        known = self.table.id.type in _TEXTS and (text is None or text.type in _TEXTS)
        if not self.utf8 or not known or (metadata is not None and metadata.type != "jsonb"):
            return None
        fields = [f"{self.table.vector.type}({self.dimension})", "id"]
        return f"postgresql copy: {', '.join([*fields, *(['text'] if text else []), *(['jsonb'] if metadata else [])])}"

    def select(self) -> sql.Composed:
        """Return the query for whole records; each row can be decoded by `pages`."""
        table = self.table
        values = [table.vector.quoted, selected(table.id, table.id.quoted)]
        values += [column.quoted for column in (table.text, table.metadata) if column]
        return self._select(values)

    def select_where(self, condition: sql.Composable) -> sql.Composed:
        """Return the query for whole records of which something holds."""
        return sql.SQL("{} WHERE {}").format(self.select(), condition)

    def nothing(self) -> Page:
        """Return a page without records."""
        return Page(_empty(self.dimension))

    @property
    def vector_bytes(self) -> int:
        """How long a vector of the dimension is."""
        return _HEAD_BYTES + self.dimension * (2 if self.table.half else 4)

    @property
    def fields(self) -> int:
        """How many fields follow the leading ones."""
        return len(self.table.columns)

    @property
    def positions(self) -> tuple[int, int, int]:
        """The fields of id, text and metadata; 0 for one that the table does not have."""
        text = 2 if self.table.text else 0
        return _ID, text, self.fields - 1 if self.table.metadata else 0

    @property
    def skips(self) -> tuple[int, int, int]:
        """How many bytes stand before the value of each of those fields."""
        metadata = self.table.metadata
        return 0, 0, 1 if metadata is not None and metadata.type == "jsonb" else 0

    def select_ids(self) -> sql.Composed:
        """Return the query for ids; each row can be decoded by `listed`."""
        return self._select([selected(self.table.id, self.table.id.quoted)])

    def _select(self, values: list[sql.Composable]) -> sql.Composed:
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(values), self.table.rows)


def copied(query: sql.Composable) -> sql.Composed:
    """Return the statement that sends the rows of a query."""
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)


def pages(messages: Iterable[Message], form: Form, rows: int) -> Iterator[Page]:
    """Decode the rows of `form.select()` into pages of at most `rows` records and about 2 MiB."""
    room = max(1, min(rows, PAGE_BYTES // max(4 * form.dimension, 1)))
    page = _Growing(form)
    for chunk in chunks(messages, min(CHUNK_ROWS, room)):
        if page.size + CHUNK_BYTES > PAGE_BYTES or page.read + len(chunk) > room:
            yield page.finished()
            page = _Growing(form)
        page.add(as_kept(chunk))
    if page.read:
        yield page.finished()


def listed(messages: Iterable[Message], rows: int) -> Iterator[pa.Array]:
    """Decode the rows of `form.select_ids()` into ids, at most `rows` at a time."""
    for chunk in chunks(messages, rows):
        decoded = Rows.arrived(chunk, 1)
        known = np.flatnonzero(decoded.lengths[0] != -1)
        if len(known):
            ids = decoded.variable(0, known)
            yield ids.view(pa.string()) if _is_unicode(ids) else pa.array(_lenient(ids))


def together(found: list[Page]) -> Page:
    """Return several pages as one."""
    if len(found) == 1:
        return found[0]
    return Page(joined([page.held for page in found]), [reject for page in found for reject in page.rejects])


class _Growing:
    """A page while its rows arrive."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.parts: list[pa.Array] = []
        self.read = self.size = 0

    def add(self, rows: pa.Array) -> None:
        """Take some rows."""
        self.parts.append(rows)
        self.read += len(rows)
        self.size += rows.nbytes

    def finished(self) -> Page:
        """Return the page: its rows as they are where they may be sound, decoded where they have to be."""
        rows = pa.chunked_array(self.parts, type=pa.binary())
        if self.form.native is None:
            return _decoded(_kept(rows, self.form), self.form)
        return Page(Sealed(self.form.native, rows, partial(_seen, form=self.form, name=self.form.native)))


def _seen(rows: pa.ChunkedArray, form: Form, name: str) -> Page:
    """Look at rows: kept as they are where each can be in a batch, decoded where one cannot."""
    parts = _kept(rows, form)
    if not all(_are_sound(part, form) for part in parts):
        return _decoded(parts, form)
    plain = all(_are_plain(part, form) for part in parts)
    # These two are handed on to whatever is taken of the page: they may not hold its rows.
    return Page(Native(name, rows, plain, partial(_identify, form=form), partial(_decode, form=form)))


def _are_sound(rows: Rows, form: Form) -> bool:
    """Tell whether every row can be in a batch, judged by what does not need decoding."""
    _, _, metadata = form.positions
    fits = (rows.lengths[_ID] > 0) & (rows.lengths[_VECTOR] == form.vector_bytes)
    if metadata:
        opens = rows.first_bytes(metadata, form.skips[2]) == ord("{")
        fits &= opens | (rows.lengths[metadata] == -1)
    return bool(fits.all())


def _are_plain(rows: Rows, form: Form) -> bool:
    """Tell whether no vector can be zero and no metadata is long enough to hide something."""
    _, _, metadata = form.positions
    # The byte that holds the sign and the upper exponent of the first component: of a zero it is 0 or 128.
    starts = rows.first_bytes(_VECTOR, _HEAD_BYTES) & 0x7F
    return bool(starts.all()) and (not metadata or int(rows.lengths[metadata].max()) <= _SHORT)


def _identify(rows: pa.ChunkedArray, form: Form) -> pa.Array:
    found = [part.variable(_ID).view(pa.string()) for part in _kept(rows, form)]
    return pa.concat_arrays(found) if found else pa.array([], type=pa.string())


def _decode(rows: pa.ChunkedArray, form: Form) -> pa.RecordBatch:
    return _decoded(_kept(rows, form), form).records


def _kept(rows: pa.ChunkedArray, form: Form) -> list[Rows]:
    return [Rows.kept(chunk, form.fields) for chunk in rows.chunks if len(chunk)]


def _decoded(parts: list[Rows], form: Form) -> Page:
    page = _Decoded(form, sum(map(len, parts)))
    for part in parts:
        page.add(part)
    return page.finished()


class _Decoded:
    """A page of decoded rows; what no batch can hold becomes a reject."""

    def __init__(self, form: Form, room: int) -> None:
        self.form = form
        self.vectors = np.empty((room, form.dimension), dtype=np.float32)
        self.columns: tuple[list[pa.Array], list[pa.Array], list[pa.Array]] = ([], [], [])
        self.rejects: list[Reject] = []
        self.count = 0

    def add(self, rows: Rows) -> None:
        """Decode some rows."""
        form = self.form
        chosen = self._fitting(rows)
        kept = len(rows) if chosen is None else len(chosen)
        if not kept:
            return
        room = self.vectors[self.count : self.count + kept]
        room[:] = rows.vectors(_VECTOR, form.dimension, form.table.half, chosen)
        self.count += kept
        for column, position, skip in zip(self.columns, form.positions, form.skips, strict=True):
            column.append(rows.variable(position, chosen, skip) if position else pa.nulls(kept, pa.binary()))

    def finished(self) -> Page:
        """Return the page."""
        if not self.count:
            return Page(_empty(self.form.dimension), self.rejects)
        raw = [pa.concat_arrays(column) for column in self.columns]
        vectors = self.vectors[: self.count]
        sound = self._sound(raw)
        if sound is not None:
            raw = [column.filter(pa.array(sound)) for column in raw]
            vectors = vectors[sound]
        ids, texts, metadata = (column.view(pa.string()) for column in raw)
        batch = make_batch(ids, vectors, texts, from_column(metadata))
        return Page(batch, self.rejects)

    def _fitting(self, rows: Rows) -> np.ndarray | None:
        """Return the numbers of the rows with an id and a vector of the right length; None = all."""
        form = self.form
        lengths, named = rows.lengths[_VECTOR], rows.lengths[_ID] > 0
        fits = named & (lengths == form.vector_bytes)
        if fits.all():
            return None
        for row in np.flatnonzero(~fits).tolist():
            record_id = _lenient(rows.variable(_ID, np.array([row])))[0] or ""
            self.rejects.append(_reject(record_id, int(lengths[row]), form))
        return np.flatnonzero(fits)

    def _sound(self, raw: list[pa.Array]) -> np.ndarray | None:
        """Return which rows hold Unicode and a JSON object, None for all of them; reject the others."""
        unicode = np.ones(len(raw[0]), dtype=bool)
        for column in raw:
            if not _is_unicode(column):
                unicode &= np.array([value is None or _is_text(value) for value in column.to_pylist()])
        objects = _are_objects(raw[2])
        if unicode.all() and objects.all():
            return None
        for row in np.flatnonzero(~(unicode & objects)).tolist():
            record_id = _lenient(raw[0].slice(row, 1))[0] or ""
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
    size = (length - 4) // (2 if form.table.half else 4)
    return Reject(record_id, "WrongDimension", f"{size} components, the collection has {form.dimension}")


def _lenient(column: pa.Array) -> list[str | None]:
    """Return texts for a message, with what is not Unicode escaped."""
    return [None if v is None else v.decode("utf-8", "backslashreplace") for v in column.to_pylist()]


def _is_unicode(column: pa.Array) -> bool:
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(value: bytes) -> bool:
    return _is_unicode(pa.array([value], type=pa.binary()))


def _are_objects(column: pa.Array) -> np.ndarray:
    """Tell of each JSON text whether it is an object or nothing."""
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset :][: len(column)]
    data = column.buffers()[2]
    if not column.null_count and data and (np.frombuffer(data, dtype=np.uint8)[offsets] == ord("{")).all():
        return np.ones(len(column), dtype=bool)
    return pc.fill_null(pc.match_substring_regex(column, _OBJECT), True).to_numpy(zero_copy_only=False)


def _empty(dimension: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema(dimension))
