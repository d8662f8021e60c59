"""Plan: what it counts is what sync then does, and it writes nothing at all."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wherry
from tests.unit.chests import Chest, Stamped, fresh, numbered, row
from wherry.errors import LossNotAccepted, MassDelete, NotEnoughSpace, Refused, SpaceMismatch
from wherry.moving import plan as plan_module
from wherry.moving.journal import Journal, folder
from wherry.moving.plan import existing, write_rate
from wherry.moving.results import Plan, SyncResult
from wherry.record import Page, from_records
from wherry.space import Metric, Space
from wherry.stores import memory
from wherry.stores.base import Kind

Disk = namedtuple("Disk", "total used free")
VERSIONS = st.dictionaries(st.sampled_from([f"i{n}" for n in range(12)]), st.integers(0, 3))


def planned(plan: Plan) -> tuple[int | None, ...]:
    """Return (new, changed, unchanged, deleted, quarantined)."""
    return (plan.new, plan.changed, plan.unchanged, plan.deleted, plan.quarantined)


def done(result: SyncResult) -> tuple[int, ...]:
    """Return the same of a run."""
    return (result.created, result.changed, result.unchanged, result.deleted, result.quarantined)


@pytest.fixture
def source() -> Chest:
    return Chest("source").fill(numbered(range(50)))


@settings(max_examples=25)
@given(VERSIONS, VERSIONS, VERSIONS, st.sets(st.sampled_from([f"i{n}" for n in range(12)]), max_size=3))
def test_what_is_planned_is_what_is_done(before: dict, now: dict, tampered: dict, bad: set[str]) -> None:
    memory.clear()
    for path in folder().iterdir():
        path.unlink()
    source, target = Chest("source").fill(before), fresh("target")
    wherry.sync(source, target)
    source.fill(now)
    for record_id in bad:
        source.put(record_id, ((float("nan"), 1.0), None, None))
    for record_id, version in tampered.items():
        target.put(record_id, row(version))
        target.drop(f"i{version}")
    plan = wherry.plan(source, target)
    result = wherry.sync(source, target, allow_mass_delete=True)
    assert planned(plan) == done(result)
    assert plan.rows == result.read
    again = wherry.plan(source, target)
    assert again.empty == (not bad)


def test_a_plan_for_a_first_copy(source: Chest) -> None:
    plan = wherry.plan(source, fresh("target"))
    assert planned(plan) == (50, 0, 0, 0, 0)
    assert (plan.rows, plan.creates, plan.empty) == (50, True, False)
    assert json.loads(json.dumps(plan.to_dict()))["empty"] is False


def test_a_plan_makes_no_collection_and_writes_to_neither_side(source: Chest) -> None:
    target = fresh("target")
    wherry.plan(source, target)
    assert target.name not in memory._shelves
    wherry.sync(source, target)
    source.put("r0003", row(7))
    target.drop("r0004")
    target.put("stranger", row(1))
    before = (source.held(), target.held(), target.written)
    plan = wherry.plan(source, target)
    assert planned(plan) == (1, 1, 48, 1, 0)
    assert (source.held(), target.held(), target.written) == before


@pytest.mark.parametrize("kind", [Chest, Stamped])
def test_a_plan_leaves_the_journal_as_it_was(kind: type[Chest]) -> None:
    source, target = kind("source"), fresh("target")
    source.fill(numbered(range(50)))
    wherry.sync(source, target, level="counted")
    source.put("r0003", row(7))
    source.put("r0004", row(0))
    target.drop("r0005")
    with Journal(target.identity) as journal:
        before = list(journal.db.iterdump())
    wherry.plan(source, target)
    with Journal(target.identity) as journal:
        assert list(journal.db.iterdump()) == before


def test_a_plan_reads_the_target_only_where_the_journal_knows_nothing(source: Chest) -> None:
    target = fresh("target")
    wherry.sync(source, target)
    target.read = 0
    wherry.plan(source, target)
    assert target.read == 0
    target.put("r0100", row(0))
    source.put("r0100", row(0))
    assert planned(wherry.plan(source, target)) == (0, 0, 51, 0, 0)
    assert target.read == 1


def test_a_plan_looks_at_what_was_never_read_back(source: Chest) -> None:
    target = fresh("target")
    wherry.sync(source, target, level="counted")
    target.put("r0003", row(9))
    assert planned(wherry.plan(source, target)) == (0, 1, 49, 0, 0)


def test_a_plan_names_what_will_be_set_aside(source: Chest) -> None:
    source.put("nan", ((float("nan"), 1.0), None, None))
    source.rejects = {"bad": "MissingVector"}
    plan = wherry.plan(source, fresh("target"))
    assert planned(plan) == (50, 0, 0, 0, 2)
    assert {r.id: r.reason for r in plan.quarantine} == {"nan": "NonFinite", "bad": "MissingVector"}


def test_duplicates_are_planned_as_they_will_be_treated(source: Chest) -> None:
    source.limits, source.repeats = {"unique_ids": False}, ["r0003", "r0004"]
    plan = wherry.plan(source, fresh("target"))
    assert planned(plan) == (50, 0, 0, 0, 2)


# Losses


def lossy_target() -> Chest:
    """Return a target without null values in metadata."""
    target = fresh("target")
    target.limits = {"metadata": frozenset(Kind) - {Kind.NULL}}
    return target


def test_losses_are_counted_before_anything_is_written(source: Chest) -> None:
    for i in range(7):
        source.put(f"x{i}", ((1, 2), "t", {"a": None, "b": i}))
    plan = wherry.plan(source, lossy_target())
    (loss,) = plan.losses
    assert (loss.code, loss.severity, loss.records) == ("metadata-null", "lossy", 7)
    assert len(loss.examples) == 5


def test_a_loss_planned_is_the_loss_sync_asks_about(source: Chest) -> None:
    target = lossy_target()
    assert wherry.plan(source, target).losses == ()
    wherry.sync(source, target)
    source.put("r0003", ((1, 2), "t", {"a": None}))
    (loss,) = wherry.plan(source, target).losses
    assert (loss.records, loss.examples) == (1, ("r0003",))
    with pytest.raises(LossNotAccepted, match="1 records, such as r0003"):
        wherry.sync(source, target)
    wherry.sync(source, target, accept_losses=True)
    assert [loss.records for loss in wherry.plan(source, target).losses] == [1]


def test_a_loss_is_counted_once_although_the_target_is_read(source: Chest) -> None:
    target = lossy_target()
    source.put("x", ((1, 2), "t", {"a": None}))
    wherry.sync(source, target, accept_losses=True)
    for path in folder().iterdir():
        path.unlink()
    plan = wherry.plan(source, target)
    assert planned(plan) == (0, 0, 51, 0, 0)
    assert [loss.records for loss in plan.losses] == [1]


# Room


def on_disk(target: Chest, volume: Path) -> Chest:
    """Make a target say that its data lies on a volume."""
    original = target.describe
    target.describe = lambda: replace(original(), volume=str(volume))  # type: ignore[method-assign]
    return target


def test_the_disk_is_looked_at_before_anything_is_written(
    source: Chest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = on_disk(fresh("target"), tmp_path / "not" / "there" / "yet")
    plan = wherry.plan(source, target)
    assert plan.disk_free is not None
    assert 0 < plan.disk_needed < plan.disk_free
    monkeypatch.setattr(plan_module.shutil, "disk_usage", lambda _: Disk(10, 9, plan.disk_needed - 1))
    assert wherry.plan(source, target).disk_free == plan.disk_needed - 1
    with pytest.raises(NotEnoughSpace):
        wherry.sync(source, target)
    assert target.held() == {}
    monkeypatch.setattr(plan_module.shutil, "disk_usage", lambda _: Disk(10, 9, plan.disk_needed))
    assert wherry.sync(source, target).equal


def test_what_is_there_already_needs_no_room(source: Chest, tmp_path: Path) -> None:
    target = on_disk(fresh("target"), tmp_path)
    wherry.sync(source, target)
    assert wherry.plan(source, target).disk_needed == 0


def test_a_disk_that_is_not_ours_is_not_judged(source: Chest) -> None:
    plan = wherry.plan(source, fresh("target"))
    assert plan.disk_free is None


def test_a_page_cut_out_of_a_large_batch_is_weighed_by_its_own_rows() -> None:
    class Cut(Chest):
        def scan(self, rows: int = 0) -> Any:
            whole = from_records([wherry.Record(str(i), (1.0, 2.0), "t" * 1000) for i in range(1000)])
            for start in range(0, 1000, 10):
                yield Page(whole.slice(start, 10))

    source = Cut("cut").fill(numbered(range(1000)))
    plan = wherry.plan(source, fresh("target"))
    assert 1_000_000 < plan.bytes < 1_200_000


def test_the_nearest_folder_that_exists_is_asked(tmp_path: Path) -> None:
    assert existing(str(tmp_path / "a" / "b")) == os.fspath(tmp_path)
    assert existing("nowhere/at/all") == str(Path.cwd())


# Time


def note_run(identity: str, target: str, written: int, seconds: float, status: str = "done") -> None:
    """Put a run into the journal of a target."""
    with Journal(identity) as journal:
        run = journal.begin("sync", "s", target, {})
        journal.end(run, status, {"written": written, "seconds": seconds})


def test_the_speed_is_that_of_the_latest_large_run_to_such_an_engine(wherry_home: Path) -> None:
    assert write_rate("memory") is None
    note_run("a", "memory:#a", 5000, 5.0)
    note_run("b", "memory:#b", 10_000, 5.0)
    note_run("c", "memory:#c", 10, 0.001)
    note_run("d", "chroma:./x#d", 9000, 1.0)
    assert write_rate("memory") == 2000
    assert write_rate("chroma") == 9000
    assert write_rate("pgvector") is None
    (wherry_home / "journal" / "broken.sqlite3").write_bytes(b"no journal" * 1000)
    assert write_rate("memory") == 2000


# Refusals


def test_a_plan_refuses_what_sync_would_refuse(source: Chest) -> None:
    with pytest.raises(SpaceMismatch):
        wherry.plan(source, Chest("other", Space(dimension=3, metric=Metric.L2)))
    with pytest.raises(Refused, match="same collection"):
        wherry.plan(source, Chest("source"))
    picky = fresh("picky")
    picky.limits = {"metrics": frozenset({Metric.COSINE})}
    with pytest.raises(Refused, match="cannot search by l2"):
        wherry.plan(source, picky)


def test_a_plan_shows_the_deletions_that_sync_would_refuse(source: Chest) -> None:
    target = fresh("target")
    wherry.sync(source, target)
    source.fill(numbered(range(5)))
    assert planned(wherry.plan(source, target)) == (0, 0, 5, 45, 0)
    with pytest.raises(MassDelete):
        wherry.sync(source, target)
