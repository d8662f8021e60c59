"""What every test gets: a state folder of its own, an empty memory store, patient hypothesis."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck, settings

from wherry.models.clock import RealClock
from wherry.postgres import server
from wherry.stores import memory

_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A commit is judged on the same examples each time; campaigns look for new ones.
settings.register_profile("commit", _patient, derandomize=True, max_examples=50)
settings.register_profile("campaign", _patient)
settings.load_profile(os.environ.get("WHERRY_HYPOTHESIS", "commit"))
# What the machine is set up for must not reach the tests; a session fixture may set it again.
os.environ.pop("WHERRY_HOME", None)
# A fixture of a session may leave the shared folder in the environment: it is for those alone who ask for it.
_SHARED = "wherry-shared-"
# Nothing here has to survive the machine: on a disk, much of the time goes into syncing databases of a few rows.
_MEMORY_DISK, _ENOUGH = Path("/dev/shm"), 8 << 30


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C. Put temporary files into memory where there is plenty of it; workers inherit it. TMPDIR wins."""
    # A shell in the background starts programs deaf to Ctrl-C, and tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" in os.environ or config.option.basetemp or not _roomy():
        return
    for left in _MEMORY_DISK.glob("wherry-t*"):
        if left.name[8:].isdigit() and not psutil.pid_exists(int(left.name[8:])):
            shutil.rmtree(left, ignore_errors=True)
    folder = _MEMORY_DISK / f"wherry-t{os.getpid()}"
    # Short, for the sockets below it; open, because the embedded server runs as a user of its own.
    folder.mkdir(mode=0o755)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Keep the tests and all engines out of every later search for garbage: they stay until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _roomy() -> bool:
    return (
        _MEMORY_DISK.is_dir() and min(shutil.disk_usage(_MEMORY_DISK).free, psutil.virtual_memory().available) > _ENOUGH
    )


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    """One state folder for every test that asks for it: an embedded server is started once."""
    folder = Path(tempfile.mkdtemp(prefix=_SHARED))
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(folder))
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pg(shared_home: Path) -> Iterator[psycopg.Connection]:
    """A connection of the administrator, in autocommit mode, to the shared embedded server."""
    with psycopg.connect(server.start(), autocommit=True) as connection:
        # These tests end no machine: what the server would do for that is time they need not spend.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection


@pytest.fixture
def canary(pg: psycopg.Connection) -> Iterator[None]:
    """A table with the name that hostile texts would drop, empty or fill; it has to outlive the test unchanged."""
    pg.execute("DROP TABLE IF EXISTS canary")
    pg.execute("CREATE TABLE canary AS SELECT 'alive' AS state")
    yield
    assert pg.execute("SELECT state FROM canary").fetchall() == [("alive",)]
    pg.execute("DROP TABLE canary")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses before a model is asked again take no time: the clock leaps over them."""
    leapt: list[float] = []
    monkeypatch.setattr(RealClock, "wait", lambda clock, seconds: leapt.append(seconds))
    monkeypatch.setattr(RealClock, "now", lambda clock: time.monotonic() + sum(leapt))


@pytest.fixture
def name() -> str:
    """The name of a collection that nobody made yet."""
    return f"t{uuid4().hex[:10]}"


@pytest.fixture(autouse=True)
def wherry_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set WHERRY_HOME: the shared folder where it is asked for, one that a session set, or a new one."""
    memory.clear()
    if "shared_home" in request.fixturenames:
        home = request.getfixturevalue("shared_home")
        monkeypatch.setenv("WHERRY_HOME", str(home))
        yield home
    elif not Path(os.environ.get("WHERRY_HOME", _SHARED)).name.startswith(_SHARED):
        yield Path(os.environ["WHERRY_HOME"])
    else:
        with tempfile.TemporaryDirectory(prefix="wherry-home-", ignore_cleanup_errors=True) as home:
            monkeypatch.setenv("WHERRY_HOME", home)
            yield Path(home)
    memory.clear()
