"""The rules: thresholds, what passes, averages; hashes; cutting vectors; the one form of a run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.apps.evals.places import R01, run
from wherry import BadRecord
from wherry_apps.evals.rules import cut, judged, source_hash, stored_differs, threshold_of, totals, verdict
from wherry_apps.evals.runs import Score, moment, natural, number, run_of, text_of


def with_metrics(*metrics: list[tuple[str, float | None, float | None]], **more: Any) -> Any:
    results = [
        {"test_case_id": f"c{n}", "metrics": [{"name": a, "score": b, "threshold": c} for a, b, c in found]}
        for n, found in enumerate(metrics, 1)
    ]
    return run_of({"run_id": "r", "results": results, **more})


def test_a_stored_zero_is_zero_and_a_missing_score_is_not_measured() -> None:
    found = with_metrics([("f", 0.0, 0.0)], [("f", None, 0.5)], [("f", math.nan, 0.5)])
    verdicts = [verdict(judged(case, found)) for case in found.cases]
    assert verdicts == [True, None, None]
    sums = totals(found)
    assert sums.averages == {"f": 0.0}
    assert (sums.passed, sums.unevaluated, sums.pass_rate) == (1, 2, 1.0)


@pytest.mark.parametrize(
    ("own", "of_run", "wanted"), [(0.0, 0.9, 0.0), (None, 0.9, 0.9), (None, None, 0.7), (0.5, None, 0.5)]
)
def test_the_threshold_is_the_metrics_own_else_the_runs_else_usual(
    own: float | None, of_run: float | None, wanted: float
) -> None:
    found = with_metrics([("f", 0.6, own)], thresholds={} if of_run is None else {"f": of_run})
    assert threshold_of(Score("f", 0.6, own), found) == wanted
    assert judged(found.cases[0], found)[0].passed is (wanted <= 0.6)


def test_pass_rate_counts_cases_with_something_measured() -> None:
    found = with_metrics([("f", 0.9, 0.7), ("g", 0.1, 0.7)], [("f", 0.9, 0.7)], [], [("f", None, 0.7)])
    sums = totals(found)
    assert (sums.cases, sums.passed, sums.unevaluated, sums.pass_rate) == (4, 1, 2, 0.5)
    assert sums.averages == {"f": 0.9, "g": 0.1}
    assert sums.metric_pass_rate == 0.5
    assert totals(with_metrics([])).pass_rate is None


def test_a_stored_pass_rate_that_differs_is_told_and_not_used() -> None:
    found = run_of({**R01, "pass_rate": 1.0})
    told = stored_differs(found, totals(found))
    assert told is not None
    assert "1.0" in told
    assert "0.0" in told
    assert stored_differs(run_of({**R01, "pass_rate": 0.0}), totals(found)) is None


def test_the_hash_depends_on_every_part_and_on_nothing_else() -> None:
    documents, model, cutter = [("가", {"kind": "guide"})], {"provider": "p", "model": "m", "dim": 4}, {"tokens": 450}
    base = source_hash(documents, model, cutter, 80)
    assert len(base) == 64
    assert source_hash(list(documents), {"dim": 4, "model": "m", "provider": "p"}, dict(cutter), 80) == base
    others = [
        source_hash([("나", {"kind": "guide"})], model, cutter, 80),
        source_hash([("가", {"kind": "doc"})], model, cutter, 80),
        source_hash(documents, {**model, "model": "n"}, cutter, 80),
        source_hash(documents, {**model, "dim": 5}, cutter, 80),
        source_hash(documents, model, {"tokens": 100}, 80),
        source_hash(documents, model, cutter, 20),
    ]
    assert len({base, *others}) == 7


def test_a_cut_vector_has_length_one_again() -> None:
    vectors = np.random.default_rng(4).normal(size=(5, 64)).astype(np.float32)
    found = cut(vectors, 16, "m")
    assert found.shape == (5, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found[0], vectors[0, :16] / np.linalg.norm(vectors[0, :16]), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.zeros((1, 8)), np.full((1, 8), np.nan), np.full((1, 8), np.inf), np.ones((1, 3))])
def test_vectors_that_cannot_be_cut_are_an_error(bad: np.ndarray) -> None:
    with pytest.raises(BadRecord):
        cut(bad.astype(np.float32), 4, "m")


def test_numbers_round_as_postgresql_rounds_them() -> None:
    assert number(0.83333333, "r", 4) == 0.8333
    assert number(0.00005, "r", 4) == 0.0001
    assert number("0.5", "r", 4) == 0.5
    assert [number(value, "r", 4) for value in (None, math.nan, math.inf)] == [None, None, None]
    assert math.copysign(1, number(-0.0, "r", 4) or 0.0) == 1.0
    with pytest.raises(BadRecord, match="no number"):
        number("high", "r", 4)


def test_times_are_told_in_utc() -> None:
    assert moment("2026-01-05T09:00:00+09:00", "r") == "2026-01-05T00:00:00"
    assert moment("2026-01-05 09:00:00", "r") == "2026-01-05T09:00:00"
    with pytest.raises(BadRecord):
        moment("yesterday", "r")


def test_text_that_was_escaped_comes_back_and_what_no_database_takes_is_replaced() -> None:
    assert text_of(r"\ubcf4\uc99d") == "보증"
    assert text_of(r"\ud83d\ude00") == "😀"
    assert text_of("a\x00b") == "a\ufffdb"
    assert text_of("\ud83d") == "\ufffd"
    assert text_of(r"C:\users") == r"C:\users"


def test_cases_stand_in_the_order_of_their_ids() -> None:
    assert sorted(["c10", "c2", "c1"], key=natural) == ["c1", "c2", "c10"]
    found = run_of({"run_id": "r", "cases": [{"test_case_id": "b", "scores": {"f": 0.5}}, {"test_case_id": "a"}]})
    assert [case.case_id for case in found.cases] == ["a", "b"]
    assert found.metrics == ("f",)


def test_missing_columns_have_their_usual_values() -> None:
    found = run_of({"run_id": "r", "langfuse_trace_id": "t-1"})
    assert (found.metadata, found.retrieval, found.project_id) == ({}, {}, "default")
    assert found.trace_ids == {"langfuse": "t-1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"run_id": ""}, {"run_id": "r", "results": {"a": 1}}, {"run_id": "r", "results": [1]},
        {"run_id": "r", "results": [{}]}, {"run_id": "r", "thresholds": []}, {"run_id": "r" * 301},
        {"run_id": "r", "results": [{"test_case_id": "c", "metrics": [{"score": 1}]}]},
        {"run_id": "r", "results": [{"test_case_id": "c", "contexts": 4}]}, {"run_id": "r", "started_at": "soon"},
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_a_bad_record(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        run_of(wrong)


def test_the_fixture_has_cases_that_pass_and_cases_that_fail() -> None:
    assert totals(run_of(run(1, 4))).pass_rate == 0.5
