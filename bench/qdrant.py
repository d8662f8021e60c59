"""Bars q1 and q2: Qdrant's engine in this process against its own calls in their best batch size, without an index."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import orjson
import pyarrow as pa
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    Point,
    ScrollRequest,
    UpdateOperation,
)

from bench import tables
from bench.chroma import _filled
from bench.measure import Bar, in_turn, per_second, rate_ratios, timed
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

ROWS = 50_000
_SIZES = (256, 1_000, 4_000)
_numbers = itertools.count()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Find the engine's best batch size, then measure writing and reading beside it."""
    batch = _filled("qdrant-bench", ROWS)
    size = min(_SIZES, key=lambda n: timed(lambda: _write(folder, batch, n)))
    native, ours = in_turn([lambda: _write(folder, batch, size), lambda: _ours(folder, batch)], rounds)
    one, other = folder / "qdrant-native", folder / "qdrant-ours"
    _write(folder, batch, size, one)
    _ours(folder, batch, other)
    page = min(_SIZES, key=lambda n: timed(lambda: _read(one, n)))
    out, read = in_turn([lambda: _read(one, page), lambda: _read_ours(other)], rounds)
    shown = f"native {per_second(ROWS, native)} (batch {size}), ours {per_second(ROWS, ours)}"
    back = f"native {per_second(ROWS, out)} (page {page}), ours {per_second(ROWS, read)}"
    return [
        Bar("q1", "write: Qdrant's engine / native upsert", 0.8, True, rate_ratios(ours, native), shown),
        Bar("q2", "read: Qdrant's engine / native scroll", 0.8, True, rate_ratios(read, out), back),
    ]


def _write(folder: Path, batch: pa.RecordBatch, size: int, keep: Path | None = None) -> None:
    """Store points the way somebody without Wherry does: numbers for ids, text and metadata as payload."""
    path = keep or folder / f"qdrant-{next(_numbers)}"
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
    shard.flush()
    shard.close()
    if keep is None:
        shutil.rmtree(path)


def _ours(folder: Path, batch: pa.RecordBatch, keep: Path | None = None) -> None:
    path = keep or folder / f"qdrant-{next(_numbers)}"
    store = open_target(f"qdrant:{path}#bench")
    space = Space(tables.DIMENSION, Metric.L2)
    store.prepare(space, Index(), batch.num_rows)
    for start in range(0, batch.num_rows, 2048):
        store.upsert(batch.slice(start, 2048), absent=True)
    store.finish(space, Index())
    store.close()
    if keep is None:
        shutil.rmtree(path)


def _read(path: Path, page: int) -> None:
    shard = EdgeShard.load(str(path))
    following = None
    while True:
        records, following = shard.scroll(
            ScrollRequest(offset=following, limit=page, with_payload=True, with_vector=True)
        )
        for record in records:
            assert record.vector is not None
        if following is None:
            break
    shard.close()


def _read_ours(path: Path) -> None:
    store = open_source(f"qdrant:{path}#bench")
    for found in store.scan():
        assert found.records.num_rows
    store.close()
