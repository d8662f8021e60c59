"""A run that is cut short, by whatever it is, says so by name, and the same command ends it well."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.kit import contents, refused
from tests.cli.commands import Wherry, fill
from tests.stores.chroma_kit import chroma_server, free_port
from wherry import sync
from wherry.errors import DiskFull, Interrupted, TimedOut, Unreachable, WherryError
from wherry.moving.journal import Journal
from wherry.moving.retry import retrying
from wherry.space import Metric
from wherry.stores.registry import open_source, open_target
from wherry.testing.faults import Calls, Fault, Moment, faulty
from wherry.testing.samples import sample

ROWS, BATCH = 300, 64
AWAY_S = 0.2


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of more records than a few batches hold; batches are small, so that few will do."""
    monkeypatch.setattr("wherry.moving.sync.WRITE_ROWS", BATCH)
    monkeypatch.setattr("wherry.moving.sync.PAGE_ROWS", BATCH)
    return fill("guides", sample(ROWS, 4), Metric.L2)


class Once:
    """A listener that does something once, in the middle of the copying."""

    def __init__(self, act: object) -> None:
        self.act, self.struck, self.phases = act, False, list[str]()

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        self.phases.append(phase)
        if phase == "sync" and done and not self.struck:
            self.struck = True
            assert callable(self.act)
            self.act()


def require_equal(source: str, target: str) -> None:
    """Sync again and demand that the target holds exactly what the source holds, with nothing left to do."""
    result = sync(source, target)
    assert (result.equal, result.read, result.written + result.unchanged) == (True, ROWS, ROWS)
    assert contents(target) == contents(source)
    assert sync(source, target).written == 0


def status_of_last_run(target: str) -> str:
    with closing(open_target(target)) as store, Journal(store.identity) as journal:
        return str(journal.runs()[0]["status"])


def test_ctrl_c_leaves_a_run_that_the_same_command_ends(source: str, place: str) -> None:
    listener = Once(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        sync(source, place, progress=listener)
    assert caught.value.exit_code == 130
    assert caught.value.next == f"wherry sync {source} {place}"
    assert caught.value.left
    assert status_of_last_run(place) == "interrupted"
    require_equal(source, place)


@pytest.mark.parametrize(
    ("error", "moment"), [(DiskFull, Moment.MIDDLE), (TimedOut, Moment.BEFORE), (TimedOut, Moment.AFTER)]
)
def test_write_that_fails_is_named_and_the_run_can_go_on(
    source: str, place: str, error: type[WherryError], moment: Moment
) -> None:
    calls = Calls(at=2, only=("upsert",), fault=Fault(moment, error))
    with closing(open_source(source)) as from_, closing(open_target(place)) as to, pytest.raises(error) as caught:
        sync(from_, faulty(to, calls))
    assert calls.struck
    assert caught.value.exit_code == 4
    assert status_of_last_run(place) == "failed"
    require_equal(source, place)


def test_postgres_that_drops_every_connection_in_the_middle_ends_equal_by_itself(
    source: str, pg: psycopg.Connection, name: str
) -> None:
    ended: list[int] = []

    def terminate() -> None:
        ended.append(
            pg.execute(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'wherry'"
            ).fetchone()[0]  # type: ignore[index]
        )

    target, listener = f"pgvector:#{name}", Once(terminate)
    result = sync(source, target, progress=listener)
    assert ended[0] >= 1
    assert any(phase.startswith("waiting") for phase in listener.phases)
    assert result.equal
    require_equal(source, target)


class Comings:
    """A Chroma server that can go away and come back, on one port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.running = folder, free_port(), ExitStack()
        self.timer: threading.Timer | None = None

    def come(self) -> None:
        """Start the server."""
        self.running.enter_context(chroma_server(self.folder, self.port))

    def go(self) -> None:
        """Stop the server."""
        self.running.close()

    def go_and_come_back(self) -> None:
        """Stop the server, and start it again a moment later."""
        self.go()
        self.timer = threading.Timer(AWAY_S, self.come)
        self.timer.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Comings]:
    """A server of Chroma that runs."""
    (tmp_path / "server").mkdir()
    coming = Comings(tmp_path / "server")
    coming.come()
    yield coming
    if coming.timer:
        coming.timer.join()
    coming.go()


def test_chroma_server_that_goes_away_and_comes_back_ends_equal_by_itself(source: str, server: Comings) -> None:
    target = f"chroma+http://127.0.0.1:{server.port}#guides"
    listener = Once(server.go_and_come_back)
    assert sync(source, target, progress=listener).equal
    assert any(phase.startswith("waiting") for phase in listener.phases)
    require_equal(source, target)


def test_server_that_stays_away_is_named_and_the_run_can_go_on(source: str, server: Comings) -> None:
    target = f"chroma+http://127.0.0.1:{server.port}#guides"
    # An open store is the caller's: nothing is tried again, so the error shows at once.
    with (
        closing(open_target(target)) as to,
        closing(open_source(source)) as from_,
        pytest.raises((Unreachable, TimedOut)) as caught,
    ):
        sync(from_, to, progress=Once(server.go))
    assert caught.value.exit_code == 4
    assert caught.value.next
    server.come()
    require_equal(source, target)


def test_server_that_is_not_there_is_told_at_once(wherry: Wherry, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"chroma+http://127.0.0.1:{free_port()}#guides"
    waits: list[float] = []
    monkeypatch.setattr("wherry.moving.sync.retrying", partial(retrying, sleep=waits.append))
    told = refused(wherry("sync", source, target, "--json"), 4, "Unreachable")
    assert "127.0.0.1" in told["where"] + told["what"]
    assert waits == []


# Each command in a fork that has opened nothing: importing the engine is most of what it costs.
SMALL_DISK = """
import io, subprocess, sys
from contextlib import redirect_stdout
from importlib import import_module
from wherry.cli import main
from wherry.testing.crash import in_child
disk, source, place, engine = sys.argv[1:]
import_module("wherry.cli.acts")
import_module(engine)
def run(*words):
    def said():
        with redirect_stdout(io.StringIO()) as text:
            main(words)
        return text.getvalue()
    return in_child(said).value
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
first = run("sync", source, place, "--json")
subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
second = run("sync", source, place, "--json")
proof = run("verify", source, place, "--json")
print("[" + ",".join((first, second, proof)) + "]")
"""


@pytest.mark.parametrize(
    ("engine", "form"),
    [("wherry.stores.chroma", "chroma:{disk}/chroma#guides"), ("wherry.stores.archive", "{disk}/copy.parquet")],
)
def test_disk_that_is_really_full_is_named_and_the_run_goes_on_when_there_is_room(
    wherry: Wherry, tmp_path: Path, engine: str, form: str
) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system of one's own can be mounted here: that needs root or user namespaces")
    disk, large = tmp_path / "disk", tmp_path / "large.jsonl"
    disk.mkdir()
    assert wherry("sync", fill("large", sample(1_500, 64), Metric.L2), str(large)).code == 0
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", SMALL_DISK, str(disk), str(large), form.format(disk=disk), engine],
        capture_output=True, text=True, timeout=100, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, proof = json.loads(done.stdout)
    assert first["error"] in ("NotEnoughSpace", "DiskFull"), first
    assert first["next"]
    assert (second["equal"], second["read"]) == (True, 1_500)
    assert proof["verdict"] == "verified"
