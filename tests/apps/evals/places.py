"""Runs in the shape of the product's, and the databases it keeps them in: SQLite old and current, PostgreSQL, JSON."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

Json = dict[str, Any]

R01: Json = {
    "run_id": "r-01", "dataset_name": "demo-qa", "dataset_version": "1", "model_name": "m-1",
    "started_at": "2026-01-05T09:00:00", "finished_at": "2026-01-05T09:01:00", "metrics_evaluated": ["faithfulness"],
    "thresholds": {"faithfulness": 0.8},
    "results": [{
        "test_case_id": "c1", "question": "보증 기간은?", "ground_truth": "2년", "answer": "1년",
        "contexts": ["보증은 2년이다."],
        "metrics": [{"name": "faithfulness", "score": 0.0, "threshold": 0.8, "reason": "근거와 다름"}],
    }],
}  # fmt: skip

_THREE = """
CREATE TABLE evaluation_runs (run_id TEXT PRIMARY KEY, dataset_name TEXT NOT NULL, dataset_version TEXT,
  model_name TEXT NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, total_tokens INTEGER DEFAULT 0,
  total_cost_usd REAL, pass_rate REAL, metrics_evaluated TEXT, thresholds TEXT, langfuse_trace_id TEXT{more},
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE test_case_results (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES evaluation_runs,
  test_case_id TEXT NOT NULL, tokens_used INTEGER DEFAULT 0, latency_ms INTEGER DEFAULT 0, cost_usd REAL,
  trace_id TEXT, started_at TIMESTAMP, finished_at TIMESTAMP, question TEXT, answer TEXT, contexts TEXT,
  ground_truth TEXT);
CREATE TABLE metric_scores (id INTEGER PRIMARY KEY AUTOINCREMENT,
  result_id INTEGER NOT NULL REFERENCES test_case_results, metric_name TEXT NOT NULL, score REAL, threshold REAL,
  reason TEXT);
CREATE INDEX idx_results_run_id ON test_case_results(run_id);
CREATE INDEX idx_scores_result_id ON metric_scores(result_id);
"""
_CURRENT = """
CREATE TABLE satisfaction_feedback (id INTEGER PRIMARY KEY, run_id TEXT, test_case_id TEXT, satisfaction_score REAL,
  thumb_feedback TEXT, comment TEXT, rater_id TEXT, created_at TIMESTAMP);
CREATE TABLE analysis_reports (report_id TEXT PRIMARY KEY, run_id TEXT, experiment_id TEXT, report_type TEXT NOT NULL,
  format TEXT NOT NULL, content TEXT, metadata TEXT, created_at TIMESTAMP);
CREATE TABLE run_cluster_maps (map_id TEXT, run_id TEXT, test_case_id TEXT, cluster_id TEXT, metadata TEXT);
"""
_POSTGRES = """
CREATE TABLE evaluation_runs (run_id UUID PRIMARY KEY, dataset_name VARCHAR(255) NOT NULL,
  dataset_version VARCHAR(50), model_name VARCHAR(255) NOT NULL, started_at TIMESTAMPTZ NOT NULL,
  finished_at TIMESTAMPTZ, total_tokens INTEGER DEFAULT 0, total_cost_usd DECIMAL(10, 6), pass_rate DECIMAL(5, 4),
  metrics_evaluated JSONB, thresholds JSONB, langfuse_trace_id VARCHAR(255), tracker_trace_ids JSONB, metadata JSONB,
  retrieval_metadata JSONB, project_id TEXT, created_at TIMESTAMPTZ DEFAULT now());
CREATE TABLE test_case_results (id SERIAL PRIMARY KEY, run_id UUID NOT NULL REFERENCES evaluation_runs,
  test_case_id VARCHAR(255) NOT NULL, tokens_used INTEGER, latency_ms INTEGER, cost_usd DECIMAL(10, 6),
  trace_id VARCHAR(255), started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ, question TEXT, answer TEXT, contexts JSONB,
  ground_truth TEXT);
CREATE TABLE metric_scores (id SERIAL PRIMARY KEY, result_id INTEGER NOT NULL REFERENCES test_case_results,
  name VARCHAR(100) NOT NULL, score DECIMAL(5, 4), threshold DECIMAL(5, 4), reason TEXT);
CREATE TABLE satisfaction_feedback (id SERIAL PRIMARY KEY, run_id UUID, test_case_id TEXT,
  satisfaction_score DECIMAL(3, 2), thumb_feedback TEXT, comment TEXT, rater_id TEXT, created_at TIMESTAMPTZ);
CREATE TABLE analysis_reports (report_id UUID PRIMARY KEY DEFAULT gen_random_uuid(), run_id UUID, report_type TEXT,
  format TEXT, content TEXT, metadata JSONB);
"""
_RUN = (
    "run_id", "dataset_name", "dataset_version", "model_name", "started_at", "finished_at", "total_tokens",
    "total_cost_usd", "pass_rate",
)  # fmt: skip
_JSON_OF_RUN = {
    "metrics_evaluated": "metrics_evaluated", "thresholds": "thresholds", "tracker_trace_ids": "tracker_trace_ids",
    "metadata": "tracker_metadata", "retrieval_metadata": "retrieval_metadata",
}  # fmt: skip
_CASE = ("test_case_id", "question", "answer", "ground_truth")


def uuid_of(number: int) -> str:
    """Return the id of a run, as the product makes them."""
    return f"00000000-0000-4000-8000-{number:012d}"


def run(number: int, cases: int = 3, *, day: int = 1, scores: tuple[float | None, ...] = (0.91666667, 0.5)) -> Json:
    """Return a run of several cases in the current shape; the first case passes, the others take turns."""
    return {
        "run_id": uuid_of(number), "dataset_name": "보험-qa", "dataset_version": "1.0.0",
        "model_name": "ollama/gpt-oss:20b",
        "started_at": f"2026-01-{day:02d}T12:{number // 60 % 60:02d}:{number % 60:02d}.083691",
        "finished_at": f"2026-01-{day:02d}T13:30:00", "total_tokens": 5108 * cases, "total_cost_usd": 0.25359499999,
        "metrics_evaluated": ["faithfulness", "answer_relevancy"],
        "thresholds": {"faithfulness": 0.7, "answer_relevancy": 0.7}, "tracker_metadata": {"run_mode": "full"},
        "retrieval_metadata": {}, "project_id": "default",
        "results": [_case(number, at, scores[at % len(scores)]) for at in range(cases)],
    }  # fmt: skip


def _case(number: int, at: int, score: float | None) -> Json:
    reason = "답변이 근거 문서에 없는 내용을 말합니다." if score is not None and score < 0.7 else None
    return {
        "test_case_id": f"auto-{at + 1:03d}", "question": f"{number}번 실행 {at + 1}번째 특약의 할인율은 얼마인가요?",
        "answer": f"{at + 3}% 할인입니다.", "ground_truth": f"{at + 5}%",
        "contexts": [f"특약 {at + 1}: {at + 5}% 할인.", "블랙박스 장착 차량은 보험료를 할인합니다."],
        "metrics": [
            {"name": "faithfulness", "score": score, "threshold": 0.7, "reason": reason},
            {"name": "answer_relevancy", "score": 0.8, "threshold": 0.7, "reason": None},
        ],
    }  # fmt: skip


def old_sqlite(path: Path, runs: list[Json]) -> Path:
    """Write a database of the first generation: three tables, no metadata, text escaped."""
    return _sqlite(path, runs, _THREE.format(more=""), ("metrics_evaluated", "thresholds"))


def new_sqlite(path: Path, runs: list[Json]) -> Path:
    """Write a database of the current generation."""
    more = ", tracker_trace_ids TEXT, metadata TEXT, retrieval_metadata TEXT, project_id TEXT"
    return _sqlite(path, runs, _THREE.format(more=more) + _CURRENT, tuple(_JSON_OF_RUN))


def _sqlite(path: Path, runs: list[Json], tables: str, jsons: tuple[str, ...]) -> Path:
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(tables)
        add_runs(connection, runs, jsons)
    connection.close()
    return path


def add_runs(connection: sqlite3.Connection, runs: list[Json], jsons: tuple[str, ...]) -> None:
    """Add runs to a SQLite database."""
    for one in runs:
        names = [*_RUN, *jsons, *(["project_id"] if "metadata" in jsons else [])]
        values = [one.get(name) for name in _RUN] + [json.dumps(one.get(_JSON_OF_RUN[name])) for name in jsons]
        values += [one.get("project_id")] if "metadata" in jsons else []
        connection.execute(f"INSERT INTO evaluation_runs ({', '.join(names)}) VALUES ({_marks(values, '?')})", values)
        for result in one["results"]:
            row = [one["run_id"], *(result.get(name) for name in _CASE), json.dumps(result.get("contexts"))]
            cursor = connection.execute(
                f"INSERT INTO test_case_results (run_id, {', '.join(_CASE)}, contexts) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            connection.executemany(
                "INSERT INTO metric_scores (result_id, metric_name, score, threshold, reason) VALUES (?, ?, ?, ?, ?)",
                [(cursor.lastrowid, m["name"], m["score"], m.get("threshold"), m.get("reason"))
                 for m in result["metrics"]],
            )  # fmt: skip
        for given in one.get("feedback", []):
            names = list(given)
            connection.execute(
                f"INSERT INTO satisfaction_feedback (run_id, {', '.join(names)}) VALUES (?, {_marks(names, '?')})",
                [one["run_id"], *given.values()],
            )
        for at, report in enumerate(one.get("reports", [])):
            connection.execute(
                "INSERT INTO analysis_reports (report_id, run_id, report_type, format, content, metadata)"
                " VALUES (?, ?, ?, 'markdown', ?, ?)",
                [f"{one['run_id']}-{at}", one["run_id"], report["report_type"], report["content"],
                 json.dumps(report.get("metadata"))],
            )  # fmt: skip


def postgres(url: str, runs: list[Json]) -> str:
    """Write the tables of the product into a PostgreSQL database that has none; return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_POSTGRES)
        for one in runs:
            _add_postgres(connection, one)
    return url


def _add_postgres(connection: psycopg.Connection, one: Json) -> None:
    names = [*_RUN, *_JSON_OF_RUN, "project_id"]
    values = [one.get(name) for name in _RUN] + [Jsonb(one.get(name)) for name in _JSON_OF_RUN.values()]
    connection.execute(
        f"INSERT INTO evaluation_runs ({', '.join(names)}) VALUES ({_marks(names, '%s')})",  # type: ignore[arg-type]
        [*values, one.get("project_id")],
    )
    for result in one["results"]:
        row = [one["run_id"], *(result.get(name) for name in _CASE), Jsonb(result.get("contexts"))]
        (at,) = connection.execute(
            f"INSERT INTO test_case_results (run_id, {', '.join(_CASE)}, contexts)"  # type: ignore[arg-type]
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            row,
        ).fetchone() or (0,)
        for m in result["metrics"]:
            connection.execute(
                "INSERT INTO metric_scores (result_id, name, score, threshold, reason) VALUES (%s, %s, %s, %s, %s)",
                [at, m["name"], m["score"], m.get("threshold"), m.get("reason")],
            )
    for given in one.get("feedback", []):
        columns = ", ".join(given)
        connection.execute(
            f"INSERT INTO satisfaction_feedback (run_id, {columns}) VALUES (%s, {_marks(given, '%s')})",  # type: ignore[arg-type]
            [one["run_id"], *given.values()],
        )
    for report in one.get("reports", []):
        connection.execute(
            "INSERT INTO analysis_reports (run_id, report_type, format, content, metadata)"
            " VALUES (%s, %s, 'markdown', %s, %s)",
            [one["run_id"], report["report_type"], report["content"], Jsonb(report.get("metadata"))],
        )


def as_json(path: Path, value: Any) -> Path:
    """Write a JSON file of runs."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def _marks(values: Any, mark: str) -> str:
    return ", ".join(mark for _ in values)
