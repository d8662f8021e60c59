"""Evals at 10,000 runs of 20 cases: flat memory, a second run that does nothing, a service that starts at once.

`--rows` scales it: 200,000 rows are 200,000 cases. The vectors are narrow and have no index, since it is the path of
the runs that is measured; what a vector index costs is measured by `search`.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Bar, timed
from wherry.testing.ollama_server import OllamaServer

CASES = 20
_SMALL_SHARE = 10
_MODEL = "hash:64"
_WANTED_NOTHING_S, _WANTED_HEALTH_S, _WANTED_MEMORY = 2.0, 1.0, 1.25
_TABLES = """
CREATE TABLE evaluation_runs (run_id TEXT PRIMARY KEY, dataset_name TEXT NOT NULL, dataset_version TEXT,
  model_name TEXT NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, total_tokens INTEGER,
  total_cost_usd REAL, pass_rate REAL, metrics_evaluated TEXT, thresholds TEXT, langfuse_trace_id TEXT);
CREATE TABLE test_case_results (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, test_case_id TEXT NOT NULL,
  question TEXT, answer TEXT, contexts TEXT, ground_truth TEXT);
CREATE TABLE metric_scores (id INTEGER PRIMARY KEY, result_id INTEGER NOT NULL, metric_name TEXT NOT NULL, score REAL,
  threshold REAL, reason TEXT);
CREATE INDEX idx_runs_started_at ON evaluation_runs(started_at DESC);
CREATE INDEX idx_results_run_id ON test_case_results(run_id);
CREATE INDEX idx_scores_result_id ON metric_scores(result_id);
"""
# One process per figure: the peak is its own, the server not counted.
_CHILD = """
import resource, sys
from wherry.cli import main
code = main(["evals", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure all of it."""
    runs = max(rows // CASES, _SMALL_SHARE)
    os.environ["EVALVAULT_RAG_PGVECTOR_INDEX"] = "none"
    small, large = folder / "small.db", folder / "large.db"
    _write(small, runs // _SMALL_SHARE)
    _write(large, runs)
    _, few = _preindex(small, "--owner", "small")
    first, much = _preindex(large)
    nothing = tuple(timed(lambda: _require_nothing(large)) for _ in range(rounds))
    memory = Bar(
        "E1", f"evals: peak memory, {runs:,} / {runs // _SMALL_SHARE:,} runs", _WANTED_MEMORY, False, (much / few,),
        f"{few / 1024:.0f} MiB -> {much / 1024:.0f} MiB, {first['chunks_embedded']:,} documents in"
        f" {first['seconds']:.0f} s",
    )  # fmt: skip
    again = f"nothing of {first['scanned']:,} runs and {first['chunks_embedded']:,} documents was embedded"
    bars = [memory, Bar("E2", "evals: a second run, whole process", _WANTED_NOTHING_S, False, nothing, again, "s")]
    return [*bars, *_starts(folder, rounds)]


def _write(path: Path, runs: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO evaluation_runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", _runs(runs))
        connection.executemany("INSERT INTO test_case_results VALUES (?,?,?,?,?,?,?)", _cases(runs))
        connection.executemany("INSERT INTO metric_scores VALUES (?,?,?,?,?,?)", _scores(runs))
    connection.close()
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))


def _runs(runs: int) -> Iterator[tuple[object, ...]]:
    names, thresholds = json.dumps(["faithfulness", "answer_relevancy"]), json.dumps({"faithfulness": 0.7})
    for n in range(runs):
        started = f"2026-{n // 900 % 12 + 1:02}-{n // 30 % 28 + 1:02}T09:{n % 60:02}:00.{n:06}"
        yield f"run-{n:06}", "qa", "1", "m-1", started, None, 5108, 0.25, None, names, thresholds, None


def _cases(runs: int) -> Iterator[tuple[object, ...]]:
    for n in range(runs * CASES):
        contexts = json.dumps([f"특약 {n}: {n % 40}% 할인.", "블랙박스 장착 차량은 보험료를 할인합니다."])
        yield n, f"run-{n // CASES:06}", f"auto-{n % CASES:03}", f"특약 {n}의 할인율은?", f"{n % 37}%", contexts, "5%"


def _scores(runs: int) -> Iterator[tuple[object, ...]]:
    for n in range(runs * CASES * 2):
        name = ("faithfulness", "answer_relevancy")[n % 2]
        yield n, n // 2, name, n % 11 / 10, 0.7, "근거와 다름" if n % 11 < 7 else None


def _preindex(path: Path, *more: str) -> tuple[dict[str, object], int]:
    """Index in a process of its own; return its JSON and its peak memory in KiB."""
    words = ["preindex", "--source-db", str(path), "--embedding-model", _MODEL, "--skip-user-guide", "--json", *more]
    done = subprocess.run([sys.executable, "-c", _CHILD, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), int(done.stderr.split()[-1])


def _require_nothing(path: Path) -> None:
    done, _ = _preindex(path)
    if done["chunks_embedded"] or done["indexed"] or done["scanned"] != done["unchanged"]:
        raise RuntimeError(f"a second run did something: {done}")


def _starts(folder: Path, rounds: int) -> list[Bar]:
    """Start the service over an index that is cold, with an embedder that hangs; ask for its health."""
    place = folder / "serve"
    (place / "docs/guides").mkdir(parents=True)
    (place / "docs/guides/USER_GUIDE.md").write_text("# 안내\n\n새로 쓴 안내입니다.\n\n" * 50, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "wherry", "serve", "keys", "add", "bench", "--json"], check=True, capture_output=True
    )
    with OllamaServer("qwen3-embedding:8b", dimension=64) as hanging:
        more = {
            "EVALVAULT_RAG_EMBEDDING_PROFILE": "ollama", "OLLAMA_BASE_URL": hanging.url,
            "WHERRY_HOME": str(folder / "cold"), "EVALVAULT_DB_PATH": str(folder / "small.db"),
        }  # fmt: skip
        seconds = []
        for _ in range(rounds):
            hanging.hold(1)
            seconds.append(_health(place, {**os.environ, **more}))
    shown = "from the bound port to 200 of /healthz; the process's own start is not in it"
    return [Bar("E3", "evals: health while warm-up hangs", _WANTED_HEALTH_S, False, tuple(seconds), shown, "s")]


def _health(place: Path, environment: dict[str, str]) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "wherry", "serve", "--port", str(port)], cwd=place, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError("the service did not start") from None
                time.sleep(0.01)
        return timed(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30).read())
    finally:
        server.terminate()
        server.wait(30)
