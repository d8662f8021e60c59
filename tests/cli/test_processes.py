"""The command in processes of its own: Ctrl-C, SIGTERM, two at once; what they leave is looked at from this one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import COMMAND, Said, Wherry, run_command

ROWS = 16_000
DIMENSION = 16


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive that takes a second or two to copy."""
    path = tmp_path_factory.mktemp("archives") / "big.jsonl"
    vectors = np.random.default_rng(7).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    with path.open("w", encoding="utf-8") as file:
        for i, vector in enumerate(vectors):
            row = {"id": f"안내-{i}", "text": f"글 {i}", "metadata": {"n": i}, "embedding": vector.tolist()}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@contextmanager
def syncing(source: Path, target: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run a sync, and continue once it is in the middle of its work."""
    process = subprocess.Popen(
        [*COMMAND, "sync", str(source), str(target), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore Ctrl-C, the tests and all they start included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        _wait_until_writing(process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _wait_until_writing(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    journals = Path(os.environ["WHERRY_HOME"]) / "journal"
    while process.poll() is None and time.monotonic() < deadline:
        for path in journals.glob("*.sqlite3"):
            if _intended(path):
                return
        time.sleep(0.01)
    pytest.fail(f"the sync never came to its first batch: {process.poll()}")


def _intended(path: Path) -> bool:
    db = sqlite3.connect(path, timeout=5)
    try:
        return bool(db.execute("SELECT count(*) FROM batch").fetchone()[0])
    except sqlite3.OperationalError:
        # The tables are not there yet.
        return False
    finally:
        db.close()


def ended(process: subprocess.Popen[str]) -> Said:
    """Wait for the end of a process."""
    out, err = process.communicate(timeout=30)
    return Said(process.returncode, out, err)


def test_archives_through_plan_sync_and_verify(tmp_path: Path, big: Path, wherry: Wherry) -> None:
    some = tmp_path / "some.jsonl"
    some.write_text("".join(big.open(encoding="utf-8").readlines()[:300]), encoding="utf-8")
    copy = tmp_path / "copy.parquet"
    assert wherry("plan", str(some), str(copy), "--json").json["new"] == 300
    assert not copy.exists()
    first = run_command("sync", str(some), str(copy), "--json")
    assert (first.code, first.json["written"], first.json["verified"]) == (0, 300, "deep")
    second = run_command("sync", str(some), str(copy), "--json")
    assert (second.json["written"], second.json["unchanged"]) == (0, 300)
    assert wherry("verify", str(some), str(copy), "--json").json["verdict"] == "verified"
    assert len(wherry("runs", "--json").json["runs"]) == 2


def test_an_interrupted_sync_says_how_to_go_on_and_does(tmp_path: Path, big: Path, wherry: Wherry) -> None:
    target = tmp_path / "copy.jsonl"
    with syncing(big, target) as process:
        process.send_signal(signal.SIGINT)
        said = ended(process)
    assert said.code == 130
    assert said.out == ""
    assert "Traceback" not in said.err
    next_line = said.err.splitlines()[-1].strip()
    assert next_line == f"next: wherry sync {big} {target}"
    (run,) = wherry("runs", "--json").json["runs"]
    assert run["status"] == "interrupted, resumable"
    assert run["next"] == next_line.removeprefix("next: ")
    again = run_command(*next_line.split()[2:], "--json")
    assert (again.code, again.json["equal"], again.json["read"]) == (0, True, ROWS)
    assert wherry("verify", str(big), str(target)).code == 0


def test_a_terminated_sync_ends_alike_and_is_one_object_in_json(tmp_path: Path, big: Path, wherry: Wherry) -> None:
    with syncing(big, tmp_path / "copy.jsonl", "--json") as process:
        process.send_signal(signal.SIGTERM)
        said = ended(process)
    assert said.code == said.json["exit_code"] == 130
    assert said.json["next"].endswith("copy.jsonl --json")
    (run,) = wherry("runs", "--json").json["runs"]
    assert run["status"] == "interrupted, resumable"


def test_a_killed_sync_is_shown_as_resumable(tmp_path: Path, big: Path, wherry: Wherry) -> None:
    target = tmp_path / "copy.jsonl"
    with syncing(big, target) as process:
        process.kill()
        assert ended(process).code == -signal.SIGKILL
    (run,) = wherry("runs", "--json").json["runs"]
    assert run["status"] == "died, resumable"
    assert run_command(*run["next"].split()[1:]).code == 0
    statuses = [run["status"] for run in wherry("runs", "--json").json["runs"]]
    assert statuses == ["done", "died, resumable"]


def test_the_second_of_two_syncs_gives_way(tmp_path: Path, big: Path) -> None:
    target, small = tmp_path / "copy.jsonl", tmp_path / "small.jsonl"
    small.write_text(next(big.open(encoding="utf-8")), encoding="utf-8")
    with syncing(big, target) as process:
        # Held in the middle, so that the first cannot be over before the second has asked.
        process.send_signal(signal.SIGSTOP)
        taken = []
        # The best of three: what a busy machine adds is no fault of the command.
        while len(taken) < 3 and min(taken, default=2) >= 2:
            started = time.monotonic()
            second = run_command("sync", str(small), str(target), "--json")
            taken.append(time.monotonic() - started)
        process.send_signal(signal.SIGCONT)
        assert ended(process).code == 0
    assert second.code == second.json["exit_code"] == 7
    assert str(process.pid) in second.json["what"]
    assert min(taken) < 2
