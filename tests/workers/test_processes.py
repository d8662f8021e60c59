"""Workers that are processes: killed by themselves, or with the process that started them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

import wherry
from tests.workers import kit
from wherry.errors import NoSuchCollection
from wherry.moving import sync as sync_module
from wherry.stores.pgvector import PgTarget
from wherry.testing.crash import Runner

SAMPLED, CAMPAIGN = 1, 40
TARGETS = ("faiss:{}/two#문서", "{}/two.parquet")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A filled archive, and where a FAISS collection may be; everything goes in many small batches."""
    monkeypatch.setattr(sync_module, "WRITE_ROWS", 50)
    monkeypatch.setattr("wherry.moving.cutting.PAGE_ROWS", 200)
    source, target = f"{tmp_path}/one.parquet", f"faiss:{tmp_path}/two#문서"
    kit.fill(source)
    return source, target


def test_a_killed_worker_loses_nothing(pair: tuple[str, str], tmp_path: Path) -> None:
    kill = kit.KillOnce(lambda: [worker.pid for worker in kit.processes()])
    result = wherry.sync(*pair, workers=2, progress=kill)
    assert kill.killed
    assert result.equal
    assert result.notes == ("1 partitions were taken over from workers that were lost",)
    assert kit.differences(*pair) == []
    assert kit.leftovers(tmp_path) == []
    assert kit.processes() == []


def test_what_others_wrote_over_a_worker_is_doubted_and_mended(
    pair: tuple[str, str], pg: psycopg.Connection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair[0], f"pgvector:#{name}"
    gather = PgTarget.gather

    def disturbed(self: PgTarget, number: int | None = None) -> None:
        if number is None:
            pg.execute(f"UPDATE {name} SET text = 'not ours' WHERE id = (SELECT min(id) FROM {name})")
        gather(self, number)

    monkeypatch.setattr(PgTarget, "gather", disturbed)
    result = wherry.sync(source, target, workers=2)
    assert (result.created, result.equal) == (kit.ROWS, False)
    assert [note for note in result.notes if "written by somebody else" in note]
    assert wherry.sync(source, target).changed == 1
    assert kit.differences(source, target) == []


def test_what_a_worker_meets_is_raised_as_it_was(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Between cutting and crossing somebody removes the source.
    assembled = sync_module.assembled

    def vanish(crew: object, workers: int) -> object:
        Path(pair[0]).unlink()
        return assembled(crew, workers)  # type: ignore[arg-type]

    monkeypatch.setattr(sync_module, "assembled", vanish)
    with pytest.raises(NoSuchCollection, match="no such file"):
        wherry.sync(*pair, workers=2)
    assert kit.processes() == []


def test_the_command_prints_one_object_and_the_ranges_are_in_the_journal(pair: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "wherry", "sync", *pair, "--workers", "2", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert (found["written"], found["equal"], found["notes"]) == (kit.ROWS, True, [])
    listed = subprocess.run(
        [sys.executable, "-m", "wherry", "runs", "show", found["run"], "--json"], capture_output=True
    )
    assert len(json.loads(listed.stdout)["plan"]["parts"]) == 2


def _survive(folder: Path, target: str, rounds: int) -> None:
    """Kill a run with its workers at random moments; resume; compare."""
    source, target = f"{folder}/one.parquet", target.format(folder)
    with Runner({"WHERRY_HOME": f"{folder}/home"}, ["tests.workers.acts", "wherry.stores.faiss"]) as runner:
        kit.fill(source)
        for number in range(rounds):
            kit.fill(source, 400, version=number + 1)
            ending = runner.call("tests.workers.acts:sync", source, target, 2, kill_after_s=random.uniform(0.5, 6))
            assert ending.error == "", ending
            _none_left()
            ending = runner.call("tests.workers.acts:sync", source, target, 2)
            assert ending.value is not None, ending
            assert ending.value["equal"], ending
            assert kit.differences(source, target) == []
            assert kit.leftovers(folder) == []


def _none_left() -> None:
    """Workers end with the process that started them, within a moment."""
    deadline = time.monotonic() + 10
    while any(_is_worker(process) for process in psutil.process_iter(["cmdline", "status", "ppid"])):
        assert time.monotonic() < deadline, "a worker outlived its run"
        time.sleep(0.05)


def _is_worker(process: psutil.Process) -> bool:
    orphan = process.info["status"] != psutil.STATUS_ZOMBIE and process.info["ppid"] == 1
    return orphan and "wherry.moving.worker" in (process.info["cmdline"] or [])


@pytest.mark.parametrize("target", TARGETS)
def test_a_run_that_is_killed_with_its_workers_goes_on(tmp_path: Path, target: str) -> None:
    _survive(tmp_path, target, SAMPLED)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_campaign_of_killed_runs(tmp_path: Path, target: str) -> None:
    _survive(tmp_path, target, CAMPAIGN)
