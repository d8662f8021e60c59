"""From a listed document to chunks that are ready to be compared, embedded and stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from wherry.errors import BadRecord
from wherry.indexing import fingerprints
from wherry.indexing.base import Chunk, Chunker, Document, Listed, Stamp


@dataclass(frozen=True)
class Piece:
    """A chunk on its way into a collection. metadata: JSON text. fp, meta_fp: fingerprints of text and metadata."""

    id: str
    text: str
    metadata: str
    fp: bytes
    meta_fp: bytes


@dataclass(frozen=True)
class Prepared:
    """A document that was read and cut. stamp: None where only reading tells whether it changed."""

    id: str
    source: str
    stamp: Stamp | None
    source_fp: bytes
    recipe_fp: bytes
    doc_fp: bytes
    pieces: tuple[Piece, ...]


def prepare(
    source: str, chunker: Chunker, recipe: bytes, item: Listed, data: bytes, stamp: Stamp | None, settings: bytes
) -> Prepared:
    """Parse and cut a document.

    source: its name. recipe: the fingerprint of parser and chunker. data: its bytes. settings: the fingerprint of
    the model's settings. Raises BadRecord for a document that cannot be parsed or holds what no collection can.
    """
    document = item.read(data)
    if document.id != item.id:
        raise BadRecord(f"the document calls itself {document.id!r}", where=item.id)
    chunks = chunker.cut(document)
    content = fingerprints.source_fp(data)
    pieces = _pieces(source, document, chunks)
    embeds = [fingerprints.embed_fp(piece.fp, settings) for piece in pieces]
    meta = fingerprints.fingerprint("metas", *(piece.meta_fp for piece in pieces))
    whole = fingerprints.doc_fp(fingerprints.cut_fp(content, recipe), embeds, meta)
    return Prepared(item.id, source, stamp, content, recipe, whole, pieces)


def _pieces(source: str, document: Document, chunks: list[Chunk]) -> tuple[Piece, ...]:
    prints = [fingerprints.chunk_fp(chunk.text) for chunk in chunks]
    ids = fingerprints.chunk_ids(source, document.id, prints)
    found = []
    for chunk, key, name in zip(chunks, prints, ids, strict=True):
        metadata = _metadata(document, chunk)
        text = _json(metadata, document.id)
        _require_storable(chunk.text, text, document.id)
        found.append(Piece(name, chunk.text, text, key, fingerprints.meta_fp(metadata)))
    return tuple(found)


def _metadata(document: Document, chunk: Chunk) -> dict[str, Any]:
    """Return what a chunk knows of itself; what the document's own metadata says goes before."""
    own: dict[str, Any] = {
        "source": document.id, "title": document.title, "headings": list(chunk.headings) or None, "page": chunk.page,
        "chunk": chunk.ordinal, "start": chunk.start, "end": chunk.end,
    }  # fmt: skip
    known = {key: value for key, value in own.items() if value is not None}
    given = {**document.metadata, **chunk.metadata}
    # A document may call something else its source; which document a chunk is of must still be told.
    told = {"document": document.id} if given.get("source", document.id) != document.id else {}
    return {**known, **told, **given}


def _json(metadata: dict[str, Any], document: str) -> str:
    try:
        return orjson.dumps(metadata).decode()
    except TypeError as error:
        raise BadRecord(f"the metadata is no JSON: {error}", where=document) from None


def _require_storable(text: str, metadata: str, document: str) -> None:
    if "\x00" in text or "\\u0000" in metadata:
        raise BadRecord("the text or the metadata holds U+0000, which no database takes", where=document)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRecord("the text holds half of a surrogate pair, which is no character", where=document) from None
