"""What the demo works on: a guide, and three weeks of evaluation runs of an insurance assistant, in an old database."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wherry_apps.evals.runs import Json

GUIDE = """# 평가 도구 사용 안내

이 도구는 질의응답 시스템의 답변을 지표로 채점하고, 실행마다 결과를 보관합니다.

## 설치와 설정

설치는 한 줄로 끝납니다. 실행 결과를 보관할 데이터베이스의 경로는 환경 변수 EVALVAULT_DB_PATH 로 바꿉니다.

## 데이터셋 준비

데이터셋은 질문과 기대 답변, 근거 문맥을 담은 JSON 파일입니다. 질문마다 고유한 번호를 붙이십시오.

## 지표 고르기

faithfulness 는 답변이 근거 문맥에 있는 내용만 말하는지 봅니다. answer_relevancy 는 답변이 질문에 맞는지 봅니다.
기준값은 지표마다 0 과 1 사이에서 정하며, 정하지 않으면 0.7 입니다.

## 실행과 비교

실행은 언제든 다시 할 수 있고, 두 실행은 같은 질문끼리 비교됩니다. 실행을 지우면 결과도 함께 사라집니다.

## 점수가 낮을 때

faithfulness 점수가 낮으면 먼저 검색된 문맥에 답이 들어 있는지 확인하십시오. 문맥에 답이 없으면 검색을, 답이 있는데
다른 말을 하면 모델이나 지시문을 고칩니다.
"""
EDITED = ("정하지 않으면 0.7 입니다.", "정하지 않으면 0.75 로 합니다.")

# question, expected, right answer, wrong answer, context
_QUESTIONS = (
    ("보증 기간은 얼마인가요?", "2년", "보증은 2년입니다.", "보증은 1년입니다.", "제품 보증은 구입일로부터 2년이다."),
    ("블랙박스 할인율은?", "5%", "5% 할인됩니다.", "10% 할인됩니다.", "2채널 블랙박스 장착 차량은 5% 할인한다."),
    ("사고 접수 번호는?", "1588-0000", "1588-0000 입니다.", "112 입니다.", "사고 접수는 1588-0000 에서 받는다."),
    (
        "보험금 지급 기한은?",
        "3영업일",
        "3영업일 안입니다.",
        "한 달 안입니다.",
        "보험금은 서류 접수 후 3영업일 안에 지급한다.",
    ),
    ("자동이체 할인은?", "1%", "1% 할인됩니다.", "할인이 없습니다.", "자동이체를 등록하면 1% 할인한다."),
)
_TABLES = """
CREATE TABLE evaluation_runs (run_id TEXT PRIMARY KEY, dataset_name TEXT NOT NULL, dataset_version TEXT,
  model_name TEXT NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, total_tokens INTEGER,
  total_cost_usd REAL, pass_rate REAL, metrics_evaluated TEXT, thresholds TEXT, langfuse_trace_id TEXT);
CREATE TABLE test_case_results (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, test_case_id TEXT NOT NULL,
  question TEXT, answer TEXT, contexts TEXT, ground_truth TEXT);
CREATE TABLE metric_scores (id INTEGER PRIMARY KEY, result_id INTEGER NOT NULL, metric_name TEXT NOT NULL, score REAL,
  threshold REAL, reason TEXT);
"""


def run(run_id: str, model: str, started: datetime, wrong: tuple[int, ...]) -> Json:
    """Return a run; the questions numbered in `wrong` (from 1) are answered wrongly."""
    return {
        "run_id": run_id, "dataset_name": "보험 상담", "dataset_version": "1.0", "model_name": model,
        "started_at": started.replace(tzinfo=None).isoformat(timespec="seconds"),
        "finished_at": (started + timedelta(minutes=4)).replace(tzinfo=None).isoformat(timespec="seconds"),
        "total_tokens": 4200, "total_cost_usd": 0.021, "metrics_evaluated": ["faithfulness", "answer_relevancy"],
        "thresholds": {"faithfulness": 0.7, "answer_relevancy": 0.7},
        "results": [_case(number, number in wrong) for number in range(1, len(_QUESTIONS) + 1)],
    }  # fmt: skip


def runs(now: datetime | None = None) -> list[Json]:
    """Return the runs of the three weeks before, as seen from now (UTC)."""
    today = (now or datetime.now(UTC)).replace(hour=9, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    return [
        run("r-01", "m-small", monday - timedelta(days=13), (1, 2, 4)),
        run("r-02", "m-small", monday - timedelta(days=6), (1, 4)),
        run("r-03", "m-large", monday - timedelta(days=4), (4,)),
        run("r-04", "m-large", monday - timedelta(days=3), ()),
    ]


def write(path: Path, found: list[Json]) -> None:
    """Write runs into an old database: three tables, no metadata."""
    with sqlite3.connect(path) as connection:
        connection.executescript(_TABLES)
        for one in found:
            add(connection, one)
    connection.close()


def add(connection: sqlite3.Connection, one: Json) -> None:
    """Add a run to the database."""
    connection.execute(
        "INSERT INTO evaluation_runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, NULL)",
        [one[name] for name in ("run_id", "dataset_name", "dataset_version", "model_name", "started_at",
                                "finished_at", "total_tokens", "total_cost_usd")]
        + [json.dumps(one[name]) for name in ("metrics_evaluated", "thresholds")],
    )  # fmt: skip
    for result in one["results"]:
        cursor = connection.execute(
            "INSERT INTO test_case_results (run_id, test_case_id, question, answer, contexts, ground_truth)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [one["run_id"], result["test_case_id"], result["question"], result["answer"],
             json.dumps(result["contexts"]), result["ground_truth"]],
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO metric_scores (result_id, metric_name, score, threshold, reason) VALUES (?, ?, ?, ?, ?)",
            [(cursor.lastrowid, m["name"], m["score"], m["threshold"], m["reason"]) for m in result["metrics"]],
        )


def _case(number: int, is_wrong: bool) -> Json:
    question, expected, right, wrong, context = _QUESTIONS[number - 1]
    reason = f"근거에는 '{expected}' 인데 답변은 '{wrong}'" if is_wrong else None
    return {
        "test_case_id": f"c{number}", "question": question, "ground_truth": expected,
        "answer": wrong if is_wrong else right, "contexts": [context],
        "metrics": [
            {"name": "faithfulness", "score": 0.1 * (number - 1) if is_wrong else 0.95, "threshold": 0.7,
             "reason": reason},
            {"name": "answer_relevancy", "score": 0.88, "threshold": 0.7, "reason": None},
        ],
    }  # fmt: skip
