"""Ids as a table's key type holds them. They travel as canonical text: "42", never "0042"."""

from __future__ import annotations

from typing import LiteralString

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from wherry.errors import Rejected
from wherry.postgres.copy import fixed_field, text_field
from wherry.stores.base import IdKind
from wherry.stores.pgvector.catalog import INTEGER_TYPES, Column

# The longest text that fits into a B-tree of 8 kB pages, whatever it compresses to.
INDEXED_BYTES = 2_692
_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_UUID_BYTES = 16
_VARCHAR_HEADER = 4


def id_kind(column: Column) -> IdKind:
    """Return which ids a key column holds."""
    if column.type in INTEGER_TYPES:
        return IdKind.INTEGER
    return IdKind.UUID if column.type == "uuid" else IdKind.TEXT


def longest_id(column: Column) -> int | None:
    """Return how many bytes an id may have; None where the type itself is the limit."""
    if id_kind(column) is not IdKind.TEXT:
        return None
    # varchar(n) counts characters: n bytes always fit.
    declared = column.modifier - _VARCHAR_HEADER if column.modifier > 0 else INDEXED_BYTES
    return min(declared, INDEXED_BYTES)


def selected(column: Column, source: sql.Composable) -> sql.Composable:
    """Return the expression that reads a key as canonical text."""
    return source if id_kind(column) is IdKind.TEXT else sql.SQL("{}::text").format(source)


def array_type(column: Column) -> sql.SQL:
    """Return the array type that ids are compared with."""
    kinds: dict[IdKind, LiteralString] = {IdKind.INTEGER: "bigint[]", IdKind.UUID: "uuid[]", IdKind.TEXT: "text[]"}
    return sql.SQL(kinds[id_kind(column)])


def possible(ids: pa.Array, column: Column) -> list[str]:
    """Return those of some ids that a key column can hold at all; no other id can be in the table."""
    kind = id_kind(column)
    if kind is IdKind.TEXT:
        return ids.filter(pc.invert(pc.match_substring(ids, "\x00"))).to_pylist()
    held = ids.filter(pc.match_substring_regex(ids, _UUID if kind is IdKind.UUID else _INTEGER)).to_pylist()
    return held if kind is IdKind.UUID else [i for i in held if -(2**63) <= int(i) < 2**63]


def key_field(ids: pa.Array, column: Column, where: str) -> pa.Array:
    """Return ids in the binary form of a key column. Raises Rejected for one it cannot hold."""
    kind = id_kind(column)
    if kind is IdKind.TEXT:
        return text_field(ids)
    _require(ids, pc.match_substring_regex(ids, _UUID if kind is IdKind.UUID else _INTEGER), column, where)
    if kind is IdKind.UUID:
        packed = bytes.fromhex("".join(ids.to_pylist()).replace("-", ""))
        return fixed_field(np.frombuffer(packed, dtype=f"V{_UUID_BYTES}"))
    width = INTEGER_TYPES[column.type]
    limit = 2 ** (8 * width - 1)
    numbers = [int(i) for i in ids.to_pylist()]
    _require(ids, pa.array([-limit <= n < limit for n in numbers], type=pa.bool_()), column, where)
    return fixed_field(np.array(numbers, dtype=f">i{width}"))


def _require(ids: pa.Array, fits: pa.Array, column: Column, where: str) -> None:
    wrong = ids.filter(pc.invert(fits))
    if len(wrong):
        raise Rejected(
            f"{len(wrong)} ids are none of type {column.type}, the first is {wrong[0].as_py()!r}",
            where=where,
            left="nothing of the batch was written",
            next="choose a target whose key is text",
        )
