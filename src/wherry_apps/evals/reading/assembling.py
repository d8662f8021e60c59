"""From the rows of the product's tables to the JSON object of a run."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from wherry import BadRecord
from wherry_apps.evals.runs import Json

# table -> the columns that are read, where the table has them.
COLUMNS: dict[str, tuple[str, ...]] = {
    "evaluation_runs": (
        "run_id", "dataset_name", "dataset_version", "model_name", "started_at", "finished_at", "total_tokens",
        "total_cost_usd", "pass_rate", "metrics_evaluated", "thresholds", "langfuse_trace_id", "tracker_trace_ids",
        "metadata", "retrieval_metadata", "project_id",
    ),
    "test_case_results": (
        "id", "run_id", "test_case_id", "question", "answer", "prediction", "contexts", "ground_truth", "error",
    ),
    "metric_scores": ("id", "result_id", "metric_name", "name", "score", "threshold", "reason"),
    "satisfaction_feedback": (
        "run_id", "test_case_id", "satisfaction_score", "thumb_feedback", "comment", "created_at",
    ),
    "analysis_reports": ("report_id", "run_id", "report_type", "format", "content", "metadata"),
    "analysis_results": ("analysis_id", "run_id", "analysis_type", "result_data"),
    "pipeline_results": ("result_id", "run_id", "intent", "query", "final_output"),
    "run_cluster_maps": ("run_id", "test_case_id", "cluster_id"),
}  # fmt: skip
NEEDED = ("evaluation_runs", "test_case_results", "metric_scores")
# Formats whose content is the path of a file.
_FILES = {"excel", "xlsx", "pdf"}


def assembled(run: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> Json:
    """Return the JSON object of a run. rows: those of the other tables, by table. Raises BadRecord."""
    where = f"run {run['run_id']}"
    scores: defaultdict[Any, list[Json]] = defaultdict(list)
    for score in rows["metric_scores"]:
        name = score.get("metric_name") or score.get("name")
        scores[score["result_id"]].append({**score, "name": name})
    decoded = ("metrics_evaluated", "thresholds", "tracker_trace_ids", "retrieval_metadata")
    return {
        **run,
        "run_id": str(run["run_id"]),
        **{name: _decoded(run.get(name), name, where) for name in decoded},
        "tracker_metadata": _decoded(run.get("metadata"), "metadata", where),
        "results": [
            {**result, "contexts": _contexts(result.get("contexts")), "metrics": scores[result["id"]]}
            for result in rows["test_case_results"]
        ],
        "feedback": rows["satisfaction_feedback"],
        "reports": _reports(rows, where),
    }


def _reports(rows: dict[str, list[dict[str, Any]]], where: str) -> list[Json]:
    found = [_report(row, where) for row in rows["analysis_reports"]]
    for row in rows["analysis_results"]:
        found.append({"report_type": row.get("analysis_type"), "content": _text(row.get("result_data"))})
    for row in rows["pipeline_results"]:
        told = "\n".join(filter(None, (_text(row.get("query")), _text(row.get("final_output")))))
        found.append({"report_type": f"pipeline {row.get('intent')}", "content": told})
    clusters = sorted((str(row.get("test_case_id")), str(row.get("cluster_id"))) for row in rows["run_cluster_maps"])
    if clusters:
        content = "\n".join(f"{case}: {cluster}" for case, cluster in clusters)
        found.append({"report_type": "cluster_map", "content": content})
    return found


def _report(row: dict[str, Any], where: str) -> Json:
    metadata = _decoded(row.get("metadata"), "metadata of a report", where)
    content, is_file = _text(row.get("content")), row.get("format") in _FILES
    found = {"report_type": row.get("report_type"), "content": "" if is_file else content, "metadata": metadata}
    return {**found, "path": content} if is_file else found


def _decoded(value: Any, name: str, where: str) -> Any:
    """Return a JSON value, which SQLite holds as text and PostgreSQL as itself. Raises BadRecord."""
    if not isinstance(value, str | bytes) or not value.strip():
        return value or None
    try:
        return json.loads(value)
    except ValueError:
        raise BadRecord(f"{name} is no JSON", where=where, next="mend the row, then run the same again") from None


def _contexts(value: Any) -> Any:
    """Return contexts as a list; text that is no JSON is one context."""
    if not isinstance(value, str) or not value.strip():
        return value or []
    try:
        found = json.loads(value)
    except ValueError:
        return [value]
    return found if isinstance(found, list) else [value]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
