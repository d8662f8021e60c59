"""Arrow arrays as parameters, in binary: the driver writes lists item by item, which takes many times as long."""

from __future__ import annotations

import struct

import psycopg
import pyarrow as pa
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

from wherry.postgres.copy import encode_items

# Dimensions, whether null is among the items, their type; items in the first dimension, the number of the first.
_HEAD = struct.Struct(">iiIii")


def take_columns(connection: psycopg.Connection) -> None:
    """Let a connection take Arrow arrays of strings or bytes as text[] and bytea[]."""
    connection.adapters.register_dumper(pa.StringArray, _Texts)
    connection.adapters.register_dumper(pa.BinaryArray, _Bytes)


class _Packed(Dumper):
    """A dumper of one-dimensional arrays. item: the name of their items' type."""

    format, item = Format.BINARY, ""

    def dump(self, obj: pa.Array) -> bytes:
        """Return an Arrow array as the server receives an array."""
        head = _HEAD.pack(1, int(obj.null_count > 0), types[self.item].oid, len(obj), 1)
        return head + bytes(encode_items(obj.cast(pa.binary())))


class _Texts(_Packed):
    item, oid = "text", types["text"].array_oid


class _Bytes(_Packed):
    item, oid = "bytea", types["bytea"].array_oid
