"""Lists as parameters: the server receives the very items, nulls among them too."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from wherry.address import Address
from wherry.postgres.columns import take_columns
from wherry.postgres.link import server_of

TEXTS = ["", "a", "가나", 'quote" and \\', "{},NULL", "x" * 70_000, "\n"]
BLOBS = [b"", b"\x00\xff", b"d" * 16, b"NULL"]


@pytest.fixture
def connection(pg: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection as the journal has it."""
    with server_of(Address.parse("pgvector:#any"), set()).connect() as made:
        take_columns(made)
        yield made


@pytest.mark.parametrize(
    ("kind", "sent", "received"),
    [
        ("text[]", pa.array(TEXTS), TEXTS),
        ("text[]", pa.array([None, *TEXTS, None]).slice(1, 3), TEXTS[:3]),
        ("text[]", pa.array(["a", None]), ["a", None]),
        ("text[]", pa.array([], pa.string()), []),
        ("text[]", pa.array([None], pa.string()), [None]),
        ("bytea[]", pa.array([*BLOBS, None], pa.binary()), [*BLOBS, None]),
        ("bytea[]", BLOBS, BLOBS),
        ("bytea[]", [None, *BLOBS], [None, *BLOBS]),
        ("text[]", TEXTS, TEXTS),
        ("int[]", [1, None, 3], [1, None, 3]),
    ],
)
def test_what_is_sent_is_what_arrives(
    connection: psycopg.Connection, kind: str, sent: pa.Array | list[object], received: list[object]
) -> None:
    (found,) = connection.execute(f"SELECT $1::{kind}".encode(), [sent]).fetchone() or ()
    assert found == received
