"""Rows as columns of Arrow, by the client of the Arrow project (ADBC) where it is installed.

It takes a COPY apart outside of Python's lock, so two tables that are compared arrive side by side, which a
client in Python cannot do. Its columns are not what another table takes as it is: who copies reads by `reading`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from wherry.postgres.copy import as_rows, jsonb_field
from wherry.postgres.failures import translated
from wherry.postgres.link import SESSION, Server
from wherry.record import Page, Sealed, offsets_of
from wherry.stores.pgvector.decoding import decoded
from wherry.stores.pgvector.form import HEAD_BYTES, Form
from wherry.stores.pgvector.reading import PAGE_BYTES, are_sound, seen

_BATCH_BYTES = "adbc.postgresql.batch_size_hint_bytes"
_AS_OF_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
# What the server said, in the client's message.
_WORDS, _STATE = re.compile(r"(?:ERROR|FATAL):\s+(.*)"), re.compile(r"SQLSTATE: (\w{5})")
_NULL = -1


@cache
def client() -> ModuleType | None:
    """Return the Arrow project's client for PostgreSQL, None where it is not installed."""
    try:
        return importlib.import_module("adbc_driver_postgresql.dbapi")
    except ImportError:
        return None


def pages(arrow: ModuleType, server: Server, query: str, form: Form, rows: int) -> Iterator[Page]:
    """Yield the rows of a query for whole records as of one moment, at most `rows` and about 1.5 MiB at a time.

    arrow: what `client` returned. Equal rows in equal order come in equal pages. Raises StoreError.
    """
    name = f"postgresql columns: {form.table.vector.type}({form.dimension})"
    sound, look = partial(_are_sound, form=form), partial(_seen, form=form)
    with translated(server.shown, server.secrets), _plain_errors(arrow), _streaming(arrow, server, query) as batches:
        for batch in batches:
            whole = pa.table([_stored(column) for column in batch.columns], form.names)
            for start in range(0, len(whole), rows):
                yield Page(Sealed(name, whole.slice(start, rows), sound, look))


class Columns:
    """Columns, as `decoding` takes rows."""

    def __init__(self, table: pa.Table) -> None:
        self._columns = [column.combine_chunks().cast(pa.binary()) for column in table.columns]
        self.lengths = [_lengths(column) for column in self._columns]

    def __len__(self) -> int:
        return len(self._columns[0])

    def first_bytes(self, field: int, skip: int = 0) -> np.ndarray:
        """Return the first byte of a field of every row; of one that has none, any byte."""
        starts, data = self._parts(field)
        return data[np.minimum(starts, len(data) - 1)] if len(data) else np.zeros(len(self), dtype=np.uint8)

    def variable(self, field: int, chosen: np.ndarray | None = None, skip: int = 0) -> pa.Array:
        """Return a field of the chosen rows as binary; what stands before its value was taken off by the client."""
        column = self._columns[field]
        return column if chosen is None else column.take(pa.array(chosen))

    def vectors(self, field: int, width: int, half: bool, chosen: np.ndarray | None = None) -> np.ndarray:
        """Return pgvector's vectors (half: halfvecs) of `width` components, shape (rows, width), big-endian."""
        kind = np.dtype([("head", "V", HEAD_BYTES), ("values", ">f2" if half else ">f4", width)])
        starts, data = self._parts(field)
        if chosen is None:
            return data[starts[0] :][: len(self) * kind.itemsize].view(kind)["values"]
        return data[starts[chosen][:, None] + np.arange(kind.itemsize)].view(kind)["values"][:, 0]

    def as_rows(self, form: Form) -> pa.Array:
        """Return the rows of a COPY that would have brought them."""
        binary = form.table.metadata is not None and form.table.metadata.type == "jsonb"
        last = [jsonb_field(self._columns[-1])] if binary else self._columns[-1:]
        return as_rows([*self._columns[:-1], *last])

    def _parts(self, field: int) -> tuple[np.ndarray, np.ndarray]:
        column = self._columns[field]
        data = column.buffers()[2]
        return offsets_of(column)[:-1], np.frombuffer(data if data is not None else b"", dtype=np.uint8)


def _are_sound(rows: pa.Table, form: Form) -> bool:
    return are_sound(Columns(rows), form)


def _seen(rows: pa.Table, form: Form) -> Page:
    """Look at columns: as rows of a COPY where each row can be in a batch, decoded where one cannot."""
    found = Columns(rows)
    if form.native is None:
        return decoded([found], form)
    return seen(pa.chunked_array([found.as_rows(form)]), form, form.native)


def _stored(column: pa.Array) -> pa.Array:
    """Return a column without the name of its type, which some functions of Arrow do not look through."""
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _lengths(column: pa.Array) -> np.ndarray:
    return pc.fill_null(pc.binary_length(column), _NULL).to_numpy(zero_copy_only=False).astype(np.int64)


@contextmanager
def _streaming(arrow: ModuleType, server: Server, query: str) -> Iterator[Any]:
    """Give the batches of one statement as they arrive, on a connection of their own."""
    with closing(arrow.connect(server.whole_conninfo())) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(_AS_OF_ONE_MOMENT)
        cursor.execute(SESSION)
        cursor.adbc_statement.set_options(**{_BATCH_BYTES: str(PAGE_BYTES)})
        cursor.execute(query)
        with closing(cursor.fetch_record_batch()) as batches:
            yield batches


@contextmanager
def _plain_errors(arrow: ModuleType) -> Iterator[None]:
    """Raise the client's errors as psycopg's of the same state; those of the stream come by Arrow."""
    try:
        yield
    except (arrow.Error, pa.ArrowException, OSError) as error:
        words, state = _WORDS.search(str(error)), _STATE.search(str(error))
        raise _kind(state.group(1) if state else None)(words.group(1) if words else str(error)) from error


def _kind(state: str | None) -> type[psycopg.Error]:
    if state is None:
        # What ends a stream half-way: the connection broke, or somebody cut it off.
        return psycopg.OperationalError
    try:
        return psycopg.errors.lookup(state)
    except KeyError:
        return psycopg.DatabaseError
