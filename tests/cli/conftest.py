"""What the tests of the command line share: a state folder and the command."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Said, Wherry, fill
from wherry.cli import main
from wherry.stores import memory
from wherry.testing.samples import sample


@pytest.fixture(autouse=True)
def wherry_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set WHERRY_HOME to a new folder, and no database."""
    memory.clear()
    with tempfile.TemporaryDirectory(prefix="wherry-cli-") as home:
        monkeypatch.setenv("WHERRY_HOME", home)
        monkeypatch.delenv("WHERRY_DATABASE_URL", raising=False)
        yield Path(home)
    memory.clear()


@pytest.fixture
def wherry(capsys: pytest.CaptureFixture[str]) -> Wherry:
    """Return the command, run inside this process (memory collections live that long)."""

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = main(args)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def guides() -> str:
    """The address of 50 records."""
    return fill("guides", sample(50))
