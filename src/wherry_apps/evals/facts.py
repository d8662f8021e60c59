"""What is kept of a run beside its documents, so that questions about numbers are computed and not guessed."""

from __future__ import annotations

from collections.abc import Sequence

from wherry_apps.evals.composing import Composed, duration
from wherry_apps.evals.rules import judged, totals, verdict
from wherry_apps.evals.runs import EvaluationRun, Json


def facts_of(run: EvaluationRun, documents: Sequence[Composed]) -> Json:
    """Return the sums and the cases of a run as JSON. doc_id: the document that tells the case."""
    sums = totals(run)
    places: dict[str, int] = {}
    for at, document in enumerate(documents):
        if document.metadata["kind"] == "test_case":
            places.setdefault(document.metadata["case_id"], at)
    return {
        "run_id": run.run_id,
        "dataset_name": run.dataset_name,
        "dataset_version": run.dataset_version,
        "model_name": run.model_name,
        "project_id": run.project_id,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_seconds": duration(run),
        "total_tokens": run.total_tokens,
        "total_cost_usd": run.total_cost_usd,
        "total_test_cases": sums.cases,
        "passed_test_cases": sums.passed,
        "unevaluated": sums.unevaluated,
        "pass_rate": sums.pass_rate,
        "metric_pass_rate": sums.metric_pass_rate,
        "averages": sums.averages,
        "thresholds": run.thresholds,
        "failed_metrics": sorted({m.name for c in run.cases for m in judged(c, run) if m.passed is False}),
        "cases": [_case(run, at, places) for at in range(len(run.cases))],
    }


def _case(run: EvaluationRun, at: int, places: dict[str, int]) -> Json:
    case = run.cases[at]
    metrics = judged(case, run)
    return {
        "case_id": case.case_id,
        "doc_id": places.get(case.case_id, 0),
        "question": case.question,
        "passed": verdict(metrics),
        "metrics": [
            {
                "name": metric.name, "score": metric.score, "threshold": metric.threshold, "passed": metric.passed,
                **({"reason": metric.reason} if metric.reason and metric.passed is False else {}),
            }
            for metric in metrics
        ],
    }  # fmt: skip
