"""Bars f1 to f3: into a FAISS collection against FAISS's own `add` and `write_index`, out of it against its reading.

The store is measured: staging, index, sidecar, checksums, read-back of the files. What a whole sync takes (ledger
and value-by-value read-back besides) stands in the details.

The native way does what somebody without Wherry does: `add`, `write_index`, a Parquet file with ids, texts and
metadata; then `read_index`, `reconstruct_n` and reading the Parquet file. Both ways end on the disk (fsync).
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import wherry
from bench import tables
from bench.measure import Bar, in_turn, per_second, rate_ratios
from wherry.record import make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

ROWS, GRAPH_ROWS, BATCH = 200_000, 20_000, 4096
WORDS = (
    "공복혈당",
    "검진",
    "결과표",
    "금식",
    "혈압",
    "수치",
    "간",
    "의사",
    "정상",
    "범위",
    "물",
    "전날",
    "건강",
    "안내",
)
GRAPH = Index("hnsw", 16, 40)
_numbers = itertools.count()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure a flat index both ways, and the writing of a graph."""
    batch = _records(ROWS)
    natively, ours = in_turn([lambda: _native(folder, batch), lambda: _ours(folder, batch)], rounds)
    _native(folder / "native", batch, keep=True)
    _ours(folder / "ours", batch, keep=True)
    read_natively, read = in_turn([lambda: _read_native(folder / "native"), lambda: _read(folder / "ours")], rounds)
    small = _records(GRAPH_ROWS)
    _remember(small)
    graph, ours_graph, synced = in_turn(
        [lambda: _native(folder, small, GRAPH), lambda: _ours(folder, small, index=GRAPH), lambda: _sync(folder)],
        rounds,
    )
    shown = f"native {per_second(ROWS, natively)}, ours {per_second(ROWS, ours)}"
    out = f"native {per_second(ROWS, read_natively)}, ours {per_second(ROWS, read)}"
    whole = f"native {per_second(GRAPH_ROWS, graph)}, ours {per_second(GRAPH_ROWS, ours_graph)}"
    whole += f", memory -> FAISS with read-back {per_second(GRAPH_ROWS, synced)}"
    return [
        Bar(
            "f1", "write: flat index / native add, write_index, Parquet", 0.8, True, rate_ratios(ours, natively), shown
        ),
        Bar("f2", "read: flat index / native read_index, Parquet", 0.8, True, rate_ratios(read, read_natively), out),
        Bar(
            "f3",
            "write: HNSW graph / native add, write_index, Parquet",
            0.8,
            True,
            rate_ratios(ours_graph, graph),
            whole,
        ),
    ]


def _records(rows: int) -> pa.RecordBatch:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((rows, tables.DIMENSION)).astype(np.float32)
    words = np.array([f"{word}{end}" for word in WORDS for end in ("은", "이", "을", "에서", "보다")])
    texts = words[rng.integers(0, len(words), (rows, 20))]
    return make_batch(
        [f"rec-{i:08d}" for i in range(rows)],
        vectors,
        [" ".join(row) for row in texts.tolist()],
        [f'{{"source": "guide_{i % 97}.pdf", "page": {i % 40}, "score": 0.25}}' for i in range(rows)],
    )


def _remember(batch: pa.RecordBatch) -> None:
    store = open_target("memory:#bench-faiss")
    store.prepare(Space(tables.DIMENSION, Metric.L2), GRAPH, batch.num_rows)
    store.upsert(batch)


def _native(folder: Path, batch: pa.RecordBatch, index: Index | None = None, keep: bool = False) -> None:
    path = folder if keep else folder / f"native-{next(_numbers)}"
    path.mkdir(parents=True)
    held = faiss.IndexFlatL2(tables.DIMENSION) if index is None else faiss.IndexHNSWFlat(tables.DIMENSION, index.m)
    vectors = vectors_of(batch)
    for start in range(0, len(vectors), BATCH):
        held.add(vectors[start : start + BATCH])
    faiss.write_index(held, str(path / "index.faiss"))
    pq.write_table(pa.Table.from_batches([batch.select(["id", "text", "metadata"])]), path / "records.parquet")
    for name in ("index.faiss", "records.parquet"):
        descriptor = os.open(path / name, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    if not keep:
        shutil.rmtree(path)


def _ours(folder: Path, batch: pa.RecordBatch, keep: bool = False, index: Index = Index()) -> None:  # noqa: B008
    path = folder if keep else folder / f"ours-{next(_numbers)}"
    store = open_target(f"faiss:{path}#bench")
    space = Space(tables.DIMENSION, Metric.L2)
    store.prepare(space, index, batch.num_rows)
    for start in range(0, batch.num_rows, BATCH):
        store.upsert(batch.slice(start, BATCH), absent=True)
    store.finish(space, index)
    store.close()
    if not keep:
        shutil.rmtree(path)


def _read_native(path: Path) -> None:
    held = faiss.read_index(str(path / "index.faiss"))
    for start in range(0, held.ntotal, BATCH):
        held.reconstruct_n(start, min(BATCH, held.ntotal - start))
    for _ in pq.ParquetFile(path / "records.parquet").iter_batches(BATCH):
        pass


def _read(path: Path) -> None:
    source = open_source(f"faiss:{path}#bench")
    read = sum(page.records.num_rows for page in source.scan())
    source.close()
    if read != ROWS:
        raise RuntimeError(f"{read} of {ROWS} records were read")


def _sync(folder: Path) -> None:
    path = folder / f"sync-{next(_numbers)}"
    result = wherry.sync("memory:#bench-faiss", f"faiss:{path}#bench")
    if result.written != GRAPH_ROWS or not result.equal:
        raise RuntimeError(f"{result.written} of {GRAPH_ROWS} records were written, equal: {result.equal}")
    shutil.rmtree(path)
