"""The documents of a run, word for word, and the pieces of a guide."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.evals.conftest import FILLER, long_guide
from tests.apps.evals.places import R01, run
from wherry_apps.evals.composing import Composed, divided, documents_of
from wherry_apps.evals.guide import OVERLAP, TOKENS, chunker, chunks_of
from wherry_apps.evals.runs import run_of


def kinds(run: dict[str, Any]) -> list[str]:
    return [document.metadata["kind"] for document in documents_of(run_of(run), 6000)]


def test_the_documents_of_the_example() -> None:
    summary, failures, case = documents_of(run_of(R01), 6000)
    assert summary.content.splitlines() == [
        "[RUN SUMMARY]", "run_id: r-01", "dataset_name: demo-qa", "dataset_version: 1", "model_name: m-1",
        "started_at: 2026-01-05T09:00:00", "finished_at: 2026-01-05T09:01:00", "total_test_cases: 1",
        "passed_test_cases: 0", "unevaluated: 0", "pass_rate: 0.0", "total_tokens: 0", "total_cost_usd: null",
        "duration_seconds: 60.0", 'metrics_evaluated: ["faithfulness"]', 'thresholds: {"faithfulness": 0.8}',
        "avg_faithfulness: 0.0",
    ]  # fmt: skip
    assert failures.content.splitlines() == [
        "[RUN FAILURES] r-01", "failed: 1", "- c1: faithfulness=0.0 (threshold=0.8) 보증 기간은?"
    ]  # fmt: skip
    assert case.content.splitlines() == [
        "[TEST CASE] r-01", "test_case_id: c1", "question: 보증 기간은?", "ground_truth: 2년", "prediction: 1년",
        "contexts:", "- 보증은 2년이다.", "metrics:", "- faithfulness=0.0 (threshold=0.8, passed=false)",
        "reason faithfulness: 근거와 다름",
    ]  # fmt: skip
    assert case.metadata == {
        "kind": "test_case", "run_id": "r-01", "case_id": "c1", "metric_names": ["faithfulness"],
        "failed_metrics": ["faithfulness"], "started_at": "2026-01-05T09:00:00",
    }  # fmt: skip


def test_what_is_not_there_makes_no_document() -> None:
    assert kinds({"run_id": "r", "results": [{"test_case_id": "c", "metrics": []}]}) == ["run_summary", "test_case"]


def test_every_kind_in_its_order() -> None:
    whole = {
        **R01, "retrieval_metadata": {"c1": {"k": 3}}, "tracker_metadata": {"run_mode": "full", "project_name": "p"},
        "feedback": [{"test_case_id": "c1", "satisfaction_score": 4, "comment": "좋음", "rater_id": "kim"}],
        "reports": [{"report_type": "technical", "content": "가" * 5000, "metadata": {"path": "reports/r-01.md"}}],
    }  # fmt: skip
    assert kinds(whole) == ["run_summary", "run_failures", "run_retrieval", "test_case", "feedback", "report"]
    found = documents_of(run_of(whole), 6000)
    assert found[0].content.endswith("run_mode: full\nproject_name: p")
    assert found[2].content == '[RUN RETRIEVAL] r-01\n{\n "c1": {\n  "k": 3\n }\n}'
    assert found[4].content.splitlines()[2] == "- satisfaction=4.0 comment=좋음"
    assert "kim" not in found[4].content
    assert found[5].content.startswith("[REPORT] r-01\ntype: technical\npath: reports/r-01.md\n가")
    assert found[5].content.count("가") == 4000
    assert found[5].metadata["path"] == "reports/r-01.md"


def test_failures_name_the_worst_first_and_count_the_rest() -> None:
    results = [
        {"test_case_id": f"c{n}", "question": "긴 질문 " * 60, "metrics": [{"name": "f", "score": n / 100}]}
        for n in range(60)
    ]
    lines = documents_of(run_of({"run_id": "r", "results": results}), 60_000)[1].content.splitlines()
    assert lines[1] == "failed: 60"
    assert [line.split(":")[0] for line in lines[2:5]] == ["- c0", "- c1", "- c2"]
    assert len(lines) == 2 + 50 + 1
    assert lines[-1] == "... and 10 more"
    assert len(lines[2]) <= len("- c0: f=0.0 (threshold=0.7) ") + 120


def test_the_prediction_is_the_answer_where_there_is_none() -> None:
    one = {**R01, "results": [{**R01["results"][0], "prediction": "3년"}]}
    assert "prediction: 3년" in documents_of(run_of(one), 6000)[2].content
    assert "prediction: 1년" in documents_of(run_of(R01), 6000)[2].content


def test_a_long_document_is_cut_at_line_ends_under_its_header() -> None:
    text = "[TEST CASE] r\n" + "\n".join(f"- 문맥 {n} {'가' * 90}" for n in range(60)) + "\n" + "나" * 900
    parts = list(divided(Composed(text, {"kind": "test_case"}), 500))
    assert all(part.content.startswith("[TEST CASE] r\n") and len(part.content) <= 500 for part in parts)
    assert "".join(part.content.partition("\n")[2].replace("\n", "") for part in parts) == text.partition("\n")[
        2
    ].replace("\n", "")
    assert list(divided(Composed("short"), 500)) == [Composed("short")]


def test_a_run_has_the_same_documents_each_time() -> None:
    assert documents_of(run_of(run(7)), 6000) == documents_of(run_of(run(7)), 6000)


@pytest.mark.parametrize("plain", [True, False])
def test_a_guide_is_cut_into_pieces_that_overlap_and_keep_headings(plain: bool) -> None:
    text = long_guide(30 if plain else 8)
    found = chunks_of(text, plain=plain)
    assert len(found) > 1
    assert all(one.metadata["kind"] == "guide" for one in found)
    assert "1장" in found[0].metadata["heading"]
    words = [one.content.split() for one in found]
    if plain:
        assert max(map(len, words)) <= TOKENS
        assert words[0][-OVERLAP:] == words[1][:OVERLAP]
    covered = set("".join(one.content for one in found).split())
    assert set(text.split()) <= covered | {"##"}


def test_a_paragraph_beyond_the_limit_is_divided() -> None:
    found = chunks_of(FILLER * 200, plain=True)
    assert len(found) > 2
    assert max(len(one.content.split()) for one in found) <= TOKENS


def test_an_empty_guide_has_no_pieces() -> None:
    assert chunks_of("") == chunks_of(" \n\n\t\n") == []


def test_the_variant_of_the_tokeniser_is_recorded() -> None:
    assert chunker(plain=True)["tokenizer"] == "whitespace"
    assert chunker()["tokenizer"].startswith("kiwi")
