"""Lists as parameters, in binary: the driver writes them as text or item by item, which takes many times as long.

A list of bytes travels so wherever it is given; texts do as an Arrow array, since of a list of them the server is to
find out the type.
"""

from __future__ import annotations

import struct
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.abc import Dumper as AnyDumper
from psycopg.adapt import Dumper, PyFormat
from psycopg.postgres import types
from psycopg.pq import Format
from psycopg.types.array import ListDumper

from wherry.postgres.copy import encode_items

# Dimensions, whether null is among the items, their type; items in the first dimension, the number of the first.
_HEAD = struct.Struct(">iiIii")


def take_lists(connection: psycopg.Connection) -> None:
    """Let a connection take lists of bytes, and Arrow arrays of strings or bytes, as text[] and bytea[]."""
    connection.adapters.register_dumper(list, _Lists)
    connection.adapters.register_dumper(pa.StringArray, _Texts)
    connection.adapters.register_dumper(pa.BinaryArray, _Bytes)


class _Packed(Dumper):
    """A dumper of one-dimensional arrays. item: the name of their items' type."""

    format, item = Format.BINARY, ""

    def dump(self, obj: Any) -> bytes:
        """Return a list, or an Arrow array, as the server receives an array."""
        column = (obj if isinstance(obj, pa.Array) else pa.array(obj, pa.binary())).cast(pa.binary())
        head = _HEAD.pack(1, int(column.null_count > 0), types[self.item].oid, len(column), 1)
        return head + bytes(encode_items(column))


class _Texts(_Packed):
    item, oid = "text", types["text"].array_oid


class _Bytes(_Packed):
    item, oid = "bytea", types["bytea"].array_oid


class _Lists(ListDumper):
    """The driver's dumper of lists, without those of bytes."""

    def upgrade(self, obj: list[Any], format: PyFormat) -> AnyDumper:
        """Return what dumps a list of this kind."""
        if isinstance(self._find_list_element(obj, format), bytes):
            return _Bytes(self.cls, self.connection)
        return super().upgrade(obj, format)
