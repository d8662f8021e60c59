"""Intervals: the same each time, around their figure, paired, and as wide as they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.comparing.statistics import Bootstrap, at_most


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_an_interval_holds_its_mean_and_is_the_same_each_time(values: list[float], seed: int) -> None:
    found = Bootstrap(len(values), seed, 200).mean(values)
    assert found == Bootstrap(len(values), seed, 200).mean(values)
    assert found.low <= found.mean <= found.high
    assert found.mean == pytest.approx(float(np.mean(values)))


def test_an_interval_is_as_wide_as_the_normal_law_has_it() -> None:
    values = np.random.default_rng(3).standard_normal(400)
    found = Bootstrap(400).mean(values.tolist())
    width = 2 * 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert found.high - found.low == pytest.approx(width, rel=0.12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    held = [Bootstrap(40, seed, 300).mean(chance.uniform(0, 1, 40).tolist()) for seed in range(200)]
    assert 175 <= sum(one.low <= 0.5 <= one.high for one in held) <= 199


def test_a_change_common_to_all_questions_is_proved_though_the_questions_vary_widely() -> None:
    before = np.random.default_rng(1).lognormal(0, 2, 50)
    found = Bootstrap(50).quantile_change(before.tolist(), (before + 0.5).tolist(), 0.5)
    assert found.low == pytest.approx(0.5)
    assert found.high == pytest.approx(0.5)


@pytest.mark.parametrize("differing", [0, 1, 3, 20])
def test_at_most_is_where_so_few_become_unlikely(differing: int) -> None:
    share = at_most(differing, 60)
    chance = sum(math.comb(60, n) * share**n * (1 - share) ** (60 - n) for n in range(differing + 1))
    assert chance == pytest.approx(0.05, abs=1e-6)


def test_at_most_of_none_is_about_three_in_n_and_of_all_is_all() -> None:
    assert at_most(0, 1000) == pytest.approx(0.003, rel=0.01)
    assert at_most(7, 7) == 1.0
