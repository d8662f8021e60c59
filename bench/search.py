"""Searching PostgreSQL: what Wherry adds to the same SQL, what conditions cost, and many clients at once."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

import wherry
from bench.measure import Bar, timed
from wherry.postgres import server
from wherry.record import make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target
from wherry.where import Where, matches, parse

TABLE, DIMENSION, K, ASKED, CLIENTS = "bench_search", 384, 10, 60, 32
_MOST_ROWS = 100_000
# The statement somebody would write by hand, with the same breadth.
_PLAIN = f"""
SELECT id, text, metadata::text, embedding <=> %(v)s::vector AS distance FROM {TABLE}
ORDER BY embedding <=> %(v)s::vector LIMIT {K}
"""
_SHARES = {"50 %": {"half": True}, "10 %": {"tenth": True}, "1 %": {"hundredth": True}}
_RANGES = {"50 %, range": 0.5, "10 %, range": 0.1, "1 %, range": 0.01}


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure on clustered vectors of 384 components, as embeddings are."""
    count = min(rows, _MOST_ROWS)
    vectors, held, asked = _made(count)
    store: Any = open_source(f"pgvector:#{TABLE}")
    try:
        return [
            *_overhead(store, asked, rounds),
            *_conditions(store, vectors, held, asked, rounds),
            _clients(store, asked),
        ]
    finally:
        store.close()


def _made(count: int) -> tuple[np.ndarray, list[dict[str, Any]], np.ndarray]:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(500, DIMENSION))

    def draw(n: int) -> np.ndarray:
        found = centres[rng.integers(0, len(centres), n)] + 0.9 * rng.normal(size=(n, DIMENSION))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    vectors, shares = draw(count), rng.random(count)
    order = rng.permutation(count)
    held: list[dict[str, Any]] = [
        {
            "half": bool(s < 0.5),
            "tenth": bool(s < 0.1),
            "hundredth": bool(s < 0.01),
            "n": int(n),
            "source": f"문서{n % 997}.pdf",
        }
        for s, n in zip(shares, order, strict=True)
    ]
    space, index = Space(DIMENSION, Metric.COSINE), Index("hnsw", 16, 64)
    store = open_target(f"pgvector:#{TABLE}")
    store.prepare(space, index, count)
    for start in range(0, count, 4096):
        part = range(start, min(start + 4096, count))
        texts = [f"안내 {i}: 공복 혈당과 혈압은 같은 시각에 재어 기록합니다." for i in part]
        metadata = [json.dumps(held[i], ensure_ascii=False) for i in part]
        store.upsert(
            make_batch([f"r{i:06d}" for i in part], vectors[start : start + 4096], texts, metadata), absent=True
        )
    store.finish(space, index)
    store.close()
    return vectors, held, draw(ASKED)


def _overhead(store: Any, asked: np.ndarray, rounds: int) -> list[Bar]:
    """Time each question by hand and through Wherry, one after the other."""
    texts = ["[" + ",".join(map(repr, vector.tolist())) + "]" for vector in asked]
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("SELECT '[1]'::vector")
        connection.execute("SET hnsw.ef_search = 100")
        connection.execute("SET hnsw.iterative_scan = relaxed_order")

        def by_hand(number: int) -> None:
            connection.execute(_PLAIN, {"v": texts[number]}).fetchall()

        low = _apart(by_hand, lambda number: store.search(asked[number], K), rounds)
        high = _apart(by_hand, lambda number: wherry.search(asked[number], in_=store, k=K), rounds)
    return [
        Bar("s1", "store.search - the same SQL by psycopg, median", 0.5, False, low[0], low[1], "ms"),
        Bar("s2", "wherry.search - the same SQL by psycopg, median", 0.5, False, high[0], high[1], "ms"),
    ]


def _apart(
    reference: Callable[[int], Any], contender: Callable[[int], Any], rounds: int
) -> tuple[tuple[float, ...], str]:
    """Return the median differences in milliseconds, round by round, and both medians for a person."""
    found: list[list[tuple[float, float]]] = []
    for _ in range(rounds + 1):
        found.append([_pair(reference, contender, number) for number in range(ASKED)])
    # The first round warms both.
    kept = found[1:]
    plain, mine = (statistics.median(pair[side] for pairs in kept for pair in pairs) * 1e3 for side in (0, 1))
    differences = tuple(statistics.median(b - a for a, b in pairs) * 1e3 for pairs in kept)
    return differences, f"by hand {plain:.2f} ms, here {mine:.2f} ms"


def _pair(reference: Callable[[int], Any], contender: Callable[[int], Any], number: int) -> tuple[float, float]:
    """Time one question both ways; which goes first alternates, for the second finds everything warm."""
    if number % 2:
        mine = timed(lambda: contender(number))
        return timed(lambda: reference(number)), mine
    return timed(lambda: reference(number)), timed(lambda: contender(number))


def _conditions(
    store: Any, vectors: np.ndarray, held: list[dict[str, Any]], asked: np.ndarray, rounds: int
) -> list[Bar]:
    """Time each condition beside no condition, and count what was missed."""
    bars, limits = [], {name: parse({"n": {"$lt": int(share * len(held))}}) for name, share in _RANGES.items()}
    for name, where in {**{n: parse(w) for n, w in _SHARES.items()}, **limits}.items():
        fits = np.array([matches(where, each) for each in held])
        ratios, shown = _ratios(store, asked, where, rounds)
        recall, fewest = _recall(store, vectors, fits, asked, where)
        bars.append(Bar("s3", f"a condition that {name} satisfy / none, median time", 3, False, ratios, shown))
        bars.append(Bar("s4", f"recall@{K} there", 0.95, True, (recall,), f"at least {fewest} rows came", ""))
    return bars


def _ratios(store: Any, asked: np.ndarray, where: Where, rounds: int) -> tuple[tuple[float, ...], str]:
    found: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        pairs = [(timed(lambda v=v: store.search(v, K)), timed(lambda v=v: store.search(v, K, where))) for v in asked]
        found.append((statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)))
    kept = found[1:]
    none, there = (statistics.median(f[side] for f in kept) * 1e3 for side in (0, 1))
    shown = f"none {none:.2f} ms, there {there:.2f} ms"
    return tuple(slow / fast for fast, slow in kept), shown


def _recall(store: Any, vectors: np.ndarray, fits: np.ndarray, asked: np.ndarray, where: Where) -> tuple[float, int]:
    rows = np.flatnonzero(fits)
    kept, hits, fewest = vectors[rows], 0, K
    for vector in asked:
        truth = {f"r{i:06d}" for i in rows[np.argsort(-(kept @ vector))[:K]]}
        found = store.search(vector, K, where)
        hits, fewest = hits + len(truth & {hit.id for hit in found}), min(fewest, len(found))
    return hits / (K * len(asked)), fewest


def _clients(store: Any, asked: np.ndarray) -> Bar:
    """Let many threads ask at once, with and without conditions; count what failed."""
    wheres: Sequence[Where | None] = [None, parse({"tenth": True}), parse({"hundredth": True})]
    failures: list[str] = []

    def ask(number: int) -> None:
        try:
            if len(store.search(asked[number % ASKED], K, wheres[number % 3])) != K:
                failures.append("too few rows")
        except wherry.WherryError as error:
            failures.append(str(error))

    with ThreadPoolExecutor(CLIENTS) as threads:
        seconds = timed(lambda: list(threads.map(ask, range(CLIENTS * 40))))
    shown = f"{CLIENTS * 40:,} searches by {CLIENTS} clients, {CLIENTS * 40 / seconds:,.0f}/s"
    return Bar("s5", f"failures of {CLIENTS} clients at once", 0, False, (float(len(failures)),), shown, "")
