"""Metrics against ten lines that compute them the long way, and intervals that hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.answering.evaluation_metrics import hit_at_one, interval, ndcg, recall, reciprocal_rank

NAMES = "abcdefghij"
RANKED = st.lists(st.sampled_from(NAMES), unique=True)
GRADES = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3).map(float), min_size=1)


def slow_ndcg(ranked: list[str], grades: dict[str, float], k: int) -> float:
    """Compute nDCG as textbooks write it."""
    dcg = 0.0
    for i in range(min(k, len(ranked))):
        dcg += (2 ** grades.get(ranked[i], 0) - 1) / np.log2(i + 2)
    ideal = 0.0
    for i, grade in enumerate(sorted(grades.values())[::-1]):
        if i < k:
            ideal += (2**grade - 1) / np.log2(i + 2)
    return dcg / ideal


@given(RANKED, GRADES, st.integers(1, 12))
def test_ndcg_is_that_of_the_textbook(ranked: list[str], grades: dict[str, float], k: int) -> None:
    assert ndcg(ranked, grades, k) == pytest.approx(slow_ndcg(ranked, grades, k))
    assert 0 <= ndcg(ranked, grades, k) <= 1 + 1e-12


@given(RANKED, GRADES, st.integers(1, 12))
def test_the_others_count_what_they_say(ranked: list[str], grades: dict[str, float], k: int) -> None:
    first = [place for place, name in enumerate(ranked[:k], 1) if name in grades]
    assert recall(ranked, grades, k) == pytest.approx(len(first) / len(grades))
    assert reciprocal_rank(ranked, grades, k) == (1 / first[0] if first else 0)
    assert hit_at_one(ranked, grades) == (1.0 if ranked and ranked[0] in grades else 0.0)


def test_known_values() -> None:
    assert ndcg(["x", "a"], {"a": 1}, 10) == pytest.approx(1 / math.log2(3))
    assert ndcg(["a", "b"], {"a": 1, "b": 3}, 10) == pytest.approx((1 + 7 / math.log2(3)) / (7 + 1 / math.log2(3)))
    assert ndcg(["a"], {}, 10) == 0.0
    assert recall([], {"a": 1}, 10) == 0.0


def test_the_interval_holds_the_mean_and_narrows() -> None:
    chance = np.random.default_rng(1)
    few, many = interval(chance.random(30).tolist()), interval(chance.random(3_000).tolist())
    for found in (few, many):
        assert found.low <= found.mean <= found.high
    assert many.high - many.low < few.high - few.low
    assert interval([0.5] * 10) == interval([0.5] * 10)
    assert math.isnan(interval([]).mean)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    chance = np.random.default_rng(2)
    held = [found.low <= 0.5 <= found.high for _ in range(120) for found in [interval(chance.random(60).tolist())]]
    assert sum(held) / len(held) > 0.88
