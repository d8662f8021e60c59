"""An embedder that needs no model, no key and no network: hashed character n-grams.

It knows spelling, not meaning: two texts are near when they share pieces of words. For Korean that
already bridges endings and spacing (`공복 혈당이` and `공복혈당은` share most of their pieces). The
same text gives the same float32 bits on every machine: counting is done in whole numbers, and only
one square root and one division, both exactly rounded everywhere, follow.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import xxhash

from wherry.errors import BadAddress, BadRecord
from wherry.space import Metric, Space

# Whoever changes what a text turns into raises this: vectors of two versions must never be compared.
VERSION = 1
SIZES = (2, 3)
_SPACE = ord(" ")
# Three code points of 21 bits fill 63 bits; the top bit tells a pair from a triple.
_BITS = 21
_PAIR = np.uint64(1 << 63)
# A piece inside a word counts two halves and a piece across two words one: spacing is a weak hint.
_INSIDE, _ACROSS = 2, 1
# Weights are whole numbers, so that sums do not depend on the order in which a machine adds.
_SCALE = 1024
_GROUP_CHARACTERS = 1 << 17
_GROUP_CELLS = 1 << 21


class HashEmbedder:
    """Embeds texts as signed, hashed character n-grams with sublinear counts and unit length.

    dimension: components per vector, at least 1; fewer mean more pieces that share one component.
    """

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise BadAddress(f"an embedder cannot have {dimension} dimensions", next="use hash:1024")
        self.dimension = dimension

    @property
    def spec(self) -> str:
        """Return the spec it is opened by: `hash:1024`."""
        return f"hash:{self.dimension}"

    def space(self) -> Space:
        """Return the card of the vectors this embedder makes."""
        return Space(
            dimension=self.dimension,
            metric=Metric.COSINE,
            provider="hash",
            model=self.spec,
            model_digest=f"chars-{'-'.join(map(str, SIZES))}-xxh3-v{VERSION}",
            normalised=True,
        )

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit vector per text: float32, shape (n, dimension).

        Raises BadRecord, naming the position but never the text, when a text is empty or not Unicode.
        """
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start, points in self._groups(texts):
            vectors[start : start + len(points)] = self._embed(points)
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        """Return the unit vector of a question, which is embedded as a document is: float32, shape (dimension,)."""
        return self.embed([text])[0]

    def close(self) -> None:
        """Release nothing: there is no connection."""

    def _groups(self, texts: Sequence[str]) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Cut the texts into groups of bounded memory: (position of the first, code points of each)."""
        most = max(1, _GROUP_CELLS // self.dimension)
        held: list[np.ndarray] = []
        size = 0
        for position, text in enumerate(texts):
            held.append(_points(text, position))
            size += len(held[-1])
            if size >= _GROUP_CHARACTERS or len(held) == most or position + 1 == len(texts):
                yield position + 1 - len(held), held
                held, size = [], 0

    def _embed(self, points: list[np.ndarray]) -> np.ndarray:
        """Embed texts given as code points: float32, shape (texts, dimension)."""
        rows, hashes, halves = _counted(points)
        weights = np.rint(_SCALE * np.log1p(halves / 2))
        signs = (hashes & np.uint64(1)).astype(np.float64) * 2 - 1
        buckets = ((hashes >> np.uint64(1)) % np.uint64(self.dimension)).astype(np.int64)
        cells = rows * self.dimension + buckets
        sums = self._sums(cells, weights * signs, len(points))
        lost = ~sums.any(axis=1)
        if lost.any():
            # In few buckets everything can cancel out, and a zero vector has no direction.
            sums[lost] = self._sums(cells, weights, len(points))[lost]
        lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums).astype(np.float64))
        return (sums / lengths[:, None]).astype(np.float32)

    def _sums(self, cells: np.ndarray, weights: np.ndarray, rows: int) -> np.ndarray:
        """Add up whole-numbered weights by cell: int64, shape (rows, dimension)."""
        flat = np.bincount(cells, weights, minlength=rows * self.dimension)
        return flat.astype(np.int64).reshape(rows, self.dimension)


class _Separators(dict[int, int]):
    """For str.translate: what stands between words becomes a space, every letter stays itself."""

    def __missing__(self, point: int) -> int:
        category = unicodedata.category(chr(point))
        # Vowel signs of many scripts are marks, not letters, so the separators are named instead.
        self[point] = _SPACE if category[0] in "PSZ" or category in ("Cc", "Cf") else point
        return self[point]


_SEPARATORS = _Separators()


def _points(text: str, position: int) -> np.ndarray:
    """Return the words of a text as code points (uint64), each word behind one space."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    # A text of nothing but punctuation is still a text: then its marks are the words.
    words = folded.translate(_SEPARATORS).split() or folded.split()
    if not words:
        raise BadRecord(f"text {position} is empty and cannot be embedded", next="leave out empty texts")
    try:
        encoded = (" " + " ".join(words)).encode("utf-32-le")
    except UnicodeEncodeError:
        raise BadRecord(f"text {position} holds lone surrogates, which are not Unicode") from None
    return np.frombuffer(encoded, dtype="<u4").astype(np.uint64)


def _counted(points: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pieces of each text: (row, hash, halves), one entry per distinct piece of a text."""
    row, gram, halves = _pieces(points)
    distinct, which = np.unique(gram, return_inverse=True)
    pairs, place = np.unique(row * len(distinct) + which, return_inverse=True)
    counted = np.bincount(place, halves)
    rows, kinds = np.divmod(pairs, len(distinct))
    return rows, _hashes(distinct)[kinds], counted


def _pieces(points: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List every piece of every text: (row, packed piece, halves it counts)."""
    spaced = np.concatenate(points)
    owner = np.repeat(np.arange(len(points)), [len(p) for p in points])
    gap = spaced == _SPACE
    word = np.cumsum(gap)[~gap]
    dense, dense_owner = spaced[~gap], owner[~gap]
    found = []
    for size in SIZES:
        # The space in front of a word is part of its first pieces; a later space ends the word.
        inside = ~np.any([_shifted(gap, n, size) for n in range(1, size)], axis=0)
        found.append((_shifted(owner, 0, size)[inside], _packed(spaced, size)[inside], _INSIDE))
        across = _shifted(word, 0, size) != _shifted(word, size - 1, size)
        across &= _shifted(dense_owner, 0, size) == _shifted(dense_owner, size - 1, size)
        found.append((_shifted(dense_owner, 0, size)[across], _packed(dense, size)[across], _ACROSS))
    row, gram = (np.concatenate([part[n] for part in found]) for n in (0, 1))
    return row, gram, np.repeat([part[2] for part in found], [len(part[0]) for part in found])


def _shifted(values: np.ndarray, offset: int, size: int) -> np.ndarray:
    """Return element `offset` of every window of `size` neighbours."""
    return values[offset : max(offset, len(values) - size + 1 + offset)]


def _packed(points: np.ndarray, size: int) -> np.ndarray:
    """Return every window of `size` code points as one integer."""
    packed = np.full(max(0, len(points) - size + 1), _PAIR if size == 2 else 0, dtype=np.uint64)
    for offset in range(size):
        packed |= _shifted(points, offset, size) << np.uint64(_BITS * offset)
    return packed


def _hashes(grams: np.ndarray) -> np.ndarray:
    """Return the XXH3 of each packed piece, taken over its eight bytes in little-endian order."""
    data, digest = grams.astype("<u8").tobytes(), xxhash.xxh3_64_intdigest
    return np.array([digest(data[i : i + 8]) for i in range(0, len(data), 8)], dtype=np.uint64)
