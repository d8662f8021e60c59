"""Bar 2: into Chroma against its own `add`, out of Chroma against its own `get`."""

from __future__ import annotations

import itertools
from pathlib import Path

import chromadb
import numpy as np
import orjson
from chromadb.config import Settings

import wherry
from bench import tables
from bench.measure import Bar, in_turn, per_second, rate_ratios, timed
from bench.pg_copy import TARGET, fresh
from wherry.record import make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index, Writable
from wherry.stores.registry import open_target

ROWS = 30_000
TABLE = "bench_chroma"
_SIZES = (500, 1_000, 2_500, 5_000)
# Reading by id looks at no links of the graph: a thin one is built in a fifth of the time.
_THIN = Index("hnsw", m=4, ef_construction=8)
_SPACE = Space(tables.DIMENSION, Metric.L2)
_numbers = itertools.count()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure both directions beside Chroma's own calls in their best batch size."""
    # Out first: what writing leaves in a process that wrote a dozen collections is nothing a copy would meet.
    out = _out_of(folder, rows, rounds)
    return [*_into_it(folder, rounds), out]


def _into_it(folder: Path, rounds: int) -> list[Bar]:
    batch = _filled("bench", ROWS)
    _archive(folder)
    _into("memory:#bench", TABLE)
    few = batch.slice(0, max(_SIZES))
    size = min(_SIZES, key=lambda n: timed(lambda: _add(folder, few, n)))
    add, from_pg, from_archive = in_turn(
        [
            lambda: _add(folder, batch, size),
            lambda: _sync(f"pgvector:#{TABLE}", folder),
            lambda: _sync(str(folder / "bench.parquet"), folder),
        ],
        rounds,
    )
    shown = f"add {per_second(ROWS, add)} (best batch {size}), pg {per_second(ROWS, from_pg)}"
    shown += f", archive {per_second(ROWS, from_archive)}"
    return [
        Bar("2a", "pg -> Chroma / native collection.add", 0.95, True, rate_ratios(from_pg, add), shown),
        Bar("2b", "archive -> Chroma / native collection.add", 0.95, True, rate_ratios(from_archive, add), shown),
    ]


def _out_of(folder: Path, rows: int, rounds: int) -> Bar:
    source = f"chroma:{folder / 'chroma-source'}#bench"
    _fill(source, rows)
    page = min(_SIZES, key=lambda n: timed(lambda: _get(folder / "chroma-source", n)))
    get, out = in_turn([lambda: _get(folder / "chroma-source", page), lambda: _out(source)], rounds)
    shown = f"get {per_second(rows, get)} (best page {page}), Chroma -> pg {per_second(rows, out)}, no index"
    return Bar("2c", "Chroma -> pg / native collection.get", 0.9, True, rate_ratios(out, get), shown)


def _filled(name: str, rows: int):  # type: ignore[no-untyped-def]
    batch = _made(rows)
    store = open_target(f"memory:#{name}")
    store.prepare(_SPACE, Index(), rows)
    store.upsert(batch)
    return batch


def _fill(address: str, rows: int) -> None:
    """Bring records into a collection, beneath a graph that nobody searches."""
    batch = _made(rows)
    store = open_target(address)
    try:
        store.prepare(_SPACE, _THIN, rows)
        for start in range(0, rows, max(_SIZES)):
            store.upsert(batch.slice(start, max(_SIZES)), absent=True)
        store.finish(_SPACE, _THIN)
    finally:
        store.close()


def _made(rows: int):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((rows, tables.DIMENSION)).astype(np.float32)
    return make_batch(
        [f"rec-{i:08d}" for i in range(rows)],
        vectors,
        [f"건강검진 결과를 읽는 법 {i}" for i in range(rows)],
        [f'{{"source": "guide_{i % 97}.pdf", "page": {i % 40}, "score": 0.25}}' for i in range(rows)],
    )


def _archive(folder: Path) -> None:
    wherry.sync("memory:#bench", str(folder / "bench.parquet"))


def _add(folder: Path, batch, size: int) -> None:  # type: ignore[no-untyped-def]
    client = _client(folder / f"chroma-{next(_numbers)}")
    collection = client.create_collection("bench", configuration={"hnsw": {"space": "l2"}}, embedding_function=None)
    for start in range(0, batch.num_rows, size):
        part = batch.slice(start, size)
        collection.add(
            ids=part.column("id").to_pylist(),
            embeddings=vectors_of(part),
            documents=part.column("text").to_pylist(),
            metadatas=[orjson.loads(text) for text in part.column("metadata").to_pylist()],
        )
    client.close()


def _sync(source: str, folder: Path) -> None:
    result = wherry.sync(source, f"chroma:{folder / f'chroma-{next(_numbers)}'}#bench", level="counted")
    if result.written != ROWS:
        raise RuntimeError(f"{result.written} of {ROWS} records were written")


def _get(path: Path, page: int) -> None:
    collection = _client(path).get_collection("bench", embedding_function=None)
    ids = collection.get(include=[])["ids"]
    for start in range(0, len(ids), page):
        collection.get(ids=ids[start : start + page], include=["embeddings", "documents", "metadatas"])


class _WithoutIndex:
    """A target whose vector index is left for later: reading does not build one either."""

    def __init__(self, store: Writable) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def finish(self, space: Space, index: Index) -> None:
        """Finish, with no index wanted."""
        self._store.finish(space, Index())


def _out(source: str) -> None:
    fresh()
    _into(source, TARGET)


def _into(source: str, table: str) -> None:
    """Bring records into a table without an index."""
    store = open_target(f"pgvector:#{table}")
    try:
        wherry.sync(source, _WithoutIndex(store), level="counted")  # type: ignore[arg-type]
    finally:
        store.close()


def _client(path: Path):  # type: ignore[no-untyped-def]
    return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))
