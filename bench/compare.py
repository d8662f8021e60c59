"""Bars c1 to c3: equal pairs and damaged ones told apart in 100 of 100, and truth against a scan and one product.

Every seed is run once, whatever the rounds.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np

import wherry
from bench.measure import Bar
from wherry.comparing.truth import look
from wherry.record import make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target

SEEDS, RECORDS, ASKED, DIMENSION = 100, 500, 50, 16
TRUTH_ROWS, TRUTH_ASKED, TRUTH_DIMENSION = 50_000, 100, 384
_names = itertools.count()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure all three bars."""
    equal = [_verdict(seed, 0.0) == 0 for seed in range(SEEDS)]
    damaged = [_verdict(seed, 0.02) == 1 for seed in range(SEEDS)]
    what = f"{RECORDS} records, {ASKED} questions, of {SEEDS} seeds"
    return [
        Bar("c1", "compare: identical pairs that pass", 100, True, (sum(equal),), what, ""),
        Bar("c2", "compare: pairs with 2 % swapped that exit 1", 100, True, (sum(damaged),), what, ""),
        _truth(rounds),
    ]


def _verdict(seed: int, share: float) -> int:
    chance = np.random.default_rng((7, seed))
    vectors = chance.standard_normal((RECORDS, DIMENSION), dtype=np.float32)
    other = vectors.copy()
    picked = chance.permutation(RECORDS)[: round(RECORDS * share)].reshape(-1, 2)
    other[picked.reshape(-1)] = vectors[picked[:, ::-1].reshape(-1)]
    asked = chance.standard_normal((ASKED, DIMENSION), dtype=np.float32)
    return wherry.compare(_filled(vectors), _filled(other), asked, rounds=1, seed=seed).exit_code


def _filled(vectors: np.ndarray) -> str:
    address = f"memory:#compare-{next(_names)}"
    space = Space(vectors.shape[1], Metric.COSINE)
    store = open_target(address)
    store.prepare(space, Index(), len(vectors))
    ids = [f"안내-{n:06}" for n in range(len(vectors))]
    store.upsert(make_batch(ids, vectors, [None] * len(ids), [None] * len(ids)))
    store.close()
    return address


def _truth(rounds: int) -> Bar:
    """Compare finding the exact neighbours with reading the collection and NumPy's bare product and partition."""
    chance = np.random.default_rng(1)
    vectors = chance.standard_normal((TRUTH_ROWS, TRUTH_DIMENSION), dtype=np.float32)
    asked = chance.standard_normal((TRUTH_ASKED, TRUTH_DIMENSION), dtype=np.float32)
    store = wherry.open_source(_filled(vectors))
    space, ratios, seconds = store.describe().space, [], []
    for _ in range(rounds):
        started = time.perf_counter()
        for page in store.scan():
            vectors_of(page.records)
        likeness = (vectors @ asked.T) / np.linalg.norm(vectors, axis=1, keepdims=True)
        np.argpartition(-likeness, 10, axis=0)
        bare = time.perf_counter() - started
        started = time.perf_counter()
        look(store, space, list(asked), 10)
        seconds.append(time.perf_counter() - started)
        ratios.append(seconds[-1] / bare)
    detail = f"{TRUTH_ROWS:,} x {TRUTH_DIMENSION}, {TRUTH_ASKED} questions: {sorted(seconds)[len(seconds) // 2]:.2f} s"
    return Bar("c3", "compare: truth against a scan and NumPy's product", 2, False, tuple(ratios), detail)
