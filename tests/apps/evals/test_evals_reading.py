"""Reading runs: every shape gives the same documents, and nothing is ever written there."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.apps.evals.places import R01, add_runs, as_json, new_sqlite, old_sqlite, postgres, run, uuid_of
from wherry import BadRecord, NoSuchCollection, Unreachable, Usage
from wherry_apps.evals.composing import Composed, documents_of
from wherry_apps.evals.reading import RunSource, configured, open_runs
from wherry_apps.evals.rules import source_hash
from wherry_apps.evals.runs import run_of
from wherry_apps.evals.settings import Settings

MODEL = {"provider": "hash", "model": "64", "dim": 64, "normalised": True}


def told(place: str | Path) -> dict[str, tuple[list[Composed], str]]:
    runs = open_runs(str(place))
    found = {}
    for page in runs.pages():
        for raw in page:
            documents = documents_of(run_of(raw.document()), 6000)
            parts = [(one.content, one.metadata) for one in documents]
            found[raw.run_id] = (documents, source_hash(parts, MODEL, {}, None))
    runs.close()
    return found


def rich(number: int) -> dict[str, Any]:
    return {
        **run(number, 12), "retrieval_metadata": {"auto-001": {"k": 5, "가": [1, 2]}},
        "tracker_trace_ids": {"langfuse": "t-9"}, "pass_rate": 0.25,
        "feedback": [
            {"test_case_id": "auto-002", "satisfaction_score": 4.5, "thumb_feedback": "up", "comment": "도움됨",
             "rater_id": "kim", "created_at": "2026-01-06T00:00:00"},
        ],
        "reports": [{"report_type": "technical", "content": "요약: 두 건이 실패", "metadata": {"path": "r.md"}}],
    }  # fmt: skip


def test_sqlite_postgresql_and_json_give_the_same_documents_and_hashes(tmp_path: Path, fresh_url: str) -> None:
    runs = [rich(number) for number in range(1, 6)]
    one = told(new_sqlite(tmp_path / "runs.db", runs))
    assert len(one) == 5
    assert {kind for documents, _ in one.values() for kind in (d.metadata["kind"] for d in documents)} == {
        "run_summary", "run_failures", "run_retrieval", "test_case", "feedback", "report"
    }  # fmt: skip
    assert told(postgres(fresh_url, runs)) == one
    assert told(as_json(tmp_path / "runs.json", {"output": {"runs": runs, "summaries": [], "count": 5}})) == one
    assert told(as_json(tmp_path / "list.json", runs)) == one


def test_an_old_database_is_read_whole_and_stays_as_it_is(tmp_path: Path) -> None:
    path = old_sqlite(tmp_path / "old.db", [run(n, 4) for n in range(1, 4)])
    before = sha256(path.read_bytes()).hexdigest()
    found = told(path)
    assert sha256(path.read_bytes()).hexdigest() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.db"]
    assert set(found) == {uuid_of(n) for n in range(1, 4)}
    cases = [d for documents, _ in found.values() for d in documents if d.metadata["kind"] == "test_case"]
    assert len(cases) == 12
    assert all("faithfulness=" in case.content and "prediction: " in case.content for case in cases)
    assert "run_mode" not in found[uuid_of(1)][0][0].content


def test_a_database_in_wal_mode_gets_no_files_beside_it(tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "wal.db", [run(1)])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = wal")
    connection.close()
    before = sha256(path.read_bytes()).hexdigest()
    assert len(told(path)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["wal.db"]
    assert sha256(path.read_bytes()).hexdigest() == before


def test_what_a_writer_has_only_logged_is_read_too(tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "live.db", [run(1)])
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = wal")
    with writer:
        add_runs(writer, [run(2)], ("metrics_evaluated", "thresholds"))
    assert len(told(path)) == 2
    writer.close()


def test_a_mark_changes_with_the_file_and_says_nothing_of_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry_apps.evals.reading.marks._SETTLED_NS", 300_000_000)
    path = new_sqlite(tmp_path / "runs.db", [run(1)])
    runs = open_runs(str(path))
    assert runs.mark() is None
    age(path)
    first = settled_mark(runs)
    assert first == runs.mark()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE metric_scores SET score = 0.1")
    connection.close()
    assert runs.mark() is None
    age(path)
    assert settled_mark(runs) != first


def test_the_mark_of_postgresql_changes_with_every_row(fresh_url: str) -> None:
    runs = open_runs(postgres(fresh_url, [run(1), run(2)]))
    first = runs.mark()
    assert first == runs.mark()
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute("UPDATE metric_scores SET score = 0.11 WHERE id = 1")
        second = runs.mark()
        connection.execute("DELETE FROM metric_scores WHERE id = 1")
    assert len({first, second, runs.mark()}) == 3
    runs.close()


def age(path: Path) -> None:
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))


def settled_mark(runs: RunSource) -> str:
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        mark = runs.mark()
        if mark is not None:
            return mark
        time.sleep(0.05)
    raise AssertionError("the file never settled")


def test_pages_go_by_key_and_newer_runs_do_not_disturb(tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n, 1, day=1 + n % 3) for n in range(250)])
    runs = open_runs(str(path))
    pages = runs.pages()
    seen = [raw.run_id for raw in next(pages)]
    with sqlite3.connect(path) as connection:
        add_runs(connection, [run(900, 1, day=28)], ("metrics_evaluated", "thresholds"))
    seen += [raw.run_id for page in pages for raw in page]
    assert len(seen) == len(set(seen)) == 250
    assert [len(page) for page in runs.pages()] == [100, 100, 51]
    newest = [raw.run_id for page in runs.pages(3) for raw in page]
    assert newest[0] == uuid_of(900)
    assert len(newest) == 3
    runs.close()


@pytest.mark.parametrize(
    "shape",
    [
        R01, [R01], {"runs": [R01]}, {"output": {"runs": [R01], "summaries": [], "count": 1, "missing_run_ids": []}},
        {"run_id": "r-01", "cases": [{"test_case_id": "c1", "scores": {"faithfulness": 0.0}}]},
    ],
)  # fmt: skip
def test_json_in_all_its_shapes(tmp_path: Path, shape: Any) -> None:
    found = told(as_json(tmp_path / "r.json", shape))
    assert list(found) == ["r-01"]
    assert "- c1: faithfulness=0.0" in found["r-01"][0][1].content


def test_a_run_with_broken_json_is_bad_alone(tmp_path: Path) -> None:
    path = old_sqlite(tmp_path / "old.db", [run(1), run(2)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE evaluation_runs SET thresholds = '{broken' WHERE run_id = ?", [uuid_of(1)])
        connection.execute("UPDATE test_case_results SET contexts = 'plain text' WHERE run_id = ?", [uuid_of(2)])
    connection.close()
    (page,) = open_runs(str(path)).pages()
    by_id = {raw.run_id: raw for raw in page}
    with pytest.raises(BadRecord, match="thresholds is no JSON"):
        by_id[uuid_of(1)].document()
    assert run_of(by_id[uuid_of(2)].document()).cases[0].contexts == ("plain text",)


def test_what_is_no_place_of_runs(tmp_path: Path) -> None:
    with pytest.raises(NoSuchCollection):
        open_runs(str(tmp_path / "missing.db"))
    assert list(tmp_path.iterdir()) == []
    text = tmp_path / "notes.txt"
    text.write_text("no database")
    with pytest.raises(BadRecord, match="neither"):
        open_runs(str(text))
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(BadRecord, match="evaluation_runs"):
        list(open_runs(str(other)).pages())
    with pytest.raises(BadRecord, match="no runs"):
        list(open_runs(str(as_json(tmp_path / "x.json", {"a": 1}))).pages())
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"SQLite format 3\x00" + b"\x7f" * 5000)
    with pytest.raises(BadRecord, match="no sound SQLite"):
        list(open_runs(str(damaged)).pages())


def test_a_server_that_is_down_is_unreachable_and_its_password_does_not_print() -> None:
    runs = open_runs("postgresql://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(Unreachable) as failure:
        list(runs.pages())
    assert "hunter2" not in json.dumps(failure.value.to_dict()) + runs.place


def test_the_configured_backend_is_not_always_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(Settings(EVALVAULT_DB_PATH="a.db")) == "a.db"
    server = Settings(
        DB_BACKEND="postgres", POSTGRES_HOST="h", POSTGRES_USER="u", POSTGRES_PASSWORD="p@s", EVALVAULT_DB_PATH="a.db"
    )
    assert configured(server) == "postgresql://u:p%40s@h:5432/evalvault"
    assert (
        configured(Settings(DB_BACKEND="postgres", POSTGRES_CONNECTION_STRING="postgresql://x/y")) == "postgresql://x/y"
    )
    with pytest.raises(Usage):
        configured(Settings(DB_BACKEND="oracle"))
