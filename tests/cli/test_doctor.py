"""`wherry doctor`: what works on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Wherry
from wherry import doctor
from wherry.stores.base import Probe


def test_doctor_names_every_engine_and_the_machine(wherry: Wherry, wherry_home: Path, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    found = wherry("doctor", "--json").json
    assert {engine["engine"] for engine in found["engines"]} >= {"memory", "archive", "pgvector", "chroma"}
    assert all(engine["detail"] for engine in found["engines"])
    assert found["state_folder"] == str(wherry_home)
    assert found["journals"] == 1
    assert 0 < found["memory_available"] <= found["memory_total"]
    assert 0 < found["disk_free"] <= found["disk_total"]
    assert found["database_url"] is None
    said = wherry("doctor")
    assert said.code == (0 if found["usable"] else 4)
    assert "state folder" in said.out


def test_a_disk_more_than_four_fifths_full_is_a_warning() -> None:
    assert not list(doctor._warnings(100, 20))
    assert list(doctor._warnings(100, 19)) == ["the disk of the state folder is 81% full"]


def test_an_engine_that_nobody_asked_for_is_no_problem(tmp_path: Path) -> None:
    engines = (Probe("memory", True, ""), Probe("chroma", False, "pip install"), Probe("pgvector", False, "no"))
    assert list(doctor._problems(engines, tmp_path, None)) == []
    assert list(doctor._problems(engines, tmp_path, "postgresql://h/db")) == ["pgvector cannot be used: no"]


def test_a_container_has_its_own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemAvailable:  900 kB\n")
    monkeypatch.setattr(doctor, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor._memory() == (1_024_000, 921_600)
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert doctor._memory() == (500_000, 100_000)
