"""What every test gets: a state folder of its own, an empty memory store, patient hypothesis."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from wherry.postgres import server
from wherry.stores import memory

settings.register_profile("wherry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wherry")
# What the machine is set up for must not reach the tests; a session fixture may set it again.
os.environ.pop("WHERRY_HOME", None)


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    """One state folder for every test that asks for it: an embedded server is started once."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-shared-"))
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(folder))
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def wherry_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set WHERRY_HOME: the shared folder where it is asked for, one that a session set, or a new one."""
    memory.clear()
    if "shared_home" in request.fixturenames:
        home = request.getfixturevalue("shared_home")
        monkeypatch.setenv("WHERRY_HOME", str(home))
        yield home
    elif "WHERRY_HOME" in os.environ:
        yield Path(os.environ["WHERRY_HOME"])
    else:
        with tempfile.TemporaryDirectory(prefix="wherry-home-", ignore_cleanup_errors=True) as home:
            monkeypatch.setenv("WHERRY_HOME", home)
            yield Path(home)
    memory.clear()
