"""Bars q1 and q2: Qdrant's engine in this process against its own calls in their best batch size."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    Point,
    Record,
    ScrollRequest,
    UpdateOperation,
)

from bench import tables
from bench.chroma import _filled
from bench.measure import Bar, in_turn, per_second, rate_ratios, timed
from wherry.moving.sync import WRITE_ROWS
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

ROWS = 50_000
# A graph of all of them takes a minute of the processor.
GRAPH_ROWS = 10_000
_SIZES = (256, 1_000, 4_000)
_numbers = itertools.count()
# Reading does not look at the graph.
_FLAT, _HNSW = Index("flat"), Index()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Find the engine's best batch size, then measure writing and reading beside it."""
    batch = _filled("qdrant-bench", ROWS)
    size = min(_SIZES, key=lambda n: timed(lambda: _write(folder, batch, n)))
    written = in_turn([lambda: _write(folder, batch, size), lambda: _ours(folder, batch)], rounds)
    part = batch.slice(0, GRAPH_ROWS)
    built = in_turn([lambda: _write(folder, part, size, _HNSW), lambda: _ours(folder, part, _HNSW)], rounds)
    # Both read one folder, settled.
    source = folder / "qdrant-source"
    _ours(folder, batch, _FLAT, source)
    page = min(_SIZES, key=lambda n: timed(lambda: _read(source, n)))
    read = in_turn([lambda: _read(source, page), lambda: _read_ours(source), lambda: _touch(source, page)], rounds)
    touched = f"; native that lets go of each point before the next {per_second(ROWS, read[2])}"
    return [
        _bar("q1", "write: Qdrant's engine / native upsert", ROWS, written, f"batch {size}"),
        _bar("q1g", "write and build: Qdrant's engine / native with optimize", GRAPH_ROWS, built, f"batch {size}"),
        _bar("q2", "read: Qdrant's engine / native scroll", ROWS, read, f"page {page}", touched),
    ]


def _bar(number: str, name: str, rows: int, seconds: list[list[float]], at: str, more: str = "") -> Bar:
    native, ours = seconds[:2]
    shown = f"native {per_second(rows, native)} ({at}), ours {per_second(rows, ours)}{more}"
    return Bar(number, name, 0.8, True, rate_ratios(ours, native), shown)


def _write(folder: Path, batch: pa.RecordBatch, size: int, index: Index | None = None) -> None:
    """Store points the way somebody without Wherry does: numbers for ids, text and metadata as payload.

    index: the graph is built, None = it is left for later, as it is by `upsert` itself.
    """
    path = folder / f"qdrant-{next(_numbers)}"
    path.mkdir(parents=True)
    config = EdgeConfig(vectors=EdgeVectorParams(size=tables.DIMENSION, distance=Distance.Euclid))
    shard = EdgeShard.create(str(path), config)
    for start in range(0, batch.num_rows, size):
        part = batch.slice(start, size)
        texts, metadata = part.column("text").to_pylist(), part.column("metadata").to_pylist()
        points = [
            Point(start + n, vector, {"text": text, **orjson.loads(values)})
            for n, (vector, text, values) in enumerate(zip(vectors_of(part).tolist(), texts, metadata, strict=True))
        ]
        shard.update(UpdateOperation.upsert_points(points))
    if index is not None:
        shard.optimize()
    shard.flush()
    shard.close()
    shutil.rmtree(path)


def _ours(folder: Path, batch: pa.RecordBatch, index: Index | None = None, keep: Path | None = None) -> None:
    """Store records, on the disk when this returns: closing a shard flushes it."""
    path = keep or folder / f"qdrant-{next(_numbers)}"
    store = open_target(f"qdrant:{path}#bench")
    space = Space(tables.DIMENSION, Metric.L2)
    store.prepare(space, index or _HNSW, batch.num_rows)
    for start in range(0, batch.num_rows, WRITE_ROWS):
        store.upsert(batch.slice(start, WRITE_ROWS), absent=True)
    if index is not None:
        store.finish(space, index)
    store.close()
    if keep is None:
        shutil.rmtree(path)


def _read(path: Path, page: int) -> None:
    """Read pages whose ids, vectors and payloads are all at hand, as those of a scan are."""
    for records in _pages(path, page):
        assert [(record.id, record.vector, record.payload) for record in records]


def _touch(path: Path, page: int) -> None:
    for records in _pages(path, page):
        for record in records:
            assert record.id is not None
            assert record.vector
            assert record.payload


def _pages(path: Path, page: int) -> Iterator[list[Record]]:
    shard = EdgeShard.load(str(path / "bench"))
    following = None
    while True:
        records, following = shard.scroll(
            ScrollRequest(offset=following, limit=page, with_payload=True, with_vector=True)
        )
        yield records
        if following is None:
            break
    shard.close()


def _read_ours(path: Path) -> None:
    store = open_source(f"qdrant:{path}#bench")
    for found in store.scan():
        assert found.records.num_rows
    store.close()
