"""The fingerprints: each hashes one thing that matters, so that a change redoes only what depends on it.

    source_fp   the bytes of a document
    recipe_fp   parser and chunker, with versions and options
    chunk_fp    the exact text that is embedded
    embed_fp    chunk_fp and what turned it into a vector: the key of the cache
    meta_fp     the metadata of a document or a chunk
    doc_fp      all of a document, in one

Fields are never joined: each is written with its kind and its length, so no two lists of fields can
have one encoding. Every digest is BLAKE2b-256 and depends on the version of this form.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from wherry.indexing.base import Stamp
from wherry.space import Space

FORM = 1
DIGEST_BYTES = 32
# What changes although nobody changed the document: it travels along, but no change of it counts.
VOLATILE = frozenset({"mtime", "ctime", "atime", "fetched_at", "indexed_at", "last_accessed"})
# A text too long for a model is an error (the guard sees to it), so nothing is cut behind anyone's back.
_TRUNCATION = "error"
_PRECISION = "float32"
_PERSON = f"wherry-fp-{FORM}".encode()
_length = struct.Struct("<Q").pack

Field = str | bytes | int | float | bool | None | Sequence["Field"]


def encode(field: Field) -> bytes:
    """Return the one encoding of a field: a letter for its kind, the length, the bytes."""
    if isinstance(field, str):
        data = field.encode("utf-8", "surrogatepass")
        return b"s" + _length(len(data)) + data
    if isinstance(field, (bytes, bytearray, memoryview)):
        return b"b" + _length(len(field)) + bytes(field)
    if field is None:
        return b"n"
    if isinstance(field, bool):
        return b"t" if field else b"f"
    if isinstance(field, (int, float)):
        data = repr(field).encode()
        return (b"i" if isinstance(field, int) else b"d") + _length(len(data)) + data
    return b"l" + _length(len(field)) + b"".join(map(encode, field))


def fingerprint(kind: str, *fields: Field) -> bytes:
    """Return the digest of some fields under the name of what they are; 32 bytes."""
    return blake2b(encode((kind, *fields)), digest_size=DIGEST_BYTES, person=_PERSON).digest()


def source_fp(data: bytes) -> bytes:
    """Return the fingerprint of a document's bytes."""
    return blake2b(data, digest_size=DIGEST_BYTES, person=_PERSON).digest()


def recipe_fp(parser: str, chunker: str) -> bytes:
    """Return the fingerprint of how documents become chunks: name, version and options of both steps."""
    return fingerprint("recipe", parser, chunker)


def cut_fp(source: bytes, recipe: bytes) -> bytes:
    """Return the fingerprint of a document cut by a recipe; when it changes, the document is cut again."""
    return fingerprint("cut", source, recipe)


def chunk_fp(text: str) -> bytes:
    """Return the fingerprint of the text that is sent to the model."""
    return fingerprint("chunk", text)


def settings_fp(space: Space) -> bytes:
    """Return the fingerprint of everything that turns a text into a vector of a space.

    URL, key, batch size, timeouts and the prompt of questions are not in it: they change no vector.
    """
    return fingerprint(
        "settings",
        space.provider,
        space.model,
        space.model_digest,
        space.dimension,
        space.document_prompt,
        _TRUNCATION,
        space.normalised,
        _PRECISION,
    )


def embed_fp(chunk: bytes, settings: bytes) -> bytes:
    """Return the key of a vector in the cache."""
    return fingerprint("embed", chunk, settings)


def meta_fp(metadata: Mapping[str, Any]) -> bytes:
    """Return the fingerprint of metadata, without its volatile keys. Raises TypeError for what is no JSON."""
    lasting = {key: value for key, value in metadata.items() if key not in VOLATILE}
    return fingerprint("meta", orjson.dumps(lasting, option=orjson.OPT_SORT_KEYS))


def doc_fp(cut: bytes, embeds: Iterable[bytes], meta: bytes) -> bytes:
    """Return the fingerprint of a whole document: how it was cut, its vectors in order, its metadata."""
    return fingerprint("document", cut, b"".join(embeds), meta)


def chunk_id(source: str, document: str, chunk: bytes, occurrence: int) -> str:
    """Return the id of a chunk, an UUID: the same text in the same document has the same id for ever.

    occurrence: from 0, tells equal chunks of one document apart. The position is not in it, so a
    paragraph put in front leaves the ids behind it alone.
    """
    return str(uuid.UUID(bytes=fingerprint("id", source, document, chunk, occurrence)[:16], version=5))


def chunk_ids(source: str, document: str, chunks: Sequence[bytes]) -> list[str]:
    """Return the ids of a document's chunks, given their fingerprints in order."""
    seen: dict[bytes, int] = {}
    ids = []
    for chunk in chunks:
        ids.append(chunk_id(source, document, chunk, seen.get(chunk, 0)))
        seen[chunk] = seen.get(chunk, 0) + 1
    return ids


def scan_fp(stamps: Iterable[tuple[str, Stamp | None]]) -> bytes:
    """Return the fingerprint of a listing: ids in order, with what it told of each document."""
    pack, parts = struct.Struct("<Iqqq").pack, []
    for name, stamp in stamps:
        data = name.encode("utf-8", "surrogatepass")
        if stamp is None:
            parts += pack(len(data), -1, -1, -1), data
        else:
            parts += pack(len(data), stamp.size, stamp.mtime_ns, signed(stamp.inode)), data
    return blake2b(b"".join(parts), digest_size=DIGEST_BYTES, person=_PERSON).digest()


def contents_fp(contents: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Return the fingerprint of documents by their bytes: ids in order, each with its source_fp."""
    return fingerprint("contents", *((name, source) for name, source in contents))


def signed(number: int) -> int:
    """Return a 64-bit number as the signed one with the same bits, which is what a database can hold."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
