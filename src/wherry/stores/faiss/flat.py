"""Index files written by us: the file form of FAISS's flat index, and graphs that FAISS builds.

A flat index is a header of 45 bytes (49 under L1) and the vectors as they are, which is why a collection
can be filled by appending to a file and read without loading anything. FAISS has no cosine: such an
index holds unit vectors and compares them by inner product.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wherry.space import Metric
from wherry.stores.base import Index

# A vector whose squared length is this near to 1 is a unit vector already: its bits are left alone.
_UNIT = 1e-6
_WIDE_BYTES = 1 << 20
# Links per node of a graph nobody asked anything of, and what FAISS itself takes for its breadth.
LINKS, BREADTH = 16, 40
_CODES = {Metric.IP: 0, Metric.COSINE: 0, Metric.L2: 1, Metric.L1: 2}
_FOURCC = {Metric.IP: b"IxFI", Metric.COSINE: b"IxFI", Metric.L2: b"IxF2", Metric.L1: b"IxFl"}
_HEADER = struct.Struct("<4siqqq?i")
_DUMMY = 1 << 20


def header(metric: Metric, dimension: int, count: int) -> bytes:
    """Return what comes before the vectors in the file of a flat index."""
    code = _CODES[metric]
    head = _HEADER.pack(_FOURCC[metric], dimension, count, _DUMMY, _DUMMY, True, code)
    argument = struct.pack("<f", 0.0) if code > 1 else b""
    return head + argument + struct.pack("<Q", count * dimension)


def header_bytes(metric: Metric) -> int:
    """Return the length of a flat index's header."""
    return len(header(metric, 1, 0))


def count_in(head: bytes) -> int:
    """Return how many vectors the first bytes of an index file announce."""
    return int(struct.unpack_from("<q", head, 8)[0])


def settled(index: Index) -> Index:
    """Return the index that is built for one that is asked for: a graph or a flat one, nothing left open."""
    if index.kind != "hnsw":
        return Index("flat")
    # With one link per node FAISS divides by the logarithm of 1.
    return Index("hnsw", max(2, index.m or LINKS), index.ef_construction or BREADTH)


def are_unit(vectors: np.ndarray) -> bool:
    """Tell whether all vectors, float32 (n, d), have length 1."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    return bool((np.abs(squares - 1) <= _UNIT).all())


def to_unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, float32 (n, d); zero vectors and those of length 1 stay as they are."""
    found = np.empty(vectors.shape, dtype=np.float32)
    # In pieces: as float64 all of them would take memory that is new each time, which costs more than the arithmetic.
    rows = max(1, _WIDE_BYTES // (8 * max(1, vectors.shape[1])))
    for start in range(0, len(vectors), rows):
        wide = vectors[start : start + rows].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        lengths[(lengths == 0) | (np.abs(lengths * lengths - 1) <= _UNIT)] = 1.0
        np.divide(wide, lengths[:, None], out=wide)
        found[start : start + rows] = wide
    return found


def write_graph(
    path: Path,
    metric: Metric,
    index: Index,
    dimension: int,
    parts: Iterable[np.ndarray],
    begun: tuple[Path, int] | None = None,
) -> None:
    """Build an HNSW index from parts of vectors, float32 (n, d), and write it to `path`.

    begun: a graph of the same kind and how many vectors it holds; `parts` begin with these.
    """
    import faiss

    if begun is None:
        graph, held = faiss.IndexHNSWFlat(dimension, index.m or LINKS, _CODES[metric]), 0
        graph.hnsw.efConstruction = index.ef_construction
    else:
        graph, held = faiss.read_index(str(begun[0])), begun[1]
    for part in parts:
        rest = part[min(held, len(part)) :]
        held -= len(part) - len(rest)
        if len(rest):
            graph.add(np.ascontiguousarray(rest))
    faiss.write_index(graph, str(path))
