"""What a document needs: which chunks stay, which only move or change their metadata, which come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.indexing.fingerprints import DIGEST_BYTES, chunk_ids
from wherry.indexing.preparing import Piece, Prepared


@dataclass(frozen=True)
class Known:
    """A document as the manifest has it; fingerprints of its chunks in order."""

    id: str
    source_fp: bytes | None
    recipe_fp: bytes
    doc_fp: bytes
    chunk_fps: tuple[bytes, ...]
    meta_fps: tuple[bytes, ...]


@dataclass(frozen=True)
class Change:
    """What turns a document of an index into what it should be.

    known: what stands there now, None for a new one; under another id when the document was renamed.
    put: positions of the chunks to add. move: (position before, position after) of chunks that keep their
    vector and change something else. drop: positions, before, of chunks that go.
    """

    document: Prepared
    known: Known | None
    put: tuple[int, ...]
    move: tuple[tuple[int, int], ...]
    drop: tuple[int, ...]
    old_ids: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The word the statistics have for it."""
        if self.known is None:
            return "new"
        if self.known.id != self.document.id:
            return "renamed"
        if self.put or self.drop:
            return "modified"
        return "metadata_only" if self.move else "unchanged"

    @property
    def pieces(self) -> list[Piece]:
        """The chunks to add."""
        return [self.document.pieces[position] for position in self.put]


def split(packed: bytes) -> tuple[bytes, ...]:
    """Return fingerprints that were stored as one value."""
    return tuple(packed[start : start + DIGEST_BYTES] for start in range(0, len(packed), DIGEST_BYTES))


def compare(document: Prepared, known: Known | None) -> Change:
    """Work out what a document needs."""
    if known is None:
        return Change(document, None, tuple(range(len(document.pieces))), (), (), ())
    old_ids = chunk_ids(document.source, known.id, known.chunk_fps)
    before = {key: position for position, key in enumerate(_keys(known.chunk_fps))}
    put, move = [], []
    for position, key in enumerate(_keys([piece.fp for piece in document.pieces])):
        old = before.pop(key, None)
        # A document that is to be mended is written whole: what stands there is not to be relied on.
        if old is None or known.source_fp is None:
            put.append(position)
        elif old != position or not _same(document.pieces[position], old_ids[old], known.meta_fps[old]):
            move.append((old, position))
    return Change(document, known, tuple(put), tuple(move), tuple(sorted(before.values())), tuple(old_ids))


def _same(piece: Piece, old_id: str, old_meta: bytes) -> bool:
    return piece.id == old_id and piece.meta_fp == old_meta


def _keys(prints: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Return (fingerprint, how many equal ones came before) for each chunk."""
    seen: dict[bytes, int] = {}
    keys = []
    for key in prints:
        count = seen.get(key, 0)
        seen[key] = count + 1
        keys.append((key, count))
    return keys
