"""Hypothesis strategies of hostile records.

Hostile means legal and awkward: ids that differ only in a leading zero, texts full of bidirectional
marks, floats at the edge of float32, metadata of every kind. What no batch can hold at all (lone
surrogates, a missing vector) is not drawn.

    @given(records(dimension=8))                      anything a batch can hold
    @given(batches(8, **held_by(store.capabilities))) what this engine says it can hold
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wherry.record import Record, from_records
from wherry.stores.base import ALL_KINDS, Capabilities, IdKind, Kind

LOOK_ALIKE_IDS = (
    "4", "04", "0004", "4.0", "+4", "a", "ab", "A", "a ", " a", "\u00e9", "e\u0301", "１", "None", "null",
    "true", "-1", "18446744073709551616", "00000000-0000-0000-0000-000000000004", "a/b", "a\\b",
    "../a", "a%00b", "%61", "a'b", 'a"b', "'; drop table docs; --", "a;--", "a\nb", "a\tb", "$1", "{}", "[1]",
    "*", "?", "#a",
)  # fmt: skip
AWKWARD_TEXTS = (
    "", " ", "\n", "\t \r\n", "\u202etxt.exe", "\u200b", "\ufeff처음", "👩‍👩‍👧‍👦 가족", "e\u0301 é",
    "각", "\u1100\u1161\u11a8", "\\N", "\\.", "'\"`", "null", "NaN", "<script>", "%s %(x)s", "{0}",
    "\x7f\x1b[31m", "\u2028\u2029", "\uffff", "\U0010ffff", "١٢٣",
)  # fmt: skip
NUL_TEXTS = ("\x00", "a\x00b", "\x00가")
AWKWARD_KEYS = (
    "", " ", "a.b", "$eq", "#", "id", "text", "document", "metadata", "embedding", "vector",
    "_wherry_metadata", "wherry_space", "chroma:document", "hnsw:space", "__proto__", "키", "a'b",
    'a"b', "a\\b",
)  # fmt: skip

# The largest and smallest magnitudes a 16-bit float holds without becoming infinite or zero.
_HALF_MAX, _HALF_MIN = 65504.0, 2.0**-14


def held_by(capabilities: Capabilities) -> dict[str, Any]:
    """Return the arguments that keep `records` and `batches` to what an engine says it can hold."""
    return {
        "id_kind": capabilities.id_kind,
        "max_id_bytes": capabilities.max_id_bytes,
        "nul": capabilities.nul_in_text,
        "null_text": capabilities.null_text,
        "kinds": capabilities.metadata,
        "integer_bits": capabilities.integer_bits,
        "negative_zero": capabilities.negative_zero,
        "mild": capabilities.precision_bits == 16,
    }


def ids(id_kind: IdKind = IdKind.TEXT, max_id_bytes: int | None = None, nul: bool = True) -> st.SearchStrategy[str]:
    """Ids of one kind, never empty."""
    if id_kind is IdKind.INTEGER:
        return st.integers(0, 2**63 - 1).map(str)
    if id_kind is IdKind.UUID:
        return st.uuids().map(UUID.__str__)
    limit = max_id_bytes if max_id_bytes is not None else 2000
    drawn = st.sampled_from(LOOK_ALIKE_IDS + NUL_TEXTS * nul) | _characters(nul, min_size=1, max_size=40)
    return drawn.filter(lambda text: len(text.encode()) <= limit)


def texts(nul: bool = True) -> st.SearchStrategy[str]:
    """Texts without lone surrogates; with U+0000 where `nul` allows it."""
    return st.sampled_from(AWKWARD_TEXTS + NUL_TEXTS * nul) | _characters(nul, max_size=80)


def vectors(dimension: int, finite: bool = True, mild: bool = False) -> st.SearchStrategy[np.ndarray]:
    """float32 vectors of shape (dimension,), the extremes of the type among them.

    finite: without NaN and infinities. mild: only magnitudes that a 16-bit float can round and
    whose squares can be summed. A zero vector is never drawn: whether one can be stored depends on
    the metric.
    """
    if mild:
        small = st.floats(_HALF_MIN, _HALF_MAX, width=32)
        elements = small | small.map(lambda value: -value) | st.just(0.0)
    else:
        elements = st.floats(width=32, allow_nan=not finite, allow_infinity=not finite)
    return hnp.arrays(np.float32, dimension, elements=elements).filter(lambda v: bool(v.any()))


def metadata(
    kinds: frozenset[Kind] = ALL_KINDS,
    integer_bits: int | None = None,
    nul: bool = True,
    negative_zero: bool = True,
) -> st.SearchStrategy[dict[str, Any] | None]:
    """Metadata objects, or None for a record without any.

    kinds: kinds of value at the top level. integer_bits: integers n with n.bit_length() below that;
    None = up to 80 bits. Inside lists and objects every kind appears.
    """
    scalars = _scalars(integer_bits, nul, negative_zero)
    nested = _nested(st.one_of(*scalars.values()), _keys(nul))
    values = [strategy for kind, strategy in (scalars | nested).items() if kind in kinds]
    objects = st.dictionaries(_keys(nul), st.one_of(*values), max_size=6) if values else st.just({})
    return st.none() | (objects if Kind.EMPTY in kinds else objects.filter(bool))


def records(
    dimension: int,
    *,
    id_kind: IdKind = IdKind.TEXT,
    max_id_bytes: int | None = None,
    nul: bool = True,
    null_text: bool = True,
    kinds: frozenset[Kind] = ALL_KINDS,
    integer_bits: int | None = None,
    negative_zero: bool = True,
    finite: bool = True,
    mild: bool = False,
) -> st.SearchStrategy[Record]:
    """Records whose vectors have `dimension` components; the rest as in the strategies above."""
    return st.builds(
        Record,
        ids(id_kind, max_id_bytes, nul),
        vectors(dimension, finite, mild),
        st.none() | texts(nul) if null_text else texts(nul),
        metadata(kinds, integer_bits, nul, negative_zero),
    )


def batches(dimension: int, max_size: int = 12, **limits: Any) -> st.SearchStrategy[pa.RecordBatch]:
    """Batches of 1 to `max_size` records with different ids; `limits` as in `records`."""
    rows = st.lists(records(dimension, **limits), min_size=1, max_size=max_size, unique_by=lambda r: r.id)
    return rows.map(lambda drawn: from_records(drawn, dimension))


def _characters(nul: bool, **sizes: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(codec="utf-8", exclude_characters="" if nul else "\x00")
    return st.text(alphabet, **sizes)


def _keys(nul: bool) -> st.SearchStrategy[str]:
    return st.sampled_from(AWKWARD_KEYS) | _characters(nul, max_size=12)


def _scalars(integer_bits: int | None, nul: bool, negative_zero: bool) -> Mapping[Kind, st.SearchStrategy[Any]]:
    largest = 2 ** ((integer_bits or 81) - 1) - 1
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return {
        Kind.NULL: st.none(),
        Kind.BOOL: st.booleans(),
        Kind.INTEGER: st.integers(-largest, largest) | st.sampled_from((0, largest, -largest)),
        Kind.FLOAT: floats if negative_zero else floats.map(lambda value: value + 0.0),
        Kind.TEXT: texts(nul),
    }


def _nested(scalars: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> Mapping[Kind, st.SearchStrategy[Any]]:
    inner = st.recursive(
        scalars,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=3),
        max_leaves=8,
    )
    return {
        Kind.LIST: st.lists(inner, max_size=12),
        Kind.OBJECT: st.dictionaries(keys, inner, min_size=1, max_size=4),
        Kind.EMPTY: st.just({}),
    }
