"""`wherry runs`: what ran here, how it ended, and how to go on."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.commands import Wherry, fill
from wherry.moving.journal import Journal
from wherry.record import make_batch
from wherry.stores.registry import open_target
from wherry.testing.samples import sample_vectors


def begun(target: str, pid: int) -> str:
    """Leave a run in the journal as a process that did not end it leaves it."""
    with Journal(open_target(target).identity) as journal:
        run = journal.begin("sync", "memory:#guides", target, {})
        journal.db.execute("UPDATE run SET pid = ? WHERE id = ?", (pid, run))
    return run


def dead_pid() -> int:
    """Return the id of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_no_run_yet(wherry: Wherry) -> None:
    assert wherry("runs").out == "No run was made here yet.\n"
    assert wherry("runs", "--json").json == {"runs": [], "unreadable": []}


def test_runs_of_every_target_latest_first(wherry: Wherry, guides: str) -> None:
    names = [wherry("sync", guides, f"memory:#{name}", "--json").json["run"] for name in ("가", "나")]
    listed = wherry("runs", "--json").json["runs"]
    assert {run["id"] for run in listed} == set(names)
    assert [run["started"] for run in listed] == sorted((run["started"] for run in listed), reverse=True)
    assert listed[0]["read"] == listed[0]["written"] == 50
    out = wherry("runs").out
    assert "memory:#guides → memory:#나" in out
    assert "50 read, 50 written" in out


def test_a_run_whose_process_is_gone_died_and_can_go_on(wherry: Wherry, guides: str) -> None:
    run = begun("memory:#copy", dead_pid())
    (listed,) = wherry("runs", "--json").json["runs"]
    assert listed["status"] == "died, resumable"
    assert listed["next"] == "wherry sync memory:#guides memory:#copy"
    for said in (wherry("runs"), wherry("runs", "show", run)):
        assert "died, resumable" in said.out
        assert said.out.splitlines()[-1] == "next: wherry sync memory:#guides memory:#copy"
    assert wherry("sync", guides, "memory:#copy").code == 0
    assert "next:" not in wherry("runs").out


def test_a_run_whose_process_lives_is_running(wherry: Wherry) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        begun("memory:#copy", process.pid)
        (listed,) = wherry("runs", "--json").json["runs"]
    assert listed["status"] == "running"
    assert listed["next"] == ""


def test_a_run_is_shown_with_plan_outcome_and_the_whole_quarantine(wherry: Wherry) -> None:
    vectors = sample_vectors(40, 8, 0)
    vectors[:30] = float("inf")
    ids = [f"기록 {i}" for i in range(40)]
    sick = fill("sick", make_batch(ids, vectors, [None] * 40, [None] * 40))
    run = wherry("sync", sick, "memory:#copy", "--json").json["run"]
    shown = wherry("runs", "show", run, "--json").json
    assert shown["plan"]["rows"] == 40
    assert shown["outcome"]["written"] == 10
    assert shown["quarantined"] == len(shown["quarantine"]) == 30
    assert {entry["id"] for entry in shown["quarantine"]} == set(ids[:30])
    assert wherry("runs", "--json", "show", run).json == shown
    assert all(f"{i}  NonFinite" in wherry("runs", "show", run).out for i in ("기록 0 ", "기록 29"))


def test_a_failed_run_keeps_its_error(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    small = fill("small", make_batch(["하나"], sample_vectors(1, 8, 0), [None], [None]))
    assert wherry("sync", small, "memory:#copy").code == 3
    run = wherry("runs", "--json").json["runs"][0]
    assert run["status"] == "failed"
    for args in (("runs",), ("runs", "show", run["id"])):
        assert "MassDelete" in wherry(*args).out


def test_a_mistyped_run_is_answered_with_the_closest(wherry: Wherry, guides: str) -> None:
    run = wherry("sync", guides, "memory:#copy", "--json").json["run"]
    said = wherry("runs", "show", run[:-1] + "x")
    assert said.code == 2
    assert run in said.err
