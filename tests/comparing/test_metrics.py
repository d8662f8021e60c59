"""Recall, overlap and rank-biased overlap against references of a few lines, and what ties do to them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.comparing.metrics import TIE, Ranked, overlap, rank_biased_overlap, recall, slack
from wherry.space import Metric

rankings = st.lists(st.sampled_from("가나다라마바사아자차카타"), unique=True, max_size=10)
distances = st.lists(st.floats(0, 2, width=32), min_size=1, max_size=12)


def reference_recall(found: list[float], exact: list[float], k: int) -> float:
    """Recall as ann-benchmarks counts it."""
    limit = sorted(exact)[:k][-1] + 1e-3
    return min(len([d for d in found if d <= limit]), len(exact[:k])) / len(exact[:k])


def reference_rbo(one: list[str], other: list[str], p: float) -> float:
    """Extrapolated RBO, summed term by term as in Webber, Moffat and Zobel (2010)."""
    depth = max(len(one), len(other))
    if not depth:
        return 1.0
    shares = []
    for d in range(1, depth + 1):
        heads = set(one[:d]), set(other[:d])
        shares.append(2 * len(heads[0] & heads[1]) / (len(heads[0]) + len(heads[1])))
    return shares[-1] * p**depth + (1 - p) / p * sum(share * p**d for d, share in enumerate(shares, 1))


def reference_overlap(one: Ranked, other: Ranked) -> float:
    """The share that agrees, each side judged by the other, the worse one counts."""

    def fits(name: str, there: Ranked) -> bool:
        last = max((there.apart[n] for n in there.ids), default=-math.inf)
        return name in there.ids or (bool(there.ids) and there.apart.get(name, math.inf) <= last + 1e-3)

    most = max(len(one.ids), len(other.ids))
    if most == 0:
        return 1.0
    return min(sum(fits(n, other) for n in one.ids), sum(fits(n, one) for n in other.ids)) / most


@settings(max_examples=120)
@given(distances, distances, st.integers(1, 12))
def test_recall_is_that_of_the_reference(found: list[float], exact: list[float], k: int) -> None:
    nearest = sorted(exact)[:k]
    assert recall(found[:k], nearest, Metric.COSINE) == pytest.approx(reference_recall(found[:k], nearest, k))


@settings(max_examples=120)
@given(rankings, rankings, st.floats(0.5, 0.99))
def test_rank_biased_overlap_is_that_of_the_reference(one: list[str], other: list[str], p: float) -> None:
    found = rank_biased_overlap(one, other, p)
    assert found == pytest.approx(reference_rbo(one, other, p))
    assert found == rank_biased_overlap(other, one, p)
    assert 0 <= found <= 1


@settings(max_examples=120)
@given(rankings, rankings, st.data())
def test_overlap_is_that_of_the_reference(one: list[str], other: list[str], data: st.DataObject) -> None:
    names = sorted({*one, *other})
    near = st.fixed_dictionaries({name: st.sampled_from([0.1, 0.1005, 0.102, 0.3]) for name in names})
    a = Ranked(tuple(one), data.draw(near), Metric.COSINE)
    b = Ranked(tuple(other), data.draw(near), Metric.COSINE)
    assert overlap(a, b) == pytest.approx(reference_overlap(a, b))
    assert overlap(a, b) == overlap(b, a)


def test_equal_rankings_agree_wholly_and_strangers_not_at_all() -> None:
    names = [f"안내-{n}" for n in range(10)]
    assert rank_biased_overlap(names, names) == pytest.approx(1.0)
    assert rank_biased_overlap(names, [name + "'" for name in names]) == 0.0
    assert rank_biased_overlap([], []) == 1.0
    assert rank_biased_overlap([], names) == 0.0


def test_the_first_places_count_most() -> None:
    names = list("가나다라마바사아자차")
    first, last = ["나", "가", *names[2:]], [*names[:8], "차", "자"]
    assert rank_biased_overlap(names, first) < rank_biased_overlap(names, last) < 1


def test_a_tie_at_the_last_place_is_no_miss() -> None:
    apart = {"가": 0.1, "나": 0.2, "다": 0.2 + TIE / 2}
    one, other = Ranked(("가", "나"), apart, Metric.COSINE), Ranked(("가", "다"), apart, Metric.COSINE)
    assert overlap(one, other) == 1.0
    assert recall([0.1, 0.2 + TIE / 2], [0.1, 0.2], Metric.COSINE) == 1.0
    assert recall([0.1, 0.2 + 3 * TIE], [0.1, 0.2], Metric.COSINE) == 0.5


def test_a_lost_record_is_no_tie_although_the_next_one_is_as_near() -> None:
    here = Ranked(("가", "나"), {"가": 0.1, "나": 0.2, "다": 0.2}, Metric.COSINE)
    there = Ranked(("가", "다"), {"가": 0.1, "다": 0.2}, Metric.COSINE)
    assert overlap(here, there) == 0.5


def test_recorded_answers_agree_by_their_ids_alone() -> None:
    apart = {"가": 0.1, "나": 0.1}
    assert overlap(Ranked(("가",), known=False), Ranked(("나",), apart, Metric.COSINE)) == 0.0
    assert overlap(Ranked(("가",), known=False), Ranked(("가",), apart, Metric.COSINE)) == 1.0


@pytest.mark.parametrize(
    ("distance", "metric", "expected"),
    [
        (0.5, Metric.COSINE, 1e-3),
        (0.5, Metric.L2, 5e-4),
        (1e-6, Metric.L2, 1e-9),
        (20.0, Metric.L2, 1e-3),
        (1e6, Metric.L2, 1.0),
        (-4.0, Metric.IP, 1e-3),
        (math.inf, Metric.L2, 0.0),
    ],
)
def test_what_counts_as_a_tie_follows_the_scale(distance: float, metric: Metric, expected: float) -> None:
    assert slack(distance, metric) == pytest.approx(expected)


def test_nothing_to_find_is_found() -> None:
    assert recall([], [], Metric.COSINE) == 1.0
    assert recall([], [0.1], Metric.COSINE) == 0.0
    assert recall([math.inf], [0.1], Metric.COSINE) == 0.0
