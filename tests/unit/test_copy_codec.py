"""The binary COPY codec: what is encoded decodes to the same, whatever the chunks."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.postgres.copy import (
    CHUNK_BYTES,
    HEADER,
    TRAILER,
    BadCopy,
    Rows,
    chunks,
    encode,
    fixed_field,
    jsonb_field,
    text_field,
    vector_field,
)

values = st.none() | st.binary(max_size=20) | st.sampled_from([b"", b"\xff\xff", b"\x00" * 7, HEADER])
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[values] * width), min_size=1, max_size=30))


def row(*fields: bytes | None) -> bytes:
    """One row of a binary COPY, written field by field."""
    parts = [b"\xff\xff\xff\xff" if f is None else struct.pack(">i", len(f)) + f for f in fields]
    return struct.pack(">h", len(fields)) + b"".join(parts)


def stream(rows: list[bytes]) -> list[bytes]:
    """The messages of a COPY as a server sends them: the header travels with the first row."""
    return [HEADER + rows[0], *rows[1:], TRAILER] if rows else [HEADER + TRAILER]


@given(tables)
def test_encoding_is_the_format_of_postgresql(table: list[tuple[bytes | None, ...]]) -> None:
    columns = [pa.array(column, type=pa.binary()) for column in zip(*table, strict=True)]
    assert bytes(encode(columns)) == b"".join(row(*fields) for fields in table)


@given(tables, st.integers(1, 9))
def test_decoding_finds_every_field(table: list[tuple[bytes | None, ...]], size: int) -> None:
    found = []
    for chunk in chunks(stream([row(*fields) for fields in table]), size):
        assert len(chunk) <= size
        rows = Rows.arrived(chunk, len(table[0]))
        found += list(zip(*[rows.variable(i).to_pylist() for i in range(len(table[0]))], strict=True))
    assert found == table


def test_slices_encode_only_their_own_rows() -> None:
    column = pa.array([b"a", None, b"ccc", b""], type=pa.binary())
    assert bytes(encode([column.slice(1, 2)])) == row(None) + row(b"ccc")


def test_chosen_rows_and_skipped_bytes() -> None:
    rows = Rows.arrived([row(b"\x01{}"), row(None), row(b"\x01[1]")], 1)
    assert rows.variable(0, skip=1).to_pylist() == [b"{}", None, b"[1]"]
    assert rows.variable(0, np.array([2]), skip=1).to_pylist() == [b"[1]"]


@pytest.mark.parametrize("half", [False, True], ids=["vector", "halfvec"])
def test_vectors_are_those_of_pgvector(half: bool) -> None:
    vectors = np.array([[1.5, -0.0, 65504.0], [2**-14, -3.25, 0.0]], dtype=np.float32)
    fields = vector_field(vectors, half).to_pylist()
    assert fields[0] == struct.pack(">hh3e" if half else ">hh3f", 3, 0, 1.5, -0.0, 65504.0)
    back = Rows.arrived([row(field) for field in fields], 1).vectors(0, 3, half)
    assert back.astype(np.float32).tobytes() == vectors.tobytes()


def test_fields_of_every_kind() -> None:
    assert fixed_field(np.array([1, -2], dtype=">i8")).to_pylist() == [
        struct.pack(">q", 1),
        struct.pack(">q", -2),
    ]
    assert text_field(pa.array(["가", None])).to_pylist() == ["가".encode(), None]
    assert jsonb_field(pa.array(["{}", None])).to_pylist() == [b"\x01{}", None]


def test_an_empty_copy_has_no_chunk() -> None:
    assert list(chunks(stream([]))) == []


def test_a_header_alone_or_extended() -> None:
    extended = HEADER[:-4] + struct.pack(">i", 3) + b"ext"
    assert list(chunks([HEADER, row(b"a"), TRAILER])) == [[row(b"a")]]
    assert list(chunks([extended + row(b"a"), TRAILER])) == [[row(b"a")]]


def test_wide_rows_make_small_chunks() -> None:
    wide = row(bytes(CHUNK_BYTES // 3))
    assert [len(chunk) for chunk in chunks(stream([wide] * 7))] == [3, 3, 1]


def test_what_is_no_copy_is_refused() -> None:
    with pytest.raises(BadCopy):
        list(chunks([b"id,text\n"]))
    with pytest.raises(BadCopy):
        list(chunks([]))
    with pytest.raises(BadCopy):
        Rows.arrived([row(b"a", b"b")], 1)
