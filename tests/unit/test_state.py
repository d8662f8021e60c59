"""The state folder and the lock on a collection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import Busy
from wherry.state import file_name, home, locked


def test_home_is_where_the_variable_says(wherry_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home() == wherry_home
    monkeypatch.setenv("WHERRY_HOME", str(tmp_path / "deep" / "down"))
    assert home() == tmp_path / "deep" / "down"
    assert not home().exists(), "only who writes there makes it"
    monkeypatch.setenv("WHERRY_HOME", "")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".wherry"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_file_name_is_safe_and_stable(identity: str) -> None:
    name = file_name(identity)
    assert name == file_name(identity)
    assert len(name) < 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def test_file_names_that_look_alike_differ() -> None:
    names = {file_name(identity) for identity in ("a/b", "a-b", "a b", "x" * 80 + "a/b", "y" * 80 + "a/b", "A/b")}
    assert len(names) == 6


def test_a_collection_is_held_once() -> None:
    with locked("pgvector:docs", "pgvector:#docs"):
        with pytest.raises(Busy, match=str(os.getpid())) as caught, locked("pgvector:docs", "pgvector:#docs"):
            pass
        assert caught.value.exit_code == 7
        with locked("pgvector:other", "pgvector:#other"):
            pass
    with locked("pgvector:docs", "pgvector:#docs"):
        pass


def test_an_error_lets_go_of_the_lock() -> None:
    with pytest.raises(RuntimeError), locked("a", "a"):
        raise RuntimeError
    with locked("a", "a"):
        pass


def test_a_killed_process_lets_go_of_the_lock() -> None:
    program = "import time, wherry.state as s\nwith s.locked('a', 'a'):\n print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=str(other.pid)), locked("a", "a"):
            pass
        other.kill()
    with locked("a", "a"):
        pass
