"""`wherry evals preindex`: what is indexed, what is skipped, what fails, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.apps.evals.conftest import with_settings
from tests.apps.evals.places import R01, add_runs, as_json, new_sqlite, old_sqlite, postgres, run, uuid_of
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.evals.preindexing import Preindex, Wish
from wherry_apps.evals.service import Evals

Cli = Callable[..., tuple[int, Any, str]]


def preindex(run_cli: Cli, *words: str, code: int = 0) -> dict[str, Any]:
    found = run_cli("preindex", *words, "--json")
    assert found[0] == code, found
    return json.loads(found[1])


def rows(evals: Evals, statement: str) -> list[tuple[Any, ...]]:
    with evals.database.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def test_an_old_database_is_indexed_whole_and_a_second_run_embeds_nothing(
    evals: Evals, run_cli: Cli, guide: Path, tmp_path: Path
) -> None:
    path = old_sqlite(tmp_path / "old.db", [run(n) for n in range(1, 4)])
    first = preindex(run_cli, "--source-db", str(path), "--embedding-model", "hash:64", "--user-guide-limit", "2")
    assert (first["new"], first["failed"], first["chunks_embedded"]) == (4, 0, 3 * 5 + 2)
    assert first["sources"]["user_guide"].startswith("2 of ")
    again = preindex(run_cli, "--source-db", str(path), "--embedding-model", "hash:64", "--user-guide-limit", "2")
    assert (again["unchanged"], again["chunks_embedded"], again["indexed"]) == (4, 0, 0)
    found = rows(evals, "SELECT source, count(*), min(doc_id), max(doc_id) FROM rag_documents GROUP BY 1 ORDER BY 1")
    assert [row[0] for row in found] == [f"run:{uuid_of(n)}" for n in range(1, 4)] + ["user_guide"]
    assert all((count, first, last) == (count, 0, count - 1) for _, count, first, last in found)
    hashes = rows(evals, "SELECT DISTINCT length(source_hash) FROM rag_documents")
    assert hashes == [(64,)]


def test_the_printed_line_tells_indexed_skipped_and_failed(run_cli: Cli, guide: Path, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(1)])
    code, out, _ = run_cli("preindex", "--source-db", str(path), "--user-guide-limit", "1")
    assert code == 0
    assert "2 sources: 2 indexed, 0 skipped, 0 failed" in out
    assert "user_guide: 1 of" in out


def test_metadata_is_written_and_can_be_filtered_by(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    preindex(run_cli, "--source-db", str(as_json(tmp_path / "r.json", [R01, run(1)])), "--skip-user-guide")
    assert rows(evals, "SELECT count(*) FROM rag_documents WHERE metadata->>'kind' IS NULL") == [(0,)]
    code, out, _ = run_cli("search", "보증", "--case-id", "c1", "--json")
    assert code == 0
    assert [hit["metadata"]["case_id"] for hit in json.loads(out)["hits"]] == ["c1"]


def test_options_leave_out_what_they_say(run_cli: Cli, guide: Path, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n, day=n) for n in range(1, 6)])
    (tmp_path / "more").mkdir()
    (tmp_path / "more/ops.md").write_text("# 운영\n\n백업은 매일 합니다.\n", encoding="utf-8")
    source = ("--source-db", str(path))
    assert preindex(run_cli, *source, "--skip-user-guide", "--limit-runs", "2")["new"] == 2
    assert preindex(run_cli, *source, "--skip-runs", "--docs", str(tmp_path / "more"))["new"] == 2
    found = json.loads(run_cli("status", "--json")[1])
    assert {one["source"] for one in found["sources"]} == {
        "user_guide", "doc:ops.md", f"run:{uuid_of(4)}", f"run:{uuid_of(5)}"
    }  # fmt: skip
    assert preindex(run_cli, *source, "--skip-user-guide")["new"] == 3
    assert run_cli("search", "백업", "--kind", "doc", "--json")[0] == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--limit-runs", "0"], 2), (["--matryoshka-dim", "8192"], 2), (["--batch-size", "0"], 2),
        (["--skip-runs", "--skip-user-guide"], 2), (["--embedding-model", "hash:64", "--matryoshka-dim", "65"], 2),
        (["--embedding-model", "hash:4096"], 2), (["--source-db", "missing.db"], 4), (["--source-db", "text.txt"], 5),
        (["--source-db", "other.db"], 5),
    ],
)  # fmt: skip
def test_exit_codes(run_cli: Cli, tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "text.txt").write_text("no database")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    done = run_cli("preindex", *words)
    assert done[0] == code, done
    assert done[2].strip()
    assert not (tmp_path / "missing.db").exists()


def test_one_bad_run_is_named_and_the_others_are_there(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n) for n in range(1, 4)])
    source = ("--source-db", str(path), "--skip-user-guide")
    preindex(run_cli, *source)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE evaluation_runs SET thresholds = '{' WHERE run_id = ?", [uuid_of(2)])
        connection.execute("UPDATE metric_scores SET score = 0.25 WHERE id = 1")
    connection.close()
    done = preindex(run_cli, *source, code=5)
    assert (done["failed"], done["modified"], done["unchanged"]) == (1, 1, 1)
    assert done["failures"][0]["source"] == f"run:{uuid_of(2)}"
    # What was there of the bad run still answers.
    assert rows(evals, f"SELECT count(*) FROM rag_documents WHERE source = 'run:{uuid_of(2)}'") == [(5,)]
    found = json.loads(run_cli("status", "--json")[1])
    failed = [one for one in found["sources"] if one["state"] == "failed"]
    assert [(one["source"], one["error"]) for one in failed] == [(f"run:{uuid_of(2)}", "thresholds is no JSON")]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE evaluation_runs SET thresholds = '{}' WHERE run_id = ?", [uuid_of(2)])
    connection.close()
    assert preindex(run_cli, *source)["failed"] == 0


def test_only_what_changed_is_embedded_again(run_cli: Cli, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n, 10) for n in range(1, 4)])
    source = ("--source-db", str(path), "--skip-user-guide")
    preindex(run_cli, *source)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE test_case_results SET answer = '새 답변' WHERE id = 1")
        add_runs(connection, [run(9, 2)], ("metrics_evaluated", "thresholds", "metadata"))
    connection.close()
    done = preindex(run_cli, *source)
    assert (done["new"], done["modified"], done["unchanged"]) == (1, 1, 2)
    # One case of the changed run; all four documents of the new one.
    assert (done["chunks_embedded"], done["chunks_reused"]) == (1 + 4, 11)


def test_deleted_runs_disappear_and_many_at_once_only_when_purged(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n, 1) for n in range(1, 31)])
    source = ("--source-db", str(path), "--skip-user-guide")
    preindex(run_cli, *source)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM evaluation_runs WHERE run_id = ?", [uuid_of(3)])
    connection.close()
    assert preindex(run_cli, *source)["deleted"] == 1
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM evaluation_runs WHERE run_id > ?", [uuid_of(12)])
    connection.close()
    done = preindex(run_cli, *source)
    assert done["deleted"] == 0
    assert "18 of 29 runs are gone" in done["notes"][0]
    code, out, _ = run_cli("purge", "--json")
    assert (code, json.loads(out)["deleted"]) == (0, 18)
    assert rows(evals, "SELECT count(DISTINCT source) FROM rag_documents") == [(11,)]


def test_purge_removes_what_came_from_files_that_are_gone(run_cli: Cli, guide: Path, tmp_path: Path) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(1)])
    preindex(run_cli, "--source-db", str(path))
    guide.unlink()
    path.unlink()
    done = json.loads(run_cli("purge", "--json")[1])
    assert done["sources"] == [f"run:{uuid_of(1)}", "user_guide"]


def test_another_dimension_is_refused_before_anything_is_written(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    source = ("--source-db", str(as_json(tmp_path / "r.json", R01)), "--skip-user-guide")
    preindex(run_cli, *source, "--embedding-model", "hash:64")
    before = rows(evals, "SELECT id, source_hash FROM rag_documents ORDER BY id")
    code, _, told = run_cli("preindex", *source, "--embedding-model", "hash:64", "--matryoshka-dim", "32")
    assert code == 3
    assert "hash:64 with 64" in told
    assert "hash:64 with 32" in told
    assert rows(evals, "SELECT id, source_hash FROM rag_documents ORDER BY id") == before
    done = preindex(run_cli, *source, "--embedding-model", "hash:64", "--matryoshka-dim", "32", "--recreate")
    assert (done["new"], done["chunks_embedded"]) == (1, 3)
    norms = rows(evals, "SELECT vector_dims(embedding), round(vector_norm(embedding)::numeric, 5) FROM rag_documents")
    assert set(norms) == {(32, 1)}


def test_command_line_and_service_share_one_hash_and_one_limit(
    evals: Evals, run_cli: Cli, guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(1)])
    monkeypatch.setenv("EVALVAULT_DB_PATH", str(path))
    preindex(run_cli)
    index = with_settings(evals)
    done = Preindex(index, Wish(lenient=True)).run().to_dict()
    assert (done["chunks_embedded"], done["unchanged"]) == (0, 2)


def test_another_limit_of_the_guide_refreshes_it(run_cli: Cli, guide: Path) -> None:
    only = ("--skip-runs", "--user-guide-limit")
    assert preindex(run_cli, *only, "1")["chunks_embedded"] == 1
    done = preindex(run_cli, *only, "0")
    assert done["modified"] == 1
    assert done["chunks_embedded"] >= 2
    pieces, _, whole = done["sources"]["user_guide"].removesuffix(" indexed").partition(" of ")
    assert pieces == whole


def test_a_short_or_missing_guide_is_told(run_cli: Cli, tmp_path: Path) -> None:
    done = preindex(run_cli, "--skip-runs")
    assert "is not there" in done["notes"][0]
    path = tmp_path / "docs/guides/USER_GUIDE.md"
    path.parent.mkdir(parents=True)
    path.write_text("", encoding="utf-8")
    assert "0 pieces only" in preindex(run_cli, "--skip-runs")["notes"][0]
    # A run that finds nothing to do is no reason to be silent.
    assert "0 pieces only" in preindex(run_cli, "--skip-runs")["notes"][0]


def test_a_run_that_is_given_twice_is_indexed_once_and_told(run_cli: Cli, tmp_path: Path) -> None:
    path = as_json(tmp_path / "r.json", [R01, {**R01, "model_name": "m-2"}])
    done = preindex(run_cli, "--source-db", str(path), "--skip-user-guide")
    assert (done["new"], done["failed"]) == (1, 0)
    assert "given twice" in done["notes"][0]


def test_runs_in_postgresql_are_indexed_from_the_settings(
    evals: Evals, run_cli: Cli, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres(fresh_url, [run(1), run(2)])
    monkeypatch.setenv("DB_BACKEND", "postgres")
    monkeypatch.setenv("EVALVAULT_DB_PATH", "there-is-none.db")
    monkeypatch.setenv("POSTGRES_CONNECTION_STRING", fresh_url)
    assert preindex(run_cli, "--skip-user-guide")["new"] == 2
    assert preindex(run_cli, "--skip-user-guide")["unchanged"] == 2


def test_ollama_down_exits_4_and_the_old_index_still_answers(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry_apps.evals.embedding.WAITS_S", (0.01, 0.02))
    path = new_sqlite(tmp_path / "runs.db", [run(1)])
    words = ("--source-db", str(path), "--skip-user-guide", "--embedding-model", "qwen3-embedding:8b",
             "--matryoshka-dim", "32")  # fmt: skip
    with OllamaServer("qwen3-embedding:8b", dimension=64) as ollama:
        monkeypatch.setenv("OLLAMA_BASE_URL", ollama.url)
        done = preindex(run_cli, *words)
        assert done["embedder"] == {
            "provider": "ollama", "model": "qwen3-embedding:8b", "dim": 32, "normalised": True
        }  # fmt: skip
    with sqlite3.connect(path) as connection:
        add_runs(connection, [run(2)], ("metrics_evaluated", "thresholds"))
    connection.close()
    code, _, told = run_cli("preindex", *words)
    assert code == 4, told
    found = json.loads(run_cli("status", "--json")[1])
    assert {one["source"]: one["state"] for one in found["sources"]} == {
        f"run:{uuid_of(1)}": "ready", f"run:{uuid_of(2)}": "failed"
    }  # fmt: skip
    code, out, _ = run_cli("search", "할인율", "--json")
    found = json.loads(out)
    assert code == 0
    # Words still find; that meaning could not be asked is said.
    assert found["hits"]
    assert "the vector leg was left out" in found["notes"][0]
    assert run_cli("ask", "실패한 케이스는?", "--run-id", uuid_of(1))[0] == 0


def test_killed_midway_it_goes_on_without_duplicates(
    evals: Evals, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_sqlite(tmp_path / "runs.db", [run(n, 2) for n in range(1, 401)])
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_INDEX", "none")
    words = ["--source-db", str(path), "--skip-user-guide", "--embedding-model", "hash:64"]
    child = subprocess.Popen(
        [sys.executable, "-m", "wherry", "evals", "preindex", *words], env=os.environ, cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not rows(evals, "SELECT 1 FROM rag_documents LIMIT 1"):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    there = rows(evals, "SELECT count(DISTINCT source) FROM rag_documents")[0][0]
    assert 0 < there < 400
    done = preindex(run_cli, *words)
    assert done["unchanged"] == there
    assert rows(evals, "SELECT count(*), count(DISTINCT (source, doc_id)) FROM rag_documents") == [(400 * 4, 400 * 4)]
    assert rows(evals, "SELECT DISTINCT state FROM rag_sources") == [("ready",)]


def test_two_at_a_time_are_one_too_many(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    path = as_json(tmp_path / "r.json", R01)
    with evals.index.exclusive():
        code, _, told = run_cli("preindex", "--source-db", str(path), "--skip-user-guide")
    assert code == 7
    assert "another process is indexing" in told


def test_a_run_that_ends_soon_is_waited_for(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with evals.index.exclusive():
            held.set()
            done.wait(0.5)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(10)
    code, _, _ = run_cli("preindex", "--source-db", str(as_json(tmp_path / "r.json", R01)), "--skip-user-guide")
    done.set()
    other.join()
    assert code == 0


@pytest.mark.parametrize(("kind", "wanted"), [("hnsw", ["hnsw"]), ("ivfflat", ["ivfflat"]), ("none", [])])
def test_the_vector_index_is_of_the_kind_that_was_chosen(
    evals: Evals, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, wanted: list[str]
) -> None:
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_INDEX", kind)
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_INDEX_LISTS", "7")
    preindex(run_cli, "--source-db", str(as_json(tmp_path / "r.json", R01)), "--skip-user-guide")
    found = rows(
        evals,
        "SELECT am.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam"
        " WHERE c.relname = 'idx_rag_documents_embedding'",
    )
    assert [row[0] for row in found] == wanted
    assert evals.database.drift() == []
    assert run_cli("search", "보증", "--json")[0] == 0


def test_a_setting_that_cannot_be_is_named(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_HNSW_M", "one")
    code, _, told = run_cli("status")
    assert code == 2
    assert "EVALVAULT_RAG_PGVECTOR_HNSW_M" in told
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_HNSW_M", "16")
    monkeypatch.setenv("EVALVAULT_RAG_EMBEDDING_PROFILE", "cloud")
    assert run_cli("preindex", "--skip-runs")[0] == 2


def test_the_documents_are_brought_to_the_store_that_is_named(
    evals: Evals, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALVAULT_RAG_VECTOR_STORE", "faiss")
    preindex(run_cli, "--source-db", str(as_json(tmp_path / "r.json", [R01, run(1)])), "--skip-user-guide")
    assert (tmp_path / "data/rag").is_dir()
    code, out, _ = run_cli("search", "보증 기간", "--json")
    hits = json.loads(out)["hits"]
    assert code == 0
    assert hits[0]["source"] == "run:r-01"
    assert hits[0]["metadata"]["run_id"] == "r-01"


def test_rows_of_an_unknown_embedder_are_never_taken_over(evals: Evals, run_cli: Cli, tmp_path: Path) -> None:
    source = ("--source-db", str(as_json(tmp_path / "r.json", R01)), "--skip-user-guide")
    preindex(run_cli, *source, "--embedding-model", "hash:64")
    with evals.database.begin() as connection:
        connection.exec_driver_sql("UPDATE rag_sources SET embedder = '{}'")
    done = preindex(run_cli, *source, "--embedding-model", "hash:64")
    assert (done["modified"], done["chunks_embedded"], done["chunks_reused"]) == (1, 3, 0)


def test_another_kind_of_vector_index_is_made_although_nothing_changed(
    evals: Evals, run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ("--source-db", str(as_json(tmp_path / "r.json", R01)), "--skip-user-guide")
    preindex(run_cli, *source)
    monkeypatch.setenv("EVALVAULT_RAG_PGVECTOR_INDEX", "none")
    assert preindex(run_cli, *source)["unchanged"] == 1
    assert rows(evals, "SELECT 1 FROM pg_class WHERE relname = 'idx_rag_documents_embedding'") == []


def test_two_places_with_the_same_runs_never_pass_for_each_other(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry_apps.evals.reading.marks._SETTLED_NS", 0)
    one, other = as_json(tmp_path / "a.json", R01), as_json(tmp_path / "b.json", {**R01, "model_name": "m-2"})
    time.sleep(0.05)
    told = [preindex(run_cli, "--source-db", str(path), "--skip-user-guide") for path in (one, other, one, one)]
    assert [(done["new"], done["modified"], done["unchanged"]) for done in told] == [
        (1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1)
    ]  # fmt: skip
