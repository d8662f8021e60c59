"""The canonical form of a record, its digest, and what "equal" means.

Two records are equal when ids and texts are the same code points, vectors the same float32 bits, and
metadata the same JSON value: key order and white space do not count, `1` and `1.0` are different, a
null value and a missing key are different, -0.0 and 0.0 are different, and integers are exact at any
size. Nothing is normalised and nothing is rounded.

The digest is XXH3-128 over a length-prefixed encoding of that form. It finds accidents, not forgers:
only reading both sides (`deep`) counts as proof, value by value or, where they lie in other orders, by
SHA-256 of each record.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from wherry.record import Native, Page, Records, dimension_of, offsets_of, vectors_of

DIGEST_BYTES = 16
SECURE_DIGEST_BYTES = 32
_FORM = b"wherry-record-1"
# A fixed limit: the parser's own depends on how deep in calls it is asked.
MAX_DEPTH = 500
_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)
# orjson turns integers beyond 64 bits into floats; 19 digits is where they can begin.
_LONG_INTEGER = r"\d{19}"
# Of (data, bounds of its strips, form): a digest of each strip.
_Digester = Callable[[memoryview, Sequence[int], bytes], list[bytes]]


class BadMetadata(ValueError):
    """The text is not a JSON object, or holds a number no double can hold."""


def canonical_json(text: str) -> str:
    """Return the canonical text of one JSON object.

    Raises BadMetadata when `text` is no JSON object, repeats a key, is nested deeper than MAX_DEPTH,
    or holds NaN, an infinity, a number beyond a double or half of a surrogate pair.
    """
    _require_shallow(text)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadMetadata(str(error)) from None
    if not isinstance(value, dict):
        raise BadMetadata("metadata is not a JSON object")
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return _in_full(value)


def _in_full(value: dict[str, object]) -> str:
    """Write what orjson cannot: integers beyond 64 bits, and more than 254 levels."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadMetadata("metadata holds half of a surrogate pair, which is no character") from None
    return text


def _require_shallow(text: str) -> None:
    """Raise BadMetadata when brackets outside of strings are nested deeper than MAX_DEPTH."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _NESTING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group()[:1], 0)
        if depth > MAX_DEPTH:
            raise BadMetadata(f"metadata is nested deeper than {MAX_DEPTH} levels")


@dataclass(frozen=True)
class Metadata:
    """A metadata column in canonical form.

    texts: canonical JSON, null where the record has no metadata or a faulty one.
    faults: row number -> what is wrong, for texts that are no metadata at all.
    """

    texts: pa.Array
    faults: dict[int, str]


def canonical_metadata(column: pa.Array) -> Metadata:
    """Bring a column of metadata texts into canonical form."""
    if column.null_count == len(column):
        return Metadata(column, {})
    rows = column.to_pylist()
    long = pc.fill_null(pc.match_substring_regex(column, _LONG_INTEGER), False).to_pylist()
    colons = pc.fill_null(pc.count_substring(column, ":"), 0).to_pylist()
    faults: dict[int, str] = {}
    texts = [
        None if text is None else _fast(row, text, careful, keys, faults)
        for row, (text, careful, keys) in enumerate(zip(rows, long, colons, strict=True))
    ]
    return Metadata(pa.array(texts, type=pa.string()), faults)


def _fast(row: int, text: str, careful: bool, colons: int, faults: dict[int, str]) -> str | None:
    """Canonical text by the fast parser where that is safe, by the strict one where it is not."""
    try:
        if careful:
            return canonical_json(text)
        value = orjson.loads(text)
        # The fast parser keeps the last of two equal keys without a word. Each key brings a colon,
        # so as many keys as colons proves that none was repeated.
        if type(value) is not dict or len(value) != colons:
            return canonical_json(text)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (ValueError, TypeError):
        return _strict(row, text, faults)


def _strict(row: int, text: str, faults: dict[int, str]) -> str | None:
    try:
        return canonical_json(text)
    except BadMetadata as error:
        faults[row] = str(error)
        return None


def digests(batch: pa.RecordBatch) -> list[bytes]:
    """Return the digest of the canonical form of every record of a batch, 16 bytes each.

    Raises BadMetadata when a record's metadata is no JSON object.
    """
    return _digests(batch, _all_good(batch.column("metadata")), _quick)


def secure_digests(records: Records) -> list[bytes | None]:
    """Return a SHA-256 of every record, SECURE_DIGEST_BYTES each; None for one whose metadata is no JSON object.

    Equal digests mean equal records. Of `Native` records the bytes they arrived in are digested, of a batch their
    canonical form: the two are never equal, and equal records that arrived differently differ.
    """
    if isinstance(records, Native):
        return list(_digests_of_rows(records, _secure))
    metadata = canonical_metadata(records.column("metadata"))
    found: list[bytes | None] = list(_digests(records, metadata.texts, _secure))
    for row in metadata.faults:
        found[row] = None
    return found


def digests_as_read(page: Page) -> list[bytes]:
    """Return a digest of every record of a page as it was read, 16 bytes each.

    Equal digests mean equal records. Equal records may have different ones: white space and the order of
    keys count here, and so does the form in which an engine sent them. That makes it many times faster.
    """
    if page.native is not None:
        return _digests_of_rows(page.native, _quick)
    return _digests(page.records, page.records.column("metadata"), _quick)


def _digests_of_rows(native: Native, digester: _Digester) -> list[bytes]:
    form = _FORM + native.form.encode()
    found: list[bytes] = []
    for rows in native.rows.chunks:
        found += digester(memoryview(rows.buffers()[2]), offsets_of(rows).tolist(), form)
    return found


def _digests(batch: pa.RecordBatch, metadata: pa.Array, digester: _Digester) -> list[bytes]:
    rows = batch.num_rows
    if rows == 0:
        return []
    width = dimension_of(batch) * 4
    # Vectors are digested where they lie: they are most of the bytes, and joining would copy them.
    vectors = digester(memoryview(_bytes_of(vectors_of(batch))), range(0, rows * width + 1, width or 1), b"")[:rows]
    parts = [
        *_prefixed(batch.column("id")),
        _fixed(b"".join(vectors), len(vectors[0]), rows),
        *_prefixed(batch.column("text")),
        *_prefixed(metadata),
    ]
    joined = pc.binary_join_element_wise(*parts, b"")
    # The form binds the dimension, which no field of a single record shows.
    return digester(memoryview(joined.buffers()[2]), offsets_of(joined).tolist(), _FORM + str(width).encode())


def _quick(data: memoryview, bounds: Sequence[int], form: bytes) -> list[bytes]:
    """Digest strips of some bytes with XXH3-128; the form is the seed."""
    digest, seed = xxhash.xxh3_128_digest, xxhash.xxh3_64_intdigest(form) if form else 0
    return [digest(data[a:b], seed) for a, b in pairwise(bounds)]


def _secure(data: memoryview, bounds: Sequence[int], form: bytes) -> list[bytes]:
    """Digest strips of some bytes with SHA-256; the form goes before."""
    start = hashlib.sha256(len(form).to_bytes(4, "big") + form)
    found = []
    for a, b in pairwise(bounds):
        digest = start.copy()
        digest.update(data[a:b])
        found.append(digest.digest())
    return found


def _bytes_of(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, dtype="<f4").reshape(-1).view(np.uint8)


def _fixed(data: bytes | memoryview, width: int, rows: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(data)]).cast(pa.binary())


def total(values: list[bytes]) -> int:
    """Return the order-free sum of digests, modulo 2^128; unlike XOR it sees a doubled pair."""
    if not values:
        return 0
    halves = np.frombuffer(b"".join(values), dtype=">u8").reshape(-1, 2)
    # Sum 32 bits at a time: a batch can never overflow 64.
    low = int((halves & 0xFFFFFFFF)[:, 1].sum()) + (int((halves[:, 1] >> 32).sum()) << 32)
    high = int((halves & 0xFFFFFFFF)[:, 0].sum()) + (int((halves[:, 0] >> 32).sum()) << 32)
    return (low + (high << 64)) % (1 << 128)


def _all_good(column: pa.Array) -> pa.Array:
    metadata = canonical_metadata(column)
    for row, fault in metadata.faults.items():
        raise BadMetadata(f"row {row}: {fault}")
    return metadata.texts


def _prefixed(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return a column as (length, bytes), with the length of null one past every real length."""
    values = column.cast(pa.binary())
    lengths = pc.fill_null(pc.binary_length(values), -1).to_numpy(zero_copy_only=False)
    prefix = np.ascontiguousarray(lengths, dtype="<i4")
    return _fixed(memoryview(prefix), 4, len(values)), pc.fill_null(values, b"") if values.null_count else values


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadMetadata("metadata repeats a key")
    return found


def _refuse(constant: str) -> object:
    raise BadMetadata(f"metadata holds {constant}, which is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadMetadata("metadata holds a number beyond a double")
    return value
