"""The process that loads index files: limited in memory and time, without the right to write a file.

`python child.py COMMANDS REPLIES FILE BYTES`, three inherited descriptors and the file's size. It is run as
a script and imports nothing of Wherry. Every command is a line of JSON, followed by raw bytes for `search`;
every reply is a line of JSON (`bytes` says how many raw bytes follow). A file made to break FAISS ends this
process, and nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

_GIB = 1 << 30
# Importing FAISS and its linear algebra takes about this much address space, whatever is read then.
_BASE_BYTES, _PER_BYTE = 2 * _GIB, 8
_BASE_SECONDS, _BYTES_PER_SECOND = 60, 20 << 20
# FAISS names metrics by number; these have a counterpart.
METRICS = {0: "ip", 1: "l2", 2: "l1"}
_EXACT_NAMES = ("IndexFlat", "IndexHNSWFlat", "IndexNSGFlat", "IndexIVFFlat")


def main() -> None:
    """Load the index, tell what it is, then answer until the commands end."""
    commands, replies, file, size = (int(argument) for argument in sys.argv[1:5])
    _limit(size)
    source, sink = os.fdopen(commands, "rb"), os.fdopen(replies, "wb")
    try:
        loaded: Loaded | None = Loaded(f"/dev/fd/{file}")
        first: dict[str, Any] = loaded.facts()
    except (RuntimeError, MemoryError, ValueError, OverflowError) as error:
        loaded, first = None, {"error": type(error).__name__, "detail": str(error)}
    _say(sink, first)
    # From here on time is spent on answers, however long somebody goes on asking.
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while loaded is not None and (line := source.readline()):
        order = json.loads(line)
        data = np.ascontiguousarray(loaded.answer(order, source.read(order.get("bytes", 0))))
        _say(sink, {"bytes": data.nbytes})
        sink.write(data.data.cast("B") if data.size else b"")
        sink.flush()


def _limit(size: int) -> None:
    """Bound address space and time by the size of the file; allow no file to be written, no core to be left."""
    memory = max(_BASE_BYTES, min(_BASE_BYTES + _PER_BYTE * size, _machine_bytes()))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    seconds = _BASE_SECONDS + size // _BYTES_PER_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _say(sink: Any, reply: dict[str, Any]) -> None:
    sink.write(json.dumps(reply).encode() + b"\n")
    sink.flush()


def _may_be_mapped(path: str) -> bool:
    """Tell whether a file is of a kind that FAISS reads as carefully from mapped memory as it else does.

    Numbers of several bytes at the end of a mapped file may be cut, and FAISS 1.15 takes them for whole.
    """
    with Path(path).open("rb") as file:
        return file.read(4) in (b"IxF2", b"IxFI", b"IxFl", b"IHNf")


class Loaded:
    """An index file that FAISS has read, and the numbered rows of its vectors.

    The rows of an inverted file are those of its lists, one list after the other; their labels are the
    numbers FAISS calls them by.
    """

    def __init__(self, path: str) -> None:
        import faiss

        self.faiss = faiss
        self.whole = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC if _may_be_mapped(path) else 0)
        self.layers: list[str] = []
        # What vectors went through before they were stored, and what has to be asked in a search.
        self.chain: list[Any] = []
        self.searched = self.whole
        self.index, self.labels = self._unwrapped(self.whole)
        self.order = self.sorted = np.empty(0, dtype=np.int64)
        self.lists = self._lists() if isinstance(self.index, faiss.IndexIVF) else None
        if self.lists is not None:
            self.labels = self._through(self.labels)
        held = int(self.index.ntotal) if self.lists is None else int(self.lists[-1])
        if self.labels is not None and len(self.labels) != held:
            raise ValueError(f"{held} vectors, {len(self.labels)} ids")
        if self.lists is not None and held != self.index.ntotal:
            raise ValueError(f"{self.index.ntotal} vectors are announced, {held} are in the lists")
        self.rows = held
        # What cannot be read shall be told now, not at the first page.
        self.vectors(0, min(1, held))

    def _unwrapped(self, index: Any) -> tuple[Any, np.ndarray | None]:
        """Return the index that holds the vectors, and the ids a map gives them."""
        labels, faiss = None, self.faiss
        while True:
            self.layers.append(type(index).__name__)
            if isinstance(index, (faiss.IndexIDMap, faiss.IndexIDMap2)) and labels is None and not self.chain:
                labels = faiss.vector_to_array(index.id_map).copy()
                index = self.searched = faiss.downcast_index(index.index)
            elif isinstance(index, faiss.IndexRefineFlat):
                index = self.searched = faiss.downcast_index(index.refine_index)
            elif isinstance(index, faiss.IndexPreTransform):
                steps = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
                self.chain += steps
                index = faiss.downcast_index(index.index)
            else:
                break
        if isinstance(index, (faiss.IndexIVFFastScan, faiss.IndexIDMap, faiss.IndexIDMap2)):
            # FAISS 1.15 ends the process when it is asked for the vectors of the first; nobody makes the others.
            raise RuntimeError("reconstruction is not implemented for this type of index")
        return index, labels

    def _lists(self) -> np.ndarray:
        """Return where each inverted list begins, and the number of rows at the end."""
        lists = self.index.invlists
        return np.cumsum([0, *(lists.list_size(number) for number in range(lists.nlist))], dtype=np.int64)

    def _through(self, outer: np.ndarray | None) -> np.ndarray:
        """Return the ids stored in the lists, row by row; the ids of a map around it replace positions."""
        invlists, faiss = self.index.invlists, self.faiss
        stored = [
            faiss.rev_swig_ptr(invlists.get_ids(number), invlists.list_size(number)).copy()
            for number in range(invlists.nlist)
            if invlists.list_size(number)
        ]
        labels = np.concatenate(stored) if stored else np.empty(0, dtype=np.int64)
        self.order = np.argsort(labels, kind="stable")
        self.sorted = labels[self.order]
        if outer is None:
            return labels
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(outer)):
            raise ValueError("the lists name positions that the ids do not have")
        mapped: np.ndarray = outer[labels]
        return mapped

    def facts(self) -> dict[str, Any]:
        """Tell what the index is."""
        index, whole = self.index, self.whole
        hnsw = getattr(index, "hnsw", None)
        kinds = [*(type(step).__name__ for step in self.chain), self._codec(index)]
        codec = " + ".join(kind for kind in kinds if kind) or None
        return {
            "layers": self.layers,
            "rows": self.rows,
            "dimension": int(whole.d),
            "metric": METRICS.get(int(whole.metric_type)),
            "metric_number": int(whole.metric_type),
            "labelled": self.labels is not None,
            "exact": codec is None,
            "codec": codec,
            "half": not self.chain and self._is_half(index),
            "lists": None if self.lists is None else len(self.lists) - 1,
            "m": None if hnsw is None else int(hnsw.nb_neighbors(1)),
            "ef_construction": None if hnsw is None else int(hnsw.efConstruction),
        }

    def _codec(self, index: Any) -> str | None:
        """Name what the vectors went through, None when they are as they came."""
        if (storage := getattr(index, "storage", None)) is not None:
            return self._codec(self.faiss.downcast_index(storage))
        name = type(index).__name__
        if name.startswith(_EXACT_NAMES) and not name.endswith(("Panorama", "SQ", "Dedup")):
            return None
        if (sq := getattr(index, "sq", None)) is not None:
            return f"{name}, {sq.bits} bits per component"
        if (pq := getattr(index, "pq", None)) is not None:
            return f"{name}, {pq.M} codes of {pq.nbits} bits"
        return f"{name}, {self._code_size(index)} bytes per vector"

    @staticmethod
    def _code_size(index: Any) -> int:
        return int(getattr(index, "code_size", 0) or index.sa_code_size())

    def _is_half(self, index: Any) -> bool:
        sq = getattr(index, "sq", None)
        return sq is not None and int(sq.qtype) == int(self.faiss.ScalarQuantizer.QT_fp16)

    def answer(self, order: dict[str, Any], data: bytes) -> np.ndarray:
        """Carry out one command; its reply is an array."""
        if order["do"] == "vectors":
            return self.vectors(order["first"], order["rows"])
        if order["do"] == "take":
            rows = np.frombuffer(data, dtype=np.int64)
            return np.concatenate([self.vectors(int(row), 1) for row in rows])
        if order["do"] == "labels":
            labels = np.arange(self.rows) if self.labels is None else self.labels
            return labels[order["first"] : order["first"] + order["rows"]].astype(np.int64)
        return self.search(np.frombuffer(data, dtype=np.float32), order["k"], order["exact"])

    def vectors(self, first: int, rows: int) -> np.ndarray:
        """Return vectors as float32, shape (rows, d)."""
        found = self._stored(first, rows)
        for step in reversed(self.chain):
            # Several at once are rounded differently, depending on how many they are.
            found = np.array([step.reverse_transform(row[None])[0] for row in found], dtype=np.float32)
            found = found.reshape(rows, step.d_in)
        return found

    def _stored(self, first: int, rows: int) -> np.ndarray:
        """Return vectors as the innermost index has them."""
        if self.lists is None:
            return np.asarray(self.index.reconstruct_n(first, rows))
        parts, row, end = [np.empty((0, self.index.d), dtype=np.float32)], first, first + rows
        while row < end:
            number = int(np.searchsorted(self.lists, row, side="right")) - 1
            stop = min(end, int(self.lists[number + 1]))
            parts.append(self._decoded(number, row - int(self.lists[number]), stop - row))
            row = stop
        return np.concatenate(parts)

    def _decoded(self, number: int, offset: int, rows: int) -> np.ndarray:
        """Return some vectors of one inverted list."""
        index, faiss = self.index, self.faiss
        width, size = index.code_size, index.invlists.list_size(number)
        codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * width).reshape(size, width)
        part, lists = np.ascontiguousarray(codes[offset : offset + rows]), np.full(rows, number, dtype=np.int64)
        vectors = np.empty((rows, index.d), dtype=np.float32)
        index.decode_vectors(rows, faiss.swig_ptr(part), faiss.swig_ptr(lists), faiss.swig_ptr(vectors))
        return vectors

    def search(self, vector: np.ndarray, k: int, exact: bool) -> np.ndarray:
        """Return the rows of the k vectors that the index thinks nearest, nearest first, int64."""
        query, index, asked = vector.reshape(1, -1), self.index, self.searched
        if self.lists is not None:
            index.nprobe = len(self.lists) - 1 if exact else max(16, (len(self.lists) - 1) // 8)
            _, found = asked.search(query, k)
            return self._rows_of(found[0][found[0] >= 0])
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = max(64, 2 * k)
            if exact and not self.chain:
                asked = self.faiss.downcast_index(index.storage)
        _, found = asked.search(query, k)
        return found[0][found[0] >= 0]

    def _rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the rows of vectors by the numbers that the lists have for them."""
        rows: np.ndarray = self.order[np.searchsorted(self.sorted, numbers)]
        return rows


if __name__ == "__main__":
    main()
