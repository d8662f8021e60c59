"""The documents of a run: what is embedded and found.

[RUN SUMMARY] first, then failures, retrieval, each case, feedback and reports. A document longer than the limit is
cut at line ends, and each part keeps the header line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from wherry_apps.evals.rules import Judged, Totals, judged, totals, verdict
from wherry_apps.evals.runs import Case, EvaluationRun, Feedback, Json, Report, natural

LISTED_FAILURES, QUESTION_CHARACTERS, REPORT_CHARACTERS = 50, 120, 4_000
_OF_TRACKER = ("run_mode", "evaluation_task", "threshold_profile", "project_name")
# Changed whenever the words of a document change, so that what is indexed is composed anew.
VERSION = 1


@dataclass(frozen=True)
class Composed:
    """One document. metadata: kind and what it is about; jsonb in the index."""

    content: str
    metadata: Json = field(default_factory=dict)


def documents_of(run: EvaluationRun, most: int) -> list[Composed]:
    """Return the documents of a run in their order. most: characters of one document."""
    return [part for document in _whole(run) for part in divided(document, most)]


def divided(document: Composed, most: int) -> Iterator[Composed]:
    """Yield a document in parts of at most so many characters, cut at line ends, each under its header line.

    A single line that is longer is cut where it must be.
    """
    if len(document.content) <= most:
        yield document
        return
    header, _, body = document.content.partition("\n")
    room = max(most - len(header) - 1, most // 2, 1)
    part = ""
    for line in _lines(body, room):
        if part and len(part) + len(line) > room:
            yield Composed(f"{header}\n{part.rstrip()}", document.metadata)
            part = ""
        part += line
    if part.strip():
        yield Composed(f"{header}\n{part.rstrip()}", document.metadata)


def _whole(run: EvaluationRun) -> Iterator[Composed]:
    found = [(case, judged(case, run)) for case in run.cases]
    yield _summary(run, totals(run))
    failed = [(case, metrics) for case, metrics in found if verdict(metrics) is False]
    if failed:
        yield _failures(run, failed)
    if run.retrieval:
        body = json.dumps(run.retrieval, ensure_ascii=False, sort_keys=True, indent=1, default=str)
        yield Composed(f"[RUN RETRIEVAL] {run.run_id}\n{body}", {"kind": "run_retrieval", "run_id": run.run_id})
    for case, metrics in found:
        yield _case(run, case, metrics)
    ordered = sorted(run.feedback, key=lambda one: natural(one.case_id))
    for case_id, group in groupby(ordered, key=lambda one: one.case_id):
        yield _feedback(run, case_id, list(group))
    for report in run.reports:
        yield _report(run, report)


def _summary(run: EvaluationRun, sums: Totals) -> Composed:
    lines: dict[str, Any] = {
        "run_id": run.run_id,
        "dataset_name": run.dataset_name,
        "dataset_version": run.dataset_version,
        "model_name": run.model_name,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "total_test_cases": sums.cases,
        "passed_test_cases": sums.passed,
        "unevaluated": sums.unevaluated,
        "pass_rate": sums.pass_rate,
        "total_tokens": run.total_tokens,
        "total_cost_usd": run.total_cost_usd,
        "duration_seconds": duration(run),
        "metrics_evaluated": list(run.metrics),
        "thresholds": run.thresholds,
        **{f"avg_{name}": mean for name, mean in sums.averages.items()},
        **{key: run.metadata[key] for key in _OF_TRACKER if run.metadata.get(key) is not None},
    }
    text = "\n".join(["[RUN SUMMARY]", *(f"{key}: {_value(value)}" for key, value in lines.items())])
    failed = sorted({m.name for case in run.cases for m in judged(case, run) if m.passed is False})
    return Composed(text, {
        "kind": "run_summary", "run_id": run.run_id, "metric_names": list(run.metrics), "failed_metrics": failed,
        "started_at": run.started_at, "dataset_name": run.dataset_name, "model_name": run.model_name,
        "pass_rate": sums.pass_rate,
    })  # fmt: skip


def duration(run: EvaluationRun) -> float | None:
    """Return the seconds from start to finish, None where either is unknown."""
    if run.started_at is None or run.finished_at is None:
        return None
    seconds = (datetime.fromisoformat(run.finished_at) - datetime.fromisoformat(run.started_at)).total_seconds()
    return round(seconds, 3)


def _failures(run: EvaluationRun, failed: list[tuple[Case, tuple[Judged, ...]]]) -> Composed:
    worst = sorted(failed, key=lambda one: (min(metric.margin for metric in one[1]), natural(one[0].case_id)))
    lines = [f"[RUN FAILURES] {run.run_id}", f"failed: {len(failed)}"]
    for case, metrics in worst[:LISTED_FAILURES]:
        told = " ".join(_scored(metric) for metric in metrics if metric.passed is False)
        question = " ".join((case.question or "").split())[:QUESTION_CHARACTERS]
        lines.append(f"- {case.case_id}: {told} {question}".rstrip())
    if len(failed) > LISTED_FAILURES:
        lines.append(f"... and {len(failed) - LISTED_FAILURES} more")
    names = sorted({m.name for _, metrics in failed for m in metrics if m.passed is False})
    metadata = {"kind": "run_failures", "run_id": run.run_id, "failed_metrics": names}
    return Composed("\n".join(lines), metadata)


def _case(run: EvaluationRun, case: Case, metrics: tuple[Judged, ...]) -> Composed:
    lines = [f"[TEST CASE] {run.run_id}", f"test_case_id: {case.case_id}"]
    told = (("question", case.question), ("ground_truth", case.ground_truth), ("prediction", case.prediction),
            ("error", case.error))  # fmt: skip
    lines += [f"{name}: {value}" for name, value in told if value]
    if case.contexts:
        lines += ["contexts:", *(f"- {context}" for context in case.contexts)]
    if metrics:
        lines += ["metrics:", *(_measured(metric) for metric in metrics)]
    lines += [f"reason {m.name}: {m.reason}" for m in metrics if m.passed is False and m.reason]
    failed = [m.name for m in metrics if m.passed is False]
    names = [metric.name for metric in metrics]
    metadata: Json = {
        "kind": "test_case", "run_id": run.run_id, "case_id": case.case_id, "metric_names": names,
        "failed_metrics": failed, "started_at": run.started_at,
    }  # fmt: skip
    return Composed("\n".join(lines), metadata)


def _scored(metric: Judged) -> str:
    return f"{metric.name}={metric.score} (threshold={metric.threshold})"


def _measured(metric: Judged) -> str:
    score, passed = ("none", "none") if metric.score is None else (metric.score, str(metric.passed).lower())
    return f"- {metric.name}={score} (threshold={metric.threshold}, passed={passed})"


def _feedback(run: EvaluationRun, case_id: str, given: list[Feedback]) -> Composed:
    lines = [f"[FEEDBACK] {run.run_id}", f"test_case_id: {case_id}"]
    for one in given:
        told = (("satisfaction", one.satisfaction), ("thumb", one.thumb), ("comment", one.comment))
        lines.append("- " + " ".join(f"{name}={value}" for name, value in told if value is not None))
    return Composed("\n".join(lines), {"kind": "feedback", "run_id": run.run_id, "case_id": case_id})


def _report(run: EvaluationRun, report: Report) -> Composed:
    lines = [f"[REPORT] {run.run_id}", f"type: {report.kind}", *([f"path: {report.path}"] if report.path else [])]
    metadata: Json = {"kind": "report", "run_id": run.run_id, "report_type": report.kind}
    if report.path:
        metadata["path"] = report.path
    return Composed("\n".join([*lines, report.text[:REPORT_CHARACTERS]]), metadata)


def _value(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)


def _lines(body: str, room: int) -> Iterator[str]:
    for line in body.splitlines(keepends=True):
        for start in range(0, len(line), room):
            yield line[start : start + room]
