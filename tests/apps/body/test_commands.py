"""The commands: what they print, write, refuse, and end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.apps.body.sheets_kit import EXAMPLE_C, FLAT, shapes
from wherry.cli import main
from wherry_apps.body import operating
from wherry_apps.body.service import Body

Run = Callable[..., tuple[int, dict[str, Any]]]
NOWHERE = "postgresql://u:hunter2@127.0.0.1:9/db"


@pytest.fixture
def run(body: Body, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `wherry body ... --json`; return the exit code and the object it printed."""

    def command(*words: Any) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["body", *map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    file = tmp_path / "s.json"
    file.write_text(json.dumps(FLAT, ensure_ascii=False), encoding="utf-8")
    return file


def test_init_then_check(run: Run) -> None:
    code, made = run("init")
    assert (code, made["person"]["id"]) == (0, 1)
    assert run("init")[1]["person"] is None
    code, found = run("check")
    assert code == 0
    assert found["pgvector"]
    assert {f"idx_analysis_reports_{column}_hnsw" for column in ("embedding_1536", "embedding_1024")} <= set(
        found["indexes"]
    )
    assert (found["missing_indexes"], found["drift"]) == ([], [])


def test_check_in_words(body: Body, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["body", "check"]) == 0
    said = capsys.readouterr().out
    for word in (
        "connection:",
        "extension vector: 0",
        "idx_analysis_reports_embedding_1536_hnsw",
        "embedding_1024_hnsw",
    ):
        assert word in said


def test_analyze_prints_ids_and_writes_the_file(run: Run, sheet: Path, tmp_path: Path) -> None:
    run("init")
    out = tmp_path / "r.json"
    code, done = run(
        "analyze", "--user-id", 1, "--measurements-file", sheet, "--enable-embedding", "--output-file", out
    )
    assert code == 0
    assert (done["record_id"], done["id"]) == (1, 1)
    assert json.loads(out.read_text()) == done
    assert done["embedding"] == {"hash:1024": {"stored": "embedding_1024"}}
    prose = tmp_path / "r.txt"
    code, again = run("analyze", "--user-id", 1, "--record-id", 1, "--output-file", prose)
    assert (again["id"], again["created"]) == (1, False)
    assert prose.read_text() == done["llm_output"] + "\n"
    assert run("analyze", "--user-id", 1, "--record-id", 1, "--force")[1]["id"] == 2
    other = run("user-add", "lee", "lee@example.org")[1]["id"]
    assert run("analyze", "--user-id", other, "--record-id", 1)[0] == 3


def test_every_shape_gives_the_same_types_and_stores_them(run: Run, body: Body) -> None:
    run("init")
    found = set()
    for one in shapes().values():
        code, done = run("analyze", "--user-id", 1, "--measurements-json", json.dumps(one))
        assert code == 0
        found.add((done["types"]["body_type1"], done["types"]["body_type2"]))
        stored = body.records.get(None, done["record_id"])["measurements"]
        found.add((stored["body_type1"], stored["body_type2"]))
    assert found == {("고근육체형", "하체발달형")}
    assert run("validate", "--measurements-json", json.dumps(EXAMPLE_C))[1]["types"]["body_type2"] == "하체발달형"


def test_a_bad_sheet_is_exit_5_and_leaves_nothing(run: Run, body: Body, tmp_path: Path) -> None:
    run("init")
    out = tmp_path / "r.json"
    bad = {**FLAT, "체지방률": None, "근육_부위별등급": {**FLAT["근육_부위별등급"], "몸통": "보통"}}
    code, said = run("analyze", "--user-id", 1, "--measurements-json", json.dumps(bad), "--output-file", out)
    assert (code, said["fields"]) == (5, ["체지방률", "근육_부위별등급.몸통"])
    assert not out.exists()
    assert body.records.all(None, 1) == []
    code, done = run("analyze", "--user-id", 1, "--measurements-json", json.dumps({**FLAT, "무기질": None}))
    assert (code, done["nulls"]) == (0, ["무기질"])
    assert body.records.get(None, done["record_id"])["measurements"]["무기질"] is None


_REFUSED: list[tuple[list[str], int]] = [
    (["--measurements-json", "{"], 5),
    (["--measurements-json", "[]"], 5),
    (["--measurements-json", "{}"], 5),
    ([], 2),
    (["--measurements-file", "/no/such/file"], 2),
    (["--measurements-json", "{}", "--measurements-file", "x"], 2),
    (["--measurements-json", json.dumps(FLAT), "--output-file", "/no/such/folder/r.json"], 2),
    (["--measurements-json", json.dumps(FLAT), "--model", "gpt-4o-mini"], 4),
    (["--measurements-json", json.dumps(FLAT), "--embedder", "openai:text-embedding-3-small"], 5),
    (["--measurements-json", json.dumps(FLAT), "--db-url", NOWHERE], 4),
]


def test_what_cannot_be_done_has_its_exit_code(run: Run) -> None:
    run("init")
    for words, code in _REFUSED:
        found, said = run("analyze", "--user-id", 1, *words)
        assert found == code, f"{words}: {said}"
        assert "hunter2" not in json.dumps(said)


def test_an_unreachable_database_writes_no_file(run: Run, sheet: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    words = ("--measurements-file", sheet, "--output-file", out, "--db-url", NOWHERE)
    code, said = run("analyze", "--user-id", 1, *words)
    assert (code, out.exists()) == (4, False)
    assert said["next"]


def test_a_person_who_is_not_there_is_said(run: Run, sheet: Path) -> None:
    assert run("analyze", "--user-id", 99, "--measurements-file", sheet)[0] == 2
    assert run("search", "--user-id", 99, "--query", "x")[0] == 2
    assert run("plan", "--user-id", 99)[0] == 2


def test_search_and_plan(
    run: Run, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODY_PATIENCE_S", "0.2")
    run("init")
    assert run("plan", "--user-id", 1)[0] == 3
    run("analyze", "--user-id", 1, "--measurements-file", sheet, "--enable-embedding")
    assert main(["body", "search", "--user-id", "1", "--query", "상체 근육 부족", "--top-k", "3"]) == 0
    assert "ID: 1, Similarity: 0." in capsys.readouterr().out
    code, done = run("plan", "--user-id", 1)
    assert (code, done["week_number"], len(done["plan"]["daily_plans"])) == (0, 1, 7)
    assert "건강유지" in done["warnings"][0]
    goals, wishes = tmp_path / "g.json", tmp_path / "p.json"
    goals.write_text(json.dumps([{"goal_type": "체중감량", "deadline": "3개월"}]))
    wishes.write_text(json.dumps({"exercise_frequency": 5, "injuries": ["무릎"]}))
    words = ("--goals-file", goals, "--preferences-file", wishes, "--start-date", "2026-03-02", "--week-number", 7)
    code, done = run("plan", "--user-id", 1, *words)
    assert (done["week_number"], done["start_date"], done["end_date"]) == (7, "2026-03-02", "2026-03-08")
    assert sum(bool(day["exercises"]) for day in done["plan"]["daily_plans"]) == 5
    assert run("plan", "--user-id", 1)[1]["week_number"] == 8
    # No Ollama answers here: the latest reports are used, and it says so.
    code, done = run("plan", "--user-id", 1, "--use-ollama-rag", "--goals-json", '[{"goal_type": "근육증가"}]')
    assert (code, done["grounds"]["retrieval"]) == (0, "latest")


_NO_PLANS = [
    ["--start-date", "2026-03-03"],
    ["--start-date", "bald"],
    ["--week-number", "0"],
    ["--goals-json", "{"],
    ["--goals-json", '[{"goal_type": 3}]'],
    ["--preferences-json", '{"meal_frequency": 1}'],
]


def test_a_plan_that_cannot_be_is_exit_5_and_leaves_nothing(run: Run, body: Body, sheet: Path) -> None:
    run("init")
    run("analyze", "--user-id", 1, "--measurements-file", sheet)
    for words in _NO_PLANS:
        code, said = run("plan", "--user-id", 1, *words)
        assert (code, bool(said["fields"])) == (5, True), words
    assert body.plans.all(None, 1) == []


def test_many_sheets_at_once_and_what_is_wrong_by_line(run: Run, body: Body, tmp_path: Path) -> None:
    run("init")
    file = tmp_path / "many.jsonl"
    lines = [
        json.dumps(FLAT),
        "{broken",
        json.dumps({"user_id": 1, "record_date": "2026-01-05T08:00:00", "measurements": EXAMPLE_C}),
        json.dumps({**FLAT, "나이": 0}),
        json.dumps({"user_id": 77, "measurements": FLAT}),
        "",
        json.dumps({"user_id": 1, "record_date": "bald", "measurements": FLAT}),
    ]
    file.write_text("\n".join(lines))
    code, done = run("import", file, "--user-id", 1, "--enable-embedding")
    assert (code, done["records"], done["failed"]) == (5, 2, 4)
    assert [one["line"] for one in done["failures"]] == [2, 4, 5, 7]
    assert done["failures"][1]["fields"] == ["나이"]
    assert len(body.reports.all(None, 1)) == 2
    assert body.retrieval.find(None, 1, "체형").retrieval == "vector"
    assert body.records.all(None, 1)[-1]["record_date"].startswith("2026-01-05")


def test_embed_fills_what_is_missing_and_lists_what_fails(run: Run, body: Body, sheet: Path) -> None:
    run("init")
    for _ in range(3):
        run("analyze", "--user-id", 1, "--measurements-file", sheet)
    with body.db.begin() as connection:
        connection.execute(text("UPDATE analysis_reports SET llm_output = '  ' WHERE id = 2"))
    code, done = run("embed", "--batch", 2)
    assert (code, done["stored"]) == (5, {"hash:1024": 2})
    assert [one["report_id"] for one in done["failures"]] == [2]
    with body.db.begin() as connection:
        connection.execute(text("UPDATE analysis_reports SET llm_output = '다시 쓴 글' WHERE id IN (1, 2)"))
    # One was empty, the other's vector is of an earlier text.
    assert run("embed")[1]["stored"] == {"hash:1024": 2}
    assert run("embed")[1]["stored"] == {"hash:1024": 0}


def test_embed_goes_on_after_a_kill(run: Run, body: Body, sheet: Path, wherry_home: Path) -> None:
    run("init")
    for _ in range(3):
        run("analyze", "--user-id", 1, "--measurements-file", sheet)
    command = [sys.executable, "-m", "wherry", "body", "embed", "--batch", "1", "--every", "60", "--json"]
    environment = {**os.environ, "WHERRY_HOME": str(wherry_home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"1 vectors stored\n"
        process.kill()
    assert run("embed")[0] == 0
    assert len(body.retrieval.find(None, 1, "체형").reports) == 3


def test_embed_comes_again_until_it_is_stopped(
    run: Run, body: Body, sheet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("init")
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt
        # Meanwhile somebody else analyses a sheet.
        body.reports.analyse_sheet(None, 1, body.records.read(FLAT))

    monkeypatch.setattr(operating, "_wait", wait)
    capsys.readouterr()
    assert main(["body", "embed", "--every", "3600"]) == 130
    assert "hash:1024: 0 vectors stored\nhash:1024: 1 vectors stored" in capsys.readouterr().out
    assert waited == [3600, 3600]


def test_bench_reports_recall_and_time_of_each_setting(run: Run, body: Body, sheet: Path) -> None:
    run("init")
    run("analyze", "--user-id", 1, "--measurements-file", sheet, "--enable-embedding")
    code, found = run("bench", "--rows", 100, "--questions", 5)
    assert code == 0
    assert {(one["m"], one["ef_construction"]) for one in found["tried"]} >= {(16, 64), (32, 128)}
    assert all(0 <= one["recall"] <= 1 and one["ms"] > 0 for one in found["tried"])
    assert run("bench", "--column", "embedding")[0] == 2


def test_a_chosen_index_is_no_difference_to_the_tables(run: Run, body: Body, sheet: Path) -> None:
    run("init")
    run("analyze", "--user-id", 1, "--measurements-file", sheet, "--enable-embedding")
    assert run("bench", "--rows", 100, "--questions", 2, "--apply")[1]["applied"]
    code, found = run("check")
    assert (code, found["drift"]) == (0, [])


def test_talking_on_the_command_line(run: Run, sheet: Path) -> None:
    run("init")
    run("analyze", "--user-id", 1, "--measurements-file", sheet)
    assert run("chat", "--report", 1, "1")[1]["model"] == "menu"
    assert len(run("chat", "--report", 1)[1]["turns"]) == 2
    assert run("chat", "x")[0] == 2
    assert run("chat", "--report", 1, "--plan", 1, "x")[0] == 2


def test_without_tables_the_command_says_what_to_run(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["body", "search", "--user-id", "1", "--query", "x", "--db-url", database_url]) == 3
    assert "wherry body init" in capsys.readouterr().err
