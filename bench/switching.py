"""Bars s1 and s2: what a shadow adds to readers, and how long the way back takes, from every state.

A reader with a shadow and one without ask the same questions in turn, at the pace of a busy service; the shadow is
asked for each of them. The way back is taken with nothing written since, with writes to carry, and with a side that
cannot be read any more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import wherry
from bench.measure import Bar, timed
from wherry.record import Record, make_batch
from wherry.routing.book import Book
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target

DIMENSION, ASKED, PAUSE_S = 128, 100, 0.02
_MOST_ROWS, _WRITTEN = 100_000, 1000
OLD, NEW, GONE = "pgvector:#bench_switching_old", "pgvector:#bench_switching_new", "pgvector:#bench_switching_gone"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure both bars."""
    count = min(rows, _MOST_ROWS)
    _filled(OLD, count)
    wherry.sync(OLD, NEW)
    return [_shadow(rounds), *_ways_back(count, rounds)]


def _shadow(rounds: int) -> Bar:
    for name in ("bench-plain", "bench-shadowed"):
        _made(name, OLD)
    wherry.shadow("bench-shadowed", NEW)
    asked = np.random.default_rng(5).standard_normal((ASKED, DIMENSION), dtype=np.float32)
    added, plain = [], []
    with wherry.route("bench-plain") as one, wherry.route("bench-shadowed") as other:
        _asked(one, other, asked[:10])
        for _ in range(rounds):
            without, beside = _asked(one, other, asked)
            added.append(1000 * statistics.median(b - a for a, b in zip(without, beside, strict=True)))
            plain.append(1000 * statistics.median(without))
    pace = f"{1 / PAUSE_S:.0f} questions a second, every second one shadowed"
    detail = f"{ASKED} pairs a round, {pace}; {statistics.median(plain):.2f} ms without"
    return Bar("s1", "route: what a shadow adds to the reader's median", 1.0, False, tuple(added), detail, "ms")


def _asked(one: wherry.Reader, other: wherry.Reader, asked: np.ndarray) -> tuple[list[float], list[float]]:
    """Ask both readers every question, one after the other and now this one first, now that one; return seconds."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number, vector in enumerate(asked):
        pair = [(one, seconds[0]), (other, seconds[1])]
        for reader, taken in pair if number % 2 else reversed(pair):
            taken.append(timed(lambda reader=reader, vector=vector: reader.search(vector, k=10)))
            time.sleep(PAUSE_S)
    return seconds


def _ways_back(count: int, rounds: int) -> list[Bar]:
    states: dict[str, Callable[[int], None]] = {
        "nothing written": lambda number: None,
        f"{_WRITTEN:,} writes to carry": _write,
        "the new side gone": lambda number: None,
    }
    bars = []
    for number, (state, happen) in enumerate(states.items()):
        taken = [_way_back(happen, turn, gone=number == 2) for turn in range(rounds)]
        detail = f"{count:,} records, {state}"
        bars.append(Bar(f"s2{'abc'[number]}", f"rollback: {state}", 5.0, False, tuple(taken), detail, "s"))
    return bars


def _way_back(happen: Callable[[int], None], turn: int, gone: bool) -> float:
    _made("bench-back", OLD)
    target = GONE if gone else NEW
    if gone:
        _filled(GONE, 10)
        wherry.switch("bench-back", GONE, waive="measured")
        _dropped(GONE)
    else:
        wherry.sync(OLD, NEW)
        wherry.switch("bench-back", target, prove=True)
    happen(turn)
    return timed(lambda: wherry.rollback("bench-back", waive_writes=1 if gone else None))


def _write(turn: int) -> None:
    rng = np.random.default_rng(turn)
    vectors = rng.standard_normal((_WRITTEN, DIMENSION), dtype=np.float32)
    with wherry.writer("bench-back") as writer:
        writer.upsert([Record(f"r{n:06}", row.tolist(), f"새 글 {turn}", {}) for n, row in enumerate(vectors)])


def _made(name: str, target: str) -> None:
    with Book() as book:
        if book.find(name) is not None:
            book.remove(name)
        book.make(name, target, None, "measured")


def _filled(address: str, count: int) -> None:
    vectors = np.random.default_rng(3).standard_normal((count, DIMENSION), dtype=np.float32)
    space, store = Space(DIMENSION, Metric.COSINE), open_target(address)
    store.prepare(space, Index("hnsw", 16, 64), count)
    ids = [f"r{n:06}" for n in range(count)]
    store.upsert(make_batch(ids, vectors, [f"글 {n}" for n in range(count)], ["{}"] * count))
    store.finish(space, Index("hnsw", 16, 64))
    store.close()


def _dropped(address: str) -> None:
    with Book() as book:
        book.database.tell(f"DROP TABLE {address.partition('#')[2]}")
