"""The commands: exit codes, and what is named when something is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import wherry
from tests.apps.tutor.conftest import Run
from tests.apps.tutor.papers import EXAMPLE, KNEE, diag_file, diag_question, exam, listed, question
from wherry.cli import main
from wherry_apps.tutor import hardware
from wherry_apps.tutor.service import Tutor
from wherry_apps.tutor.switches import address_of

GIB = 1 << 30


def written(folder: Path, name: str, data: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return str(path)


def test_hardware_names_tier_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tutor", "hardware", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ram_bytes"] > 0
    assert found["tier"] in ("below minimum", "minimum", "recommended", "best")
    assert [one["model"] for one in found["models"]] == [
        "ollama:llama3.1:8b", "ollama:llama3.2:3b", "ollama:qwen2.5:7b",
    ]  # fmt: skip
    assert all(isinstance(one["fits"], bool) and one["reasons"] for one in found["models"])
    assert main(["tutor", "hardware"]) == 0
    assert "tier: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ram", "cards", "tier"),
    [
        (16, [("NVIDIA GeForce RTX 3060", 12)], "minimum"), (15.5, [("NVIDIA GeForce RTX 3060", 11.9)], "minimum"),
        (8, [("NVIDIA GeForce RTX 4090", 24)], "below minimum"), (64, [], "below minimum"),
        (32, [("NVIDIA GeForce RTX 4070", 12)], "recommended"), (32, [("NVIDIA GeForce RTX 3060", 12)], "minimum"),
        (64, [("NVIDIA GeForce RTX 4090", 24)], "best"), (64, [("NVIDIA GeForce RTX 3090", 24)], "recommended"),
        (64, [("NVIDIA GeForce RTX 5090", 32)], "best"), (128, [("NVIDIA A100", 80)], "best"),
        (32, [("NVIDIA T1000", 8)], "below minimum"), (None, [("NVIDIA A100", 80)], "below minimum"),
        (32, [("NVIDIA GeForce RTX 4060", 8), ("NVIDIA GeForce RTX 4080", 16)], "recommended"),
    ],
)  # fmt: skip
def test_tiers_need_memory_and_a_card(ram: float | None, cards: list[tuple[str, float]], tier: str) -> None:
    size = None if ram is None else int(ram * GIB)
    assert hardware.tier_of(size, [(name, int(count * GIB)) for name, count in cards]) == tier


def test_three_shapes_are_imported(run: Run, tmp_path: Path) -> None:
    files = [
        written(tmp_path, "exam.json", exam(5)), written(tmp_path, "test.json", diag_file(4)),
        written(tmp_path, "list.json", listed(3)),
    ]  # fmt: skip
    code, said = run("import", *files)
    assert code == 0
    assert [(one["shape"], one["added"]) for one in said["imported"]] == [("exam", 5), ("test", 4), ("list", 3)]
    code, said = run("import", *files)
    assert (code, [one["added"] for one in said["imported"]]) == (0, [0, 0, 0])


def test_a_missing_option_exits_5_naming_it_and_the_other_file_is_done(run: Run, tmp_path: Path, tutor: Tutor) -> None:
    bad = exam(5)
    bad["questions"][2]["options"].pop(bad["questions"][2]["correct_answer"])
    code, said = run("import", written(tmp_path, "bad.json", bad), written(tmp_path, "good.json", exam(2, first=50)))
    assert code == 5
    assert "question 3" in said["failed"][0]["what"]
    assert said["failed"][0]["where"] == "bad.json"
    assert tutor.bank.list()["total"] == 2


def test_one_of_thirty_exits_5_unless_it_is_allowed(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, "placeholder.json", {**diag_file(30), "questions": [diag_question(1)]})
    code, said = run("import", file)
    assert (code, "declares 30" in said["failed"][0]["what"]) == (5, True)
    assert run("import", file, "--allow-incomplete")[0] == 0


def test_skewed_keys_exit_3_unless_they_are_accepted(run: Run, tmp_path: Path, tutor: Tutor) -> None:
    rows = [question(n, correct_answer="1") for n in range(1, 12)]
    file = written(tmp_path, "skewed.json", {"meta": {}, "questions": rows})
    code, said = run("import", file)
    assert (code, said["failed"][0]["what"].split(":")[0]) == (3, "answer_key_skew")
    assert tutor.bank.list()["total"] == 0
    code, said = run("import", file, "--accept-warnings")
    assert (code, said["imported"][0]["added"]) == (0, 11)


def test_a_file_that_is_not_there_exits_5(run: Run, tmp_path: Path) -> None:
    assert run("import", str(tmp_path / "nosuch.json"))[0] == 5


def test_the_whole_way_offline(run: Run, tmp_path: Path) -> None:
    run("import", written(tmp_path, "a.json", {"meta": {"total_questions": 1}, "questions": [EXAMPLE]}))
    run("import", written(tmp_path, "2030.json", exam(40)))
    run("import", written(tmp_path, "diag.json", diag_file()))
    code, said = run("approve", "1")
    assert (code, said["approved"], said["indexed"]) == (0, [1], True)
    assert run("approve", "--file", "2030.json")[0] == 0
    assert run("approve", "--test", "1")[0] == 0
    assert run("index")[1]["unchanged"] == 71
    code, said = run("search", "무릎 관절", "--department", "물리치료학과")
    assert (code, said["threshold"]) == (0, pytest.approx(0.15))
    assert said["hits"]
    assert all("무릎관절" in hit["text"] for hit in said["hits"])
    assert run("test", "activate", "1")[0] == 0
    code, sheet = run("test", "start", "1", "--user", "kim")
    assert code == 0
    answers = {
        q["id"]: "1" if q["area"] == "무릎관절" else str(q["question_number"] % 5 + 1) for q in sheet["questions"]
    }
    file = written(tmp_path, "answers.json", {"answers": answers, "seconds": dict.fromkeys(answers, 50)})
    code, said = run("test", "submit", str(sheet["session"]), "--answers", file)
    assert code == 0
    assert said["percentage"] > 80
    assert said["level"] == "상급"
    assert said["weak"] == ["무릎관절"]
    assert said["recommendations"]["recommended"]
    assert run("test", "submit", str(sheet["session"]), "--answers", file)[1] == said
    assert run("recommend", "--user", "kim")[1] == said["recommendations"]
    assert run("explain", "1")[1]["explanation"].startswith("[규칙 기반]")
    path = tmp_path / "무릎.md"
    path.write_text(KNEE, encoding="utf-8")
    assert run("document", "add", str(path), "--subject", "운동치료학")[0] == 0
    code, said = run("generate", "십자인대와 정강뼈", "--department", "물리치료학과")
    assert (code, said["approval_status"]) == (0, "pending")
    assert run("document", "remove", "1")[0] == 0
    assert run("reject", "1")[0] == 0
    assert run("questions", "--status", "rejected")[1]["total"] == 1
    assert run("settings")[1]["store"] == "pgvector"


def test_every_command_speaks_to_people_too(approved: Tutor, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = approved.diagnosis.start(1, "kim")
    for args in (
        ("questions",), ("search", "무릎관절"), ("index",), ("test", "list"), ("test", "start", "1", "--user", "kim"),
        ("test", "submit", str(sheet["session"]), f"{sheet['questions'][0]['id']}=1"), ("recommend", "--user", "kim"),
        ("explain", "1"), ("settings",), ("checkpoint", "create", "a"), ("checkpoint", "list"), ("rollback", "a"),
        ("move", "--from", "pgvector", "--to", "memory:#x"), ("benchmark", "--old", "pgvector", "--new", "memory:#x"),
        ("document", "list"), ("migrate",),
    ):  # fmt: skip
        assert main(["tutor", *args]) == 0, args
        assert capsys.readouterr().out.strip(), args


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("approve",), 2), (("approve", "999"), 2), (("test", "start", "999"), 2), (("test", "submit", "999"), 2),
        (("test", "submit", "1", "eins=1"), 2), (("explain", "999"), 2), (("generate", "양자역학"), 3),
        (("recommend",), 3), (("document", "remove", "9"), 2), (("document", "add", "nosuch.md"), 5),
        (("move", "--from", "pgvector", "--to", "qdrant"), 4), (("rollback", "nosuch"), 2),
        (("retire", "openai:gpt-4o-mini"), 3), (("retire", "offline"), 3), (("switch",), 2),
        (("benchmark", "--old", "pgvector", "--new", "pgvector"), 2),
        (("compare-llm", "--old", "offline", "--new", "ollama:llama3.1:8b"), 3),
        (("migrate", "--table", "public.nosuch"), 2), (("test", "activate", "7"), 2), (("search", " "), 0),
    ],
)  # fmt: skip
def test_exit_codes(run: Run, args: tuple[str, ...], code: int) -> None:
    assert run(*args)[0] == code


def test_an_expired_session_exits_3(approved: Tutor, run: Run) -> None:
    from tests.apps.tutor.test_diagnosis import age

    sheet = approved.diagnosis.start(1, "kim")
    age(approved, sheet["session"], 61)
    code, said = run("test", "submit", str(sheet["session"]))
    assert (code, "expired" in said["what"]) == (3, True)


def test_an_embedder_that_is_down_exits_4_and_says_not_indexed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", written(tmp_path, "a.json", exam(1)))
    monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", "ollama:nomic-embed-text?base_url=http://127.0.0.1:9&deadline=1")
    code, said = run("approve", "1")
    assert (code, said["indexed"]) == (4, False)


def test_a_closed_port_exits_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_STORE", "qdrant+http://127.0.0.1:9#questions")
    assert run("search", "무릎")[0] == 4


def test_checkpoint_and_rollback(approved: Tutor, run: Run) -> None:
    assert run("checkpoint", "create", "week-1")[1]["points"] == 70
    assert run("checkpoint", "create", "week-1")[0] == 3
    approved.moving.move("pgvector", "memory:#x")
    assert run("switch", "--store", "memory:#x")[0] == 0
    code, said = run("rollback", "week-1")
    assert (code, said["settings"]["store"], said["verified"]) == (0, "pgvector", "verified")


def test_a_comparison_that_does_not_pass_exits_1(approved: Tutor, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.apps.tutor.test_moving import answering, specs
    from wherry.testing.ollama_server import OllamaServer
    from wherry.testing.openai_server import OpenAIServer

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with OpenAIServer(key="k") as old, OllamaServer("llama3.1:8b") as new:
        answering(old)
        answering(new, wrong=True)
        pair = specs(old, new)
        asked = ("compare-llm", "--old", pair[0], "--new", pair[1], "--questions", "5", "--explained", "0")
        code, said = run(*asked)
        assert (code, said["passed"]) == (1, False)
        answering(new)
        code, said = run(*asked, "--old-won", "900000", "--new-won", "70000")
        assert (code, said["given"]["new_won_per_month"]) == (0, 70_000)


def test_a_move_that_is_killed_goes_on_and_ends_equal(approved: Tutor, wherry_home: Path, tmp_path: Path) -> None:
    records = [
        wherry.Record(str(n), row, f"문항 {n}", {"type": "question", "question_id": n})
        for n, row in enumerate(_rows(6_000), 1)
    ]
    source = f"{tmp_path}/source.parquet"
    wherry.put(records, source, wherry.Space(dimension=64, metric=wherry.Metric.COSINE, provider="hash",
                                             model="hash:64"))  # fmt: skip
    target = f"qdrant:{tmp_path}/q#questions"
    command = [sys.executable, "-m", "wherry", "tutor", "move", "--from", source, "--to", target]
    env = {**os.environ, "WHERRY_TUTOR_EMBEDDER": "hash:64"}
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while child.poll() is None and not (tmp_path / "q").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = Path(source).read_bytes()
    done = subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["read"], said["equal"], said["verified"]) == (6_000, True, "deep")
    assert Path(source).read_bytes() == before
    assert str(address_of("qdrant", "questions", approved.db)) != target


def _rows(count: int) -> Any:
    import numpy as np

    made = np.random.default_rng(1).standard_normal((count, 64)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)
