"""From a binary COPY to pages: one statement per scan or fetch, kept as they arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from psycopg import sql

from wherry.postgres.copy import CHUNK_BYTES, CHUNK_ROWS, Message, Rows, as_kept, chunks
from wherry.record import Native, Page, Sealed, joined
from wherry.stores.pgvector.decoding import Fields, decoded, is_unicode, lenient
from wherry.stores.pgvector.form import HEAD_BYTES, ID, VECTOR, Form

PAGE_BYTES = 3 << 19
# Metadata up to here can hold neither a number beyond a double nor endless nesting.
_SHORT = 300


def copied(query: sql.Composable) -> sql.Composed:
    """Return the statement that sends the rows of a query."""
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)


def pages(messages: Iterable[Message], form: Form, rows: int) -> Iterator[Page]:
    """Decode the rows of `form.select()` into pages of at most `rows` records and about 1.5 MiB."""
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
        arrived = Rows.arrived(chunk, 1)
        known = np.flatnonzero(arrived.lengths[0] != -1)
        if len(known):
            ids = arrived.variable(0, known)
            yield ids.view(pa.string()) if is_unicode(ids) else pa.array(lenient(ids))


def together(found: list[Page]) -> Page:
    """Return several pages as one."""
    if len(found) == 1:
        return found[0]
    sealed = [page.sealed for page in found if page.sealed is not None]
    if len(sealed) == len(found):
        return Page(replace(sealed[0], rows=pa.chunked_array([c for part in sealed for c in part.rows.chunks])))
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
            return decoded(_kept(rows, self.form), self.form)
        form, name = self.form, self.form.native
        return Page(Sealed(name, rows, partial(_all_sound, form=form), partial(seen, form=form, name=name)))


def seen(rows: pa.ChunkedArray, form: Form, name: str) -> Page:
    """Look at rows: kept as they are where each can be in a batch, decoded where one cannot."""
    parts = _kept(rows, form)
    if not all(are_sound(part, form) for part in parts):
        return decoded(parts, form)
    ids = [part.variable(ID).view(pa.string()) for part in parts] or [pa.array([], pa.string())]
    plain = all(_are_plain(part, form) for part in parts)
    # What decodes is handed on to whatever is taken of the page: it may not hold its rows.
    return Page(Native(name, rows, pa.concat_arrays(ids), plain, partial(_decode, form=form)))


def _all_sound(rows: pa.ChunkedArray, form: Form) -> bool:
    return all(are_sound(part, form) for part in _kept(rows, form))


def are_sound(rows: Fields, form: Form) -> bool:
    """Tell whether every row can be in a batch, judged by what does not need decoding."""
    _, _, metadata = form.positions
    fits = (rows.lengths[ID] > 0) & (rows.lengths[VECTOR] == form.vector_bytes)
    if metadata:
        opens = rows.first_bytes(metadata, form.skips[2]) == ord("{")
        fits &= opens | (rows.lengths[metadata] == -1)
    return bool(fits.all())


def _are_plain(rows: Rows, form: Form) -> bool:
    """Tell whether no vector can be zero and no metadata is long enough to hide something."""
    _, _, metadata = form.positions
    # The byte that holds the sign and the upper exponent of the first component: of a zero it is 0 or 128.
    starts = rows.first_bytes(VECTOR, HEAD_BYTES) & 0x7F
    return bool(starts.all()) and (not metadata or int(rows.lengths[metadata].max()) <= _SHORT)


def _decode(rows: pa.ChunkedArray, form: Form) -> pa.RecordBatch:
    return decoded(_kept(rows, form), form).records


def _kept(rows: pa.ChunkedArray, form: Form) -> list[Rows]:
    return [Rows.kept(chunk, form.fields) for chunk in rows.chunks if len(chunk)]
