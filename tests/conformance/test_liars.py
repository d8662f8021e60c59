"""The suite believes no claim: for every capability it catches both lies and passes both truths."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.liars import FLAWS, PROMISES, Alter, Flaw, Flawed, Lab, Stamping
from wherry.stores.base import Capabilities, Touched
from wherry.testing.conformance import StoreConformance, verdicts

each_flaw = pytest.mark.parametrize("flaw", FLAWS, ids=[flaw.name for flaw in FLAWS])


def _verdicts(folder: Path, test: str, store: type[Flawed], alter: Alter | None, claims: dict) -> dict[str, str]:
    lab = Lab(folder, store, alter, {k: frozenset(v) if isinstance(v, set) else v for k, v in claims.items()})
    found = verdicts(StoreConformance, lab, test)
    assert found, "no such test"
    return found


def _failed(found: dict[str, str]) -> list[str]:
    return [name for name, verdict in found.items() if verdict not in ("passed", "skipped")]


@each_flaw
def test_flaw_that_is_admitted_passes(flaw: Flaw, tmp_path: Path) -> None:
    assert _failed(_verdicts(tmp_path, flaw.test, flaw.store, flaw.alter, flaw.admitted)) == []


@each_flaw
def test_flaw_that_is_denied_is_caught(flaw: Flaw, tmp_path: Path) -> None:
    assert _failed(_verdicts(tmp_path, flaw.test, flaw.store, flaw.alter, {})) != []


@each_flaw
def test_flaw_that_is_not_there_is_caught(flaw: Flaw, tmp_path: Path) -> None:
    failed = _failed(_verdicts(tmp_path, flaw.test, Flawed, None, flaw.admitted))
    assert bool(failed) == (flaw.name not in PROMISES)


def test_marks_that_are_true_pass(tmp_path: Path) -> None:
    found = _verdicts(tmp_path, "", Stamping, None, {"detects_changes": True})
    of_changes = [name for name in found if "mark" in name or "touched" in name]
    assert len(of_changes) == 15
    assert {found[name] for name in of_changes} == {"passed"}
    assert _failed(found) == []


def test_marks_that_nobody_claims_are_caught(tmp_path: Path) -> None:
    assert _failed(_verdicts(tmp_path, "test_marks_come", Stamping, None, {})) != []
    assert _failed(_verdicts(tmp_path, "test_marks_come", Flawed, None, {"detects_changes": True})) != []


class _Careless(Stamping):
    """Notices only that a text has changed, and takes every mark for its own."""

    def upsert(self, batch: Any, absent: bool = False) -> None:
        stamps = self.stamps.setdefault(self.name, {})
        held = {i: row.column("text")[0].as_py() for i, row in self._shelf.rows.items()}
        before = dict(stamps)
        super().upsert(batch, absent)
        for record_id, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
            if held.get(record_id, ...) == text and record_id in before:
                stamps[record_id] = before[record_id]

    def touched(self, mark: str) -> Touched | None:
        own = f"{self.name} {id(self._shelf)} {mark.split()[-1]}"
        return super().touched(own)


def test_marks_that_miss_a_change_are_caught(tmp_path: Path) -> None:
    found = _verdicts(tmp_path, "test_", _Careless, None, {"detects_changes": True})
    assert {
        "test_mark_finds_a_touched_record[metadata]",
        "test_mark_finds_a_touched_record[no-metadata]",
        "test_mark_finds_a_touched_record[vector]",
        "test_mark_of_another_collection_proves_nothing",
    } <= set(_failed(found))


def test_every_capability_has_its_liar() -> None:
    lied_about = {name for flaw in FLAWS for name in flaw.admitted} | {"detects_changes"}
    # What no protocol shows yet, and what has tests of its own below.
    apart = {"text_in_place", "atomic_switch", "max_batch", "needs_metric", "checked_metadata"}
    assert {field.name for field in fields(Capabilities)} == lied_about | apart


class _Cutting(Flawed):
    """Keeps the first hundred records of a batch and says nothing."""

    def upsert(self, batch: Any, absent: bool = False) -> None:
        super().upsert(batch.slice(0, 100), absent)


@pytest.mark.parametrize("limit", [None, 100], ids=["unlimited", "limited"])
def test_batch_that_is_cut_is_caught(tmp_path: Path, limit: int | None) -> None:
    assert _failed(_verdicts(tmp_path, "test_batch_", _Cutting, None, {"max_batch": limit})) != []
    assert _failed(_verdicts(tmp_path, "test_batch_", Flawed, None, {"max_batch": limit})) == []
