"""The binary COPY format, a whole page at a time.

A row is a count of fields, then each field as its length and its bytes; -1 is the length of null.
Nothing here looks at single rows in Python: positions are found by arithmetic on arrays, fields are
cut out of the joined rows by Arrow, and rows are put together by Arrow.

    reading   chunks(messages) -> Rows -> Rows.integers / fixed / variable
    writing   send(copy, [encode([field, ...]), ...])
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from wherry.record import bytes_of, offsets_of

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = SIGNATURE + bytes(8)
TRAILER = b"\xff\xff"
# Rows decoded together: few enough to stay in the processor's cache, where they are found twice as fast.
CHUNK_ROWS = 256
CHUNK_BYTES = 1 << 20
_NULL = _ENDED = -1
# A wait for the server is left this often, so that Ctrl-C is heard.
_PATIENCE_MS = 100
_COUNT_BYTES = _KIND_BYTES = 2
_LENGTH_BYTES = 4

Message = bytes | bytearray | memoryview


class BadCopy(ValueError):
    """The server sent something that is no binary COPY."""


def messages(copy: psycopg.Copy) -> Iterator[Message]:
    """Yield the messages of a COPY TO as `copy` does, at half of its cost."""
    connection = copy.connection.pgconn
    take, fill = connection.get_copy_data, connection.consume_input
    message: Message = copy.read()
    if not message:
        return
    yield message
    arrivals, dry = select.poll(), False
    arrivals.register(connection.socket, select.POLLIN)
    while True:
        size, message = take(1)
        if size > 0:
            dry = False
            yield message
        elif size == _ENDED:
            return _settle(connection)
        else:
            # libpq's buffer holds a few rows, and the driver would wait in the kernel each time it is empty: more has
            # mostly arrived by then.
            if dry:
                arrivals.poll(_PATIENCE_MS)
            fill()
            dry = True


def _settle(connection: psycopg.pq.abc.PGconn) -> None:
    """Take what the server says at the end of a COPY. Raises its error."""
    failed = None
    while (result := connection.get_result()) is not None:
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            failed = psycopg.errors.error_from_result(result)
    if failed is not None:
        # Without a state it is not the server that speaks: the connection broke.
        raise failed if failed.sqlstate else psycopg.OperationalError(str(failed))


def chunks(messages: Iterable[Message], rows: int = CHUNK_ROWS) -> Iterator[list[Message]]:
    """Group the messages of a COPY TO, one row each, into lists of at most `rows` rows or about 1 MiB.

    The header of the stream and its trailer are taken off. Raises BadCopy.
    """
    stream = iter(messages)
    held: list[Message] = []
    weight = 0
    for message in chain([_headless(next(stream, b""))], stream):
        held.append(message)
        weight += len(message)
        if len(held) >= rows or weight >= CHUNK_BYTES:
            yield from _bare(held)
            held, weight = [], 0
    yield from _bare(held)


def _headless(first: Message) -> Message:
    if bytes(first[: len(SIGNATURE)]) != SIGNATURE:
        raise BadCopy("the stream does not begin like a binary COPY")
    extension = int.from_bytes(first[len(HEADER) - _LENGTH_BYTES : len(HEADER)], "big")
    return first[len(HEADER) + extension :]


def _bare(held: list[Message]) -> Iterator[list[Message]]:
    """Yield a list of rows without the header's empty rest and the trailer, unless nothing is left."""
    if held and len(held[-1]) == len(TRAILER):
        held.pop()
    if held and not len(held[0]):
        held.pop(0)
    if held:
        yield held


class Rows:
    """Rows of a COPY, side by side.

    fields: how many fields each row has. starts, lengths: int64 arrays per field; the length of null is
    -1.
    """

    def __init__(self, joined: pa.Buffer, ends: np.ndarray, fields: int) -> None:
        self._joined, self._ends = joined, ends
        self._bytes = np.frombuffer(joined, dtype=np.uint8)
        position = np.concatenate([[0], ends[:-1]]) + _COUNT_BYTES
        self.starts: list[np.ndarray] = []
        self.lengths: list[np.ndarray] = []
        for _ in range(fields):
            length = self._integers(position)
            self.starts.append(position + _LENGTH_BYTES)
            self.lengths.append(length)
            position = position + _LENGTH_BYTES + np.maximum(length, 0)
        if not np.array_equal(position, ends):
            raise BadCopy("a row of the COPY has other fields than were asked for")

    @classmethod
    def arrived(cls, messages: Sequence[Message], fields: int) -> Rows:
        """Take rows as they arrived, one a message."""
        return cls.kept(as_kept(messages), fields)

    @classmethod
    def kept(cls, rows: pa.Array, fields: int) -> Rows:
        """Take rows that were kept as `as_kept` returns them."""
        offsets = offsets_of(rows)
        start = int(offsets[0])
        joined = rows.buffers()[2].slice(start, int(offsets[-1]) - start)
        return cls(joined, offsets[1:].astype(np.int64) - start, fields)

    def first_bytes(self, field: int, skip: int = 0) -> np.ndarray:
        """Return byte number `skip` of a field of every row; of one that is too short, any byte."""
        return self._bytes[np.minimum(self.starts[field] + skip, len(self._bytes) - 1)]

    def __len__(self) -> int:
        return len(self.starts[0])

    @property
    def size(self) -> int:
        """How many bytes the rows take."""
        return self._joined.size

    def variable(self, field: int, chosen: np.ndarray | None = None, skip: int = 0) -> pa.Array:
        """Return a field of the chosen rows as binary, without its first `skip` bytes; null stays null."""
        starts, lengths = _at(self.starts[field], chosen), _at(self.lengths[field], chosen)
        nulls = lengths == _NULL
        if not nulls.any():
            return self._cut(starts + skip, starts + lengths)
        ends = starts + np.maximum(lengths, 0)
        return self._cut(np.minimum(starts + skip, ends), ends, nulls)

    def vectors(self, field: int, width: int, half: bool, chosen: np.ndarray | None = None) -> np.ndarray:
        """Return pgvector's vectors (half: halfvecs) of `width` components, shape (rows, width), big-endian.

        Every chosen row must have a vector of that many components.
        """
        starts = _at(self.starts[field], chosen) + 2 * _KIND_BYTES
        size = width * (2 if half else 4)
        packed = self._cut(starts, starts + size)
        kind = ">f2" if half else ">f4"
        return np.frombuffer(packed.buffers()[2], dtype=kind, count=len(starts) * width).reshape(-1, width)

    def _cut(self, starts: np.ndarray, ends: np.ndarray, nulls: np.ndarray | None = None) -> pa.Array:
        # One binary array whose even elements are the wanted strips and whose odd ones lie between.
        offsets = np.empty(2 * len(starts), dtype=np.int32)
        offsets[0::2], offsets[1::2] = starts, ends
        strips = pa.Array.from_buffers(
            pa.binary(), max(len(offsets) - 1, 0), [None, pa.py_buffer(offsets), self._joined]
        )
        return strips.take(pa.array(np.arange(0, len(offsets), 2), mask=nulls))

    def _integers(self, position: np.ndarray) -> np.ndarray:
        # A number may begin at any byte: one view of all that could.
        at_every_byte = np.ndarray((len(self._bytes) - _LENGTH_BYTES + 1,), ">i4", self._joined, strides=(1,))
        return at_every_byte[position].astype(np.int64)


def as_kept(messages: Sequence[Message]) -> pa.Array:
    """Return rows as they arrived, one a message, as a binary array."""
    offsets = np.zeros(len(messages) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, messages), dtype=np.int32, count=len(messages)), out=offsets[1:])
    joined = pa.py_buffer(b"".join(messages))
    return pa.Array.from_buffers(pa.binary(), len(messages), [None, pa.py_buffer(offsets), joined])


def as_sent(rows: pa.ChunkedArray) -> Iterator[memoryview]:
    """Yield rows that were kept as they arrived, in the form a COPY FROM takes them."""
    for chunk in rows.chunks:
        yield bytes_of(chunk)


def send(copy: psycopg.Copy, parts: Iterable[Message]) -> None:
    """Write rows to a COPY FROM, with what comes before and after them. parts: rows as `encode` returns them."""
    for part in chain((HEADER,), parts, (TRAILER,)):
        copy.write(part)


def encode(fields: Sequence[pa.Array]) -> memoryview:
    """Return rows of a binary COPY, as they are sent, from binary arrays of one length, one per field; null is null."""
    return bytes_of(as_rows(fields))


def as_rows(fields: Sequence[pa.Array]) -> pa.Array:
    """Return rows of a binary COPY, as a binary array, from binary arrays of one length, one per field."""
    parts: list[pa.Array | pa.Scalar] = [pa.scalar(len(fields).to_bytes(_COUNT_BYTES, "big"), pa.binary())]
    for column in fields:
        parts += _measured(column)
    return pc.binary_join_element_wise(*parts, b"")


def encode_items(column: pa.Array) -> memoryview:
    """Return the items of a binary array as those of an array of the server's are sent; null is null."""
    return bytes_of(pc.binary_join_element_wise(*_measured(column), b""))


def vector_field(vectors: np.ndarray, half: bool) -> pa.Array:
    """Return float32 vectors, shape (n, width), in the form pgvector receives (half: as halfvecs)."""
    rows, width = vectors.shape
    packed = np.empty(rows, dtype=[("head", ">i2", 2), ("values", ">f2" if half else ">f4", width)])
    packed["head"] = width, 0
    with np.errstate(over="ignore"):
        packed["values"] = vectors
    return fixed_field(packed)


def fixed_field(values: np.ndarray) -> pa.Array:
    """Return an array of fixed-size items, shape (n,), as binary: its bytes as they lie in memory."""
    packed = np.ascontiguousarray(values)
    kind = pa.binary(packed.dtype.itemsize)
    return pa.Array.from_buffers(kind, len(packed), [None, pa.py_buffer(packed)]).cast(pa.binary())


def text_field(texts: pa.Array) -> pa.Array:
    """Return strings as binary; null stays null."""
    return texts.cast(pa.binary())


def jsonb_field(texts: pa.Array) -> pa.Array:
    """Return JSON texts in the form jsonb receives: a version byte, then the text."""
    return pc.binary_join_element_wise(pa.scalar(b"\x01", pa.binary()), texts.cast(pa.binary()), b"")


def _measured(column: pa.Array) -> list[pa.Array]:
    """Return what stands for each value of a binary array: its length, and its bytes, none for null."""
    lengths = pc.fill_null(pc.binary_length(column), _NULL).to_numpy(zero_copy_only=False)
    return [fixed_field(lengths.astype(">i4")), pc.fill_null(column, b"") if column.null_count else column]


def _at(values: np.ndarray, chosen: np.ndarray | None) -> np.ndarray:
    return values if chosen is None else values[chosen]
