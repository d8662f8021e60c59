"""Vectors that were paid for: kept by what they were made from, so nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from wherry.errors import Rejected
from wherry.postgres.copy import encode, send, vector_field
from wherry.postgres.database import Database

_HAVE = "SELECT embed_fp FROM wherry.vectors WHERE embed_fp = ANY ($1::bytea[])"
_READ = "SELECT embed_fp, {send}(vector) FROM wherry.vectors WHERE embed_fp = ANY ($1::bytea[])"
_COPY = "COPY {} (embed_fp, vector) FROM STDIN (FORMAT binary)"
_TABLE = sql.Identifier("wherry", "vectors")
_STAGE = sql.Identifier("pg_temp", "wherry_vectors")
_MAKE_STAGE = (
    "CREATE TEMP TABLE wherry_vectors ON COMMIT DROP AS SELECT embed_fp, vector FROM wherry.vectors WITH NO DATA"
)
_MERGE = """
INSERT INTO wherry.vectors (embed_fp, vector) SELECT embed_fp, vector FROM pg_temp.wherry_vectors ON CONFLICT DO NOTHING
"""
_SEND = """
SELECT quote_ident(n.nspname) || '.vector_send' FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""
# Two numbers of two bytes stand before the components.
_HEAD_BYTES = 4


def have(database: Database, keys: Sequence[bytes]) -> set[bytes]:
    """Return which of some keys the cache has."""
    return {row[0] for row in database.ask(_HAVE, [list(keys)])} if keys else set()


def keep(database: Database, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    """Store vectors durably; one that is there already stays. vectors: float32, shape (n, dimension)."""
    if not len(keys):
        return
    try:
        with database.begin() as connection:
            _copy(connection, _TABLE, keys, vectors)
    except Rejected as error:
        if not isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            raise
        # Another index paid for one of them meanwhile.
        with database.begin() as connection:
            connection.execute(_MAKE_STAGE)
            _copy(connection, _STAGE, keys, vectors)
            connection.execute(_MERGE)


def read(database: Database, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
    """Return the vectors the cache has for some keys: float32, shape (dimension,)."""
    send = str(database.ask(_SEND)[0][0])
    rows = database.ask(_READ.format(send=send), [list(keys)])
    return {key: np.frombuffer(data, dtype=">f4", offset=_HEAD_BYTES).astype(np.float32) for key, data in rows}


def _copy(connection: psycopg.Connection, into: sql.Composable, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    with connection.cursor().copy(sql.SQL(_COPY).format(into)) as copy:
        send(copy, [encode([pa.array(keys, pa.binary()), vector_field(vectors, False)])])
