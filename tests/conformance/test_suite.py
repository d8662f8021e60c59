"""The suite itself: gaps are strict, a read-only store has a suite too, and Wherry does without it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

import wherry
from wherry.address import Address
from wherry.space import Space
from wherry.stores import memory
from wherry.stores.base import Capabilities, Index, Writable
from wherry.testing.conformance import (
    NEVER,
    Fixtures,
    Gap,
    Place,
    SourceConformance,
    StoreConformance,
    cases,
    verdicts,
)

GAPPED = """
from wherry.stores import memory
from wherry.stores.memory import MemoryStore
from wherry.testing.conformance import NEVER, NOT_YET_BY_US, Fixtures, Gap, StoreConformance

class Forgetful(MemoryStore):
    def describe(self):
        found = super().describe()
        return type(found)(found.name, found.exists, found.count, found.space)

class Lossy(Fixtures):
    gaps = {GAPS}
    def address(self, name):
        return f"memory:#{name}"
    def open_target(self, name):
        return Forgetful(name)

class TestLossy(StoreConformance):
    fixtures = Lossy
"""
OPEN = '"test_index_parameters_are_kept": Gap(NEVER, "forgets its index")'
CLOSED = '"test_null_text": Gap(NOT_YET_BY_US, "closed long ago")'
UNKNOWN = '"test_of_old": Gap(NEVER, "renamed")'
STALE = {"test_null_text", "test_gaps_name_tests_of_this_suite", "test_metadata_kind[null]"}
ONE_CASE = '"test_metadata_kind[null]": Gap(NEVER, "closed")'


def _outcomes(folder: Path, *gaps: str) -> set[str]:
    """Run the suite over a store without index parameters; return the names that pytest reports."""
    (folder / "test_lossy.py").write_text(GAPPED.replace("GAPS", ", ".join(gaps)).replace("{{", "{").replace("}}", "}"))
    tests = "gaps_name or index_parameters or null_text or metadata_kind"
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-k", tests, str(folder)]
    # Plugins that happen to be installed double the time, and are not what is tried.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    failed = {line.split("::")[-1].split(" ")[0] for line in ran.stdout.splitlines() if line.startswith("FAILED")}
    assert ran.returncode == (1 if failed else 0), ran.stdout
    return failed


@pytest.mark.parametrize(
    ("gaps", "failed"),
    [
        ((), {"test_index_parameters_are_kept"}),
        ((OPEN,), set()),
        (
            (OPEN, CLOSED, UNKNOWN, ONE_CASE),
            {"test_null_text", "test_gaps_name_tests_of_this_suite", "test_metadata_kind[null]"},
        ),
    ],
    ids=["undeclared", "declared", "stale"],
)
def test_gap_is_declared_once_and_must_be_open(tmp_path: Path, gaps: tuple[str, ...], failed: set[str]) -> None:
    assert _outcomes(tmp_path, *gaps) == failed


def test_gap_has_one_of_three_words_and_a_reason() -> None:
    assert str(Gap(NEVER, "no room")) == "never: no room"
    with pytest.raises(ValueError, match="three words"):
        Gap("later", "no room")
    with pytest.raises(ValueError, match="reason"):
        Gap(NEVER, " ")


class ReadOnly(Fixtures):
    """A store that cannot be written, filled behind its back."""

    def address(self, name: str) -> str:
        return f"memory:#{quote(name, safe='')}"

    def open_target(self, name: str) -> Writable:
        raise AssertionError("a read-only store was asked to write")

    def capabilities(self) -> Capabilities:
        return memory.CAPABILITIES

    def fill(self, name: str, batch: pa.RecordBatch, space: Space) -> None:
        store = memory.open_target(Address.parse(self.address(name)))
        store.prepare(space, Index(), batch.num_rows)
        store.upsert(batch)


class TestReadOnly(SourceConformance):
    fixtures = ReadOnly


def test_verdicts_are_those_of_pytest(tmp_path: Path) -> None:
    found = verdicts(SourceConformance, ReadOnly(tmp_path))
    assert set(found.values()) == {"passed", "skipped"}
    assert [name for name, verdict in found.items() if verdict == "skipped"] == [
        "test_missing_source_is_not_created",
        "test_rejects_are_told_not_dropped",
    ]


def test_suite_is_as_large_as_promised() -> None:
    names = {name.partition("[")[0] for name, _ in cases(StoreConformance)}
    assert len(names) >= 60
    assert all((getattr(StoreConformance, name).__doc__ or "").strip() for name in names)


def test_place_closes_what_it_opened(tmp_path: Path) -> None:
    closed: list[str] = []

    class Noting(memory.MemoryStore):
        def close(self) -> None:
            closed.append(self.name)

    class Noted(ReadOnly):
        def open_target(self, name: str) -> Writable:
            return Noting(name)

    place = Place(Noted(tmp_path))
    place.target("a")
    place.open_target("b")
    place.close()
    assert closed == ["b", "a"]


def test_wherry_itself_does_not_import_its_tests() -> None:
    root = Path(wherry.__file__).parent
    # The demo leaves a cloud, and the server that speaks its language is the one that tests talk to.
    own = {root / "demo" / "cloud.py"}
    sources = [path for path in root.rglob("*.py") if root / "testing" not in path.parents and path not in own]
    importing = [path.name for path in sources for name in _imports(path) if name.startswith("wherry.testing")]
    assert sources
    assert importing == []


def _imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found
