"""What the acceptance tests share: the command, and an empty place per engine."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.cli.commands import Said, Wherry
from wherry.cli import main


@pytest.fixture(params=["pgvector", "chroma"])
def place(request: pytest.FixtureRequest, pg: psycopg.Connection, name: str, tmp_path: Path) -> str:
    """The address of a collection that is not there yet, in each of the two engines."""
    return f"pgvector:#{name}" if request.param == "pgvector" else f"chroma:{tmp_path}/chroma#{name}"


@pytest.fixture
def wherry(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Wherry:
    """Return the command, run inside this process (memory collections live that long)."""
    monkeypatch.delenv("WHERRY_DATABASE_URL", raising=False)

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Said(code, *capsys.readouterr())

    return run
