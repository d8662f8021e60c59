"""Sync: the target ends up equal to the source, whatever happened to either before."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

import wherry
from tests.unit.chests import SPACE, Chest, Stamped, content, fresh, numbered, row
from wherry.errors import BadAddress, Busy, LossNotAccepted, MassDelete, NoSuchCollection, Refused, SpaceMismatch, Usage
from wherry.moving import sync as sync_module
from wherry.moving.journal import Journal
from wherry.moving.results import SyncResult
from wherry.space import Metric, Space
from wherry.state import locked
from wherry.stores.base import Kind

names = itertools.count()
LEVELS = ("counted", "ids", "digests", "deep")


def sync(source: Chest, target: Chest, **wishes: Any) -> SyncResult:
    """Sync and check what holds on every run."""
    result = wherry.sync(source, target, **wishes)
    assert result.read == result.written + result.unchanged + result.quarantined
    assert result.written == result.created + result.changed
    assert result.equal != bool(result.quarantined)
    assert result.exit_code == (5 if result.quarantined else 0 if result.equal else 1)
    assert json.loads(json.dumps(result.to_dict()))["run"] == result.run
    return result


def counts(result: SyncResult) -> tuple[int, int, int, int, int]:
    """Return (created, changed, unchanged, deleted, quarantined)."""
    return (result.created, result.changed, result.unchanged, result.deleted, result.quarantined)


@pytest.fixture
def source() -> Chest:
    return Chest("source").fill(numbered(range(50)))


@pytest.fixture
def target() -> Chest:
    return fresh("target")


def test_a_first_copy_is_equal_and_deep(source: Chest, target: Chest) -> None:
    result = sync(source, target)
    assert counts(result) == (50, 0, 0, 0, 0)
    assert (result.verified, result.equal, result.exit_code) == ("deep", True, 0)
    assert target.held() == source.held()


def test_a_second_run_writes_nothing(source: Chest, target: Chest) -> None:
    sync(source, target)
    target.written = 0
    result = sync(source, target)
    assert counts(result) == (0, 0, 50, 0, 0)
    assert (result.verified, result.equal, target.written) == ("digests", True, 0)


def test_a_first_copy_of_many_pages_goes_in_batches(target: Chest) -> None:
    source = Chest("source").fill(numbered(range(300)))
    target.limits = {"max_batch": 7}
    sizes: list[int] = []
    original = target.upsert
    target.upsert = lambda batch, absent=False: (sizes.append(batch.num_rows), original(batch, absent))[1]  # type: ignore[method-assign]
    assert counts(sync(source, target)) == (300, 0, 0, 0, 0)
    assert max(sizes) <= 7
    assert target.held() == source.held()


def test_changes_are_carried_over_and_nothing_else(source: Chest, target: Chest) -> None:
    sync(source, target)
    source.put("r0007", row(5))
    source.put("new", row(1))
    source.drop("r0010", "r0011")
    target.written = 0
    result = sync(source, target)
    assert counts(result) == (1, 1, 47, 2, 0)
    assert target.written == 2
    assert target.held() == source.held()


def test_metadata_spelled_otherwise_is_unchanged(source: Chest, target: Chest) -> None:
    source.put("x", ((1, 2), None, {"a": 1, "b": 2}))
    sync(source, target)
    source.put("x", ((1, 2), None, {"b": 2, "a": 1}))
    assert counts(sync(source, target)) == (0, 0, 51, 0, 0)
    source.put("x", ((1, 2), None, {"b": 2, "a": 1.0}))
    assert counts(sync(source, target)) == (0, 1, 50, 0, 0)


def test_metadata_stays_as_it_was_spelled(source: Chest, target: Chest) -> None:
    source.put("x", ((1, 2), None, {"z": 1, "a": [1.0, 1, "é"]}))
    sync(source, target)
    assert target._shelf.rows["x"].column("metadata")[0].as_py() == '{"z": 1, "a": [1.0, 1, "é"]}'


def test_what_vanished_behind_its_back_is_written_again(source: Chest, target: Chest) -> None:
    sync(source, target)
    target.drop("r0003", "r0004")
    assert counts(sync(source, target)) == (2, 0, 48, 0, 0)
    assert target.held() == source.held()


def test_what_appeared_behind_its_back_is_deleted(source: Chest, target: Chest) -> None:
    sync(source, target)
    target.put("stranger", row(1))
    assert counts(sync(source, target)) == (0, 0, 50, 1, 0)
    assert target.held() == source.held()


def test_a_record_swapped_for_another_is_noticed_although_the_count_agrees(source: Chest, target: Chest) -> None:
    sync(source, target)
    target.drop("r0003")
    target.put("stranger", row(1))
    assert counts(sync(source, target)) == (1, 0, 49, 1, 0)
    assert target.held() == source.held()


def test_a_record_that_appeared_at_the_target_first_is_looked_at(source: Chest, target: Chest) -> None:
    sync(source, target)
    for store in (source, target):
        store.put("same", row(1))
    source.put("other", row(1))
    target.put("other", row(2))
    assert counts(sync(source, target)) == (0, 1, 51, 0, 0)
    assert target.held() == source.held()


@pytest.mark.parametrize("level", LEVELS)
def test_damage_behind_its_back_is_seen_by_deep_alone(source: Chest, target: Chest, level: str) -> None:
    sync(source, target)
    target.put("r0003", row(9))
    result = sync(source, target, level=level)
    assert result.changed == (1 if level == "deep" else 0)
    assert (target.held() == source.held()) == (level == "deep")


def test_damage_found_by_verify_is_mended_by_the_next_sync(source: Chest, target: Chest) -> None:
    sync(source, target)
    target.put("r0003", row(9))
    assert wherry.verify(source, target, level="deep").different == 1
    assert counts(sync(source, target)) == (0, 1, 49, 0, 0)
    assert wherry.verify(source, target, level="deep").verdict == "verified"


def test_a_target_without_a_journal_is_adopted_not_rewritten(source: Chest) -> None:
    target = Chest("target").fill(numbered(range(50)))
    result = sync(source, target)
    assert counts(result) == (0, 0, 50, 0, 0)
    assert (target.written, result.verified, result.equal) == (0, "deep", True)
    target.read = 0
    assert counts(sync(source, target)) == (0, 0, 50, 0, 0)
    assert target.read == 0


def test_a_target_without_a_journal_is_mended_where_it_differs(source: Chest) -> None:
    target = Chest("target").fill({**numbered(range(40)), **numbered([3, 7], version=1), "stranger": 1})
    assert counts(sync(source, target)) == (10, 2, 38, 1, 0)
    assert target.written == 12
    assert target.held() == source.held()


def test_a_lost_journal_costs_reading_and_no_writing(source: Chest, target: Chest, wherry_home: Any) -> None:
    sync(source, target)
    for path in (wherry_home / "journal").iterdir():
        path.unlink()
    target.written = 0
    result = sync(source, target)
    assert (counts(result), target.written, result.verified) == ((0, 0, 50, 0, 0), 0, "deep")


@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_source_and_an_empty_target_are_equal(target: Chest, level: str) -> None:
    result = sync(Chest("source"), target, level=level)
    assert counts(result) == (0, 0, 0, 0, 0)
    assert result.equal


def test_an_empty_source_of_unknown_space_can_be_filled_later(target: Chest) -> None:
    source = Chest("source", Space())
    assert sync(source, target).equal
    source._shelf.space = SPACE
    source.fill(numbered(range(5)))
    assert counts(sync(source, target)) == (5, 0, 0, 0, 0)
    assert target.held() == source.held()


def test_the_level_that_was_reached_is_named(source: Chest) -> None:
    for level, verified in (("counted", "counted"), ("ids", "ids"), ("digests", "deep"), ("deep", "deep")):
        result = sync(source, fresh(f"target-{level}"), level=level)
        assert (result.verified, result.equal) == (verified, True)


def test_what_was_not_read_back_is_looked_at_by_the_next_thorough_run(source: Chest, target: Chest) -> None:
    sync(source, target, level="counted")
    target.put("r0003", row(9))
    assert counts(sync(source, target, level="digests")) == (0, 1, 49, 0, 0)
    assert target.held() == source.held()


@pytest.mark.parametrize("level", ["digests", "deep"])
def test_a_deep_run_reads_everything_once_more(source: Chest, target: Chest, level: str) -> None:
    sync(source, target)
    target.read = 0
    result = sync(source, target, level=level)
    assert (target.read, result.verified) == ((50, "deep") if level == "deep" else (0, "digests"))


# Quarantine


def test_records_no_batch_can_hold_are_set_aside(source: Chest, target: Chest) -> None:
    source.rejects = {"bad": "MissingVector"}
    result = sync(source, target)
    assert counts(result) == (50, 0, 0, 0, 1)
    assert (result.equal, result.exit_code) == (False, 5)
    assert [(r.id, r.reason) for r in result.quarantine] == [("bad", "MissingVector")]


def test_records_the_target_cannot_hold_are_set_aside(source: Chest, target: Chest) -> None:
    source.put("nan", ((float("nan"), 1.0), None, None))
    source.put("nul\x00", row(1))
    target.limits = {"nul_in_text": False}
    result = sync(source, target)
    assert counts(result) == (50, 0, 0, 0, 2)
    assert {r.id: r.reason for r in result.quarantine} == {"nan": "NonFinite", "nul\x00": "BadText"}
    assert set(target.held()) == set(numbered(range(50)))
    assert counts(sync(source, target)) == (0, 0, 50, 0, 2)


def test_quarantine_is_kept_in_the_journal(source: Chest, target: Chest) -> None:
    source.put("nan", ((float("nan"), 1.0), None, None))
    result = sync(source, target)
    with Journal(target.identity) as journal:
        assert [(r.id, r.reason) for r in journal.quarantined(result.run)] == [("nan", "NonFinite")]


@pytest.mark.parametrize("level", ["digests", "deep"])
def test_a_quarantined_record_keeps_its_old_version(source: Chest, target: Chest, level: str) -> None:
    sync(source, target)
    before = target.held()["r0003"]
    source.put("r0003", ((float("inf"), 1.0), "new", None))
    result = sync(source, target, level=level)
    assert counts(result) == (0, 0, 49, 0, 1)
    assert target.held()["r0003"] == before
    source.put("r0003", row(6))
    assert counts(sync(source, target)) == (0, 1, 49, 0, 0)
    assert target.held() == source.held()


def test_a_record_that_became_unreadable_keeps_its_old_version(source: Chest, target: Chest) -> None:
    sync(source, target)
    source.drop("r0003")
    source.rejects = {"r0003": "MissingVector"}
    assert counts(sync(source, target)) == (0, 0, 49, 0, 1)
    assert "r0003" in target.held()


def test_an_id_that_is_no_unicode_is_set_aside_on_every_run(source: Chest, target: Chest) -> None:
    class Odd(Chest):
        def ids(self, rows: int = 0) -> Any:
            yield from super(Chest, self).ids()

    odd = Odd("odd").fill(numbered(range(5)))
    odd.rejects = {"half\ud800": "BadText"}
    for _ in range(2):
        result = sync(odd, target)
        assert (result.read, result.quarantined) == (6, 1)


def test_a_second_record_of_an_id_is_set_aside(source: Chest, target: Chest) -> None:
    source.limits, source.repeats = {"unique_ids": False}, ["r0003", "r0003", "r0040"]
    for created in (50, 0):
        result = sync(source, target)
        assert counts(result) == (created, 0, 50 - created, 0, 3)
        assert [r.reason for r in result.quarantine] == ["DuplicateId"] * 3
        assert set(target.held()) == set(numbered(range(50)))


def test_a_second_record_of_a_changed_id_does_not_win(source: Chest, target: Chest) -> None:
    sync(source, target)
    source.limits, source.repeats = {"unique_ids": False}, ["r0003"]
    source.put("r0003", row(7))
    assert counts(sync(source, target)) == (0, 1, 49, 0, 1)
    assert target.held() == source.held()


def test_bad_metadata_is_set_aside_although_the_target_lacks_kinds(source: Chest, target: Chest) -> None:
    source.put("x", ((1, 2), None, {"a": float("nan")}))
    target.limits = {"metadata": frozenset(Kind) - {Kind.NULL}}
    result = sync(source, target)
    assert counts(result) == (50, 0, 0, 0, 1)
    assert result.quarantine[0].reason == "BadMetadata"


# Refusals


def test_a_mass_deletion_is_refused_before_the_first_write(source: Chest, target: Chest) -> None:
    sync(source, target)
    before = target.held()
    source.fill({**numbered(range(10)), "new": 1})
    target.written = 0
    with pytest.raises(MassDelete, match="40 of the 50"):
        sync(source, target)
    assert (target.held(), target.written) == (before, 0)
    result = sync(source, target, allow_mass_delete=True)
    assert counts(result) == (1, 0, 10, 40, 0)
    assert target.held() == source.held()


def test_a_mass_deletion_that_shows_only_at_the_end_is_refused_too(source: Chest, target: Chest) -> None:
    sync(source, target)
    before = target.held()

    def shrinking(rows: int = 0) -> Any:
        # The listing before it still showed everything.
        source.drop(*numbered(range(10, 50)))
        return Chest.scan(source, rows)

    source.scan = shrinking  # type: ignore[method-assign]
    with pytest.raises(MassDelete):
        sync(source, target)
    assert target.held() == before


def test_a_scan_that_misses_records_deletes_nothing(source: Chest, target: Chest) -> None:
    class Blind(Chest):
        def scan(self, rows: int = 0) -> Any:
            for page in super().scan(rows):
                yield type(page)(page.records.slice(0, 2))

    sync(source, target)
    result = wherry.sync(Blind("source"), target)
    assert (result.deleted, result.equal) == (0, False)
    assert target.held() == source.held()
    assert any("missed" in note for note in result.notes)


def test_an_empty_source_does_not_empty_a_target(target: Chest) -> None:
    sync(Chest("source").fill(numbered(range(11))), target)
    with pytest.raises(MassDelete):
        sync(Chest("nothing"), target)
    assert len(target.held()) == 11


def test_two_spaces_do_not_mix(source: Chest) -> None:
    target = Chest("target", Space(dimension=3, metric=Metric.L2)).fill({})
    with pytest.raises(SpaceMismatch, match="dimension: 2 / 3"):
        sync(source, target)


def test_a_metric_the_target_cannot_search_is_refused(source: Chest, target: Chest) -> None:
    target.limits = {"metrics": frozenset({Metric.COSINE})}
    with pytest.raises(Refused, match="cannot search by l2"):
        sync(source, target)


def test_a_collection_is_not_synced_with_itself(source: Chest) -> None:
    with pytest.raises(Refused, match="the same collection"):
        sync(source, Chest("source"))
    assert len(source.held()) == 50


def test_a_loss_must_be_accepted(source: Chest, target: Chest) -> None:
    source.put("x", ((1, 2), "t", {"a": {"b": 1}}))
    target.limits = {"metadata": frozenset(Kind) - {Kind.OBJECT}}
    with pytest.raises(LossNotAccepted, match="1 records, such as x"):
        sync(source, target)
    assert target.held() == {}
    result = sync(source, target, accept_losses=True)
    assert (result.equal, [loss.code for loss in result.losses]) == (True, ["metadata-object"])
    assert target.held()["x"] == content(((1, 2), "t", {"a": '{"b": 1}'}))[0]


def test_a_loss_that_would_happen_to_no_record_needs_no_consent(source: Chest, target: Chest) -> None:
    target.limits = {"metadata": frozenset(Kind) - {Kind.OBJECT}}
    assert sync(source, target).equal


def test_a_target_in_use_is_busy(source: Chest, target: Chest) -> None:
    with locked(target.identity, target.address), pytest.raises(Busy):
        sync(source, target)
    with target.exclusive(), pytest.raises(Busy):
        sync(source, target)
    assert sync(source, target).equal


def test_a_source_that_is_not_there_is_an_error_not_a_new_collection() -> None:
    with pytest.raises(NoSuchCollection):
        wherry.sync("memory:#nowhere", "memory:#target")
    with pytest.raises(NoSuchCollection):
        wherry.open_source("memory:#nowhere")


def test_an_unknown_level_is_a_usage_error(source: Chest, target: Chest) -> None:
    with pytest.raises(Usage, match="unknown level"):
        sync(source, target, level="shallow")
    with pytest.raises(BadAddress):
        wherry.sync("docs", target)


def test_addresses_work_as_well_as_stores() -> None:
    Chest("source").fill(numbered(range(5)))
    result = wherry.sync("memory:#source", wherry.Address.parse("memory:#target"))
    assert (result.created, result.source, result.target) == (5, "memory:#source", "memory:#target")


# Errors on the way


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, wherry.StoreError])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_run_cut_short_goes_on_from_there(source: Chest, target: Chest, error: type, after: int) -> None:
    target.limits = {"max_batch": 6}
    original, calls = target.upsert, itertools.count()

    def failing(batch: Any, absent: bool = False) -> None:
        if next(calls) == after:
            raise error("cut short")
        original(batch, absent)

    target.upsert = failing  # type: ignore[method-assign]
    with pytest.raises((wherry.Interrupted, OSError, wherry.StoreError)) as caught:
        sync(source, target)
    assert isinstance(caught.value, wherry.Interrupted) == (error is KeyboardInterrupt)
    with Journal(target.identity) as journal:
        expected = "interrupted" if error is KeyboardInterrupt else "failed"
        assert journal.runs()[0]["status"] == expected
    done = target.written
    result = sync(source, target)
    assert result.equal
    assert target.held() == source.held()
    assert target.written <= 50 + 2 * 6
    assert result.created >= 50 - done


def test_what_does_not_read_back_equal_ends_the_run(source: Chest, target: Chest) -> None:
    original = target.upsert

    def lossy(batch: Any, absent: bool = False) -> None:
        original(batch, absent)
        if "r0003" in target._shelf.rows:
            target.put("r0003", row(9))

    target.upsert = lossy  # type: ignore[method-assign]
    with pytest.raises(wherry.Integrity, match="r0003"):
        sync(source, target)
    target.upsert = original  # type: ignore[method-assign]
    assert sync(source, target).equal
    assert target.held() == source.held()


def test_a_batch_that_loses_records_ends_the_run(source: Chest, target: Chest) -> None:
    original = target.upsert
    target.upsert = lambda batch, absent=False: original(batch.slice(1), absent)  # type: ignore[method-assign]
    with pytest.raises(wherry.Integrity, match="missing"):
        sync(source, target)


def test_an_error_message_names_no_body(source: Chest, target: Chest) -> None:
    source.put("x", ((1, 2), "geheim", {"a": "geheim"}))
    original = target.upsert

    def lossy(batch: Any, absent: bool = False) -> None:
        original(batch, absent)
        if "x" in target._shelf.rows:
            target.put("x", ((1, 2), "geheim!", {"a": "geheim!"}))

    target.upsert = lossy  # type: ignore[method-assign]
    with pytest.raises(wherry.Integrity) as caught:
        sync(source, target)
    assert "geheim" not in str(caught.value)


def test_pages_of_half_a_batch_are_joined(monkeypatch: pytest.MonkeyPatch, source: Chest, target: Chest) -> None:
    monkeypatch.setattr(sync_module, "WRITE_ROWS", 8)
    sizes: list[int] = []
    original = target.upsert
    target.upsert = lambda batch, absent=False: (sizes.append(batch.num_rows), original(batch, absent))[1]  # type: ignore[method-assign]
    sync(source, target)
    assert sum(sizes) == 50
    assert all(6 <= size <= 8 for size in sizes[:-1])


class Staging(Chest):
    """A target that only stages what is written."""

    publishes = "a file"


@pytest.mark.parametrize(("kind", "limit"), [(Chest, "WRITE_BYTES"), (Staging, "STAGED_BYTES")])
def test_large_records_make_small_batches(
    monkeypatch: pytest.MonkeyPatch, source: Chest, kind: type[Chest], limit: str
) -> None:
    target = kind("target")
    monkeypatch.setattr(sync_module, limit, 1 << 20)
    monkeypatch.setattr("wherry.moving.conveyor._LEAST_ROWS", 2)
    source.fill({})
    for number in range(20):
        source.put(f"large-{number}", ((1, 2), "글" * 50_000, {}))
    sizes: list[int] = []
    original = target.upsert
    target.upsert = lambda batch, absent=False: (sizes.append(batch.num_rows), original(batch, absent))[1]  # type: ignore[method-assign]
    sync(source, target)
    assert sum(sizes) == 20
    # Of about 150 KB each, six fit.
    assert max(sizes) == 6


# Sources that can prove what changed


@pytest.fixture
def stamped() -> Stamped:
    store = Stamped("stamped")
    store.fill(numbered(range(50)))
    return store


def test_what_is_proved_unchanged_is_not_read(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    stamped.read = 0
    assert counts(sync(stamped, target)) == (0, 0, 50, 0, 0)
    assert stamped.read <= 7 + 0


def test_only_what_was_touched_is_read(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    stamped.put("r0007", row(5))
    stamped.put("r0008", row(0))
    stamped.put("new", row(1))
    stamped.drop("r0030")
    probe = 0
    for expected in ((1, 1, 48, 1, 0), (0, 0, 50, 0, 0)):
        stamped.read = 0
        assert counts(sync(stamped, target)) == expected
        assert target.held() == stamped.held()
        probe = stamped.read
    # Nothing was touched since the first of the two runs.
    assert probe <= 7


def test_a_mark_that_means_nothing_any_more_makes_it_read_everything(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    stamped.era = "2"
    # Stamps that happen to be older than the mark mean nothing in another era.
    before = dict(stamped.stamps)
    stamped.put("r0007", row(5))
    stamped.stamps = before
    assert counts(sync(stamped, target)) == (0, 1, 49, 0, 0)
    assert target.held() == stamped.held()
    stamped.read = 0
    sync(stamped, target)
    assert stamped.read <= 7


def test_tokens_do_not_hide_what_happened_at_the_target(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    target.drop("r0001")
    target.put("stranger", row(1))
    target.put("r0002", row(9))
    assert wherry.verify(stamped, target).different == 1
    assert counts(sync(stamped, target)) == (1, 1, 48, 1, 0)
    assert target.held() == stamped.held()
    target.put("r0003", row(9))
    assert counts(sync(stamped, target, level="deep")) == (0, 1, 49, 0, 0)
    assert target.held() == stamped.held()


def test_another_source_in_between_does_not_mislead_the_tokens(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    other = Chest("other").fill({**numbered(range(50)), "r0005": 8, "only": 1})
    sync(other, target)
    assert target.held() == other.held()
    sync(stamped, target)
    assert target.held() == stamped.held()
    twin = Stamped("twin")
    twin.fill({**numbered(range(50)), "r0009": 4})
    sync(twin, target)
    assert target.held() == twin.held()


def test_a_mass_deletion_is_seen_in_the_tokens_before_the_first_write(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    stamped.drop(*numbered(range(5, 50)))
    stamped.put("new", row(1))
    target.written = 0
    with pytest.raises(MassDelete):
        sync(stamped, target)
    assert (target.written, len(target.held())) == (0, 50)


def test_a_quarantined_record_of_a_versioned_source_is_tried_again(stamped: Stamped, target: Chest) -> None:
    sync(stamped, target)
    stamped.put("r0003", ((float("nan"), 0.0), None, None))
    for _ in range(2):
        assert counts(sync(stamped, target)) == (0, 0, 49, 0, 1)
    stamped.put("r0003", row(4))
    assert counts(sync(stamped, target)) == (0, 1, 49, 0, 0)


# Everything at once

IDS = st.sampled_from([f"i{n}" for n in range(14)])
VERSIONS = st.integers(0, 4)


class Convergence(RuleBasedStateMachine):
    """Whatever happens to both sides, a sync brings them together as far as its level looks."""

    chest = Chest

    def __init__(self) -> None:
        super().__init__()
        number = next(names)
        self.source = self.chest(f"machine-{number}-source")
        self.target = fresh(f"machine-{number}-target")
        # Ids whose content at the target was altered behind the ledger's back since it last looked.
        self.tampered: set[str] = set()
        self.synced = False

    @rule(record_id=IDS, version=VERSIONS)
    def write_source(self, record_id: str, version: int) -> None:
        """The owner of the source writes."""
        self.source.put(record_id, row(version))

    @rule(record_id=IDS)
    def spoil_source(self, record_id: str) -> None:
        """A record becomes one that no target may hold."""
        self.source.put(record_id, ((float("nan"), 0.0), None, None))

    @rule(ids=st.lists(IDS, max_size=4, unique=True))
    def delete_source(self, ids: list[str]) -> None:
        """The owner of the source deletes."""
        self.source.drop(*ids)

    @precondition(lambda self: self.synced)
    @rule(ids=st.lists(IDS, max_size=4, unique=True))
    def delete_target(self, ids: list[str]) -> None:
        """Somebody deletes at the target."""
        self.target.drop(*ids)
        self.tampered -= set(ids)

    @precondition(lambda self: self.synced)
    @rule(record_id=IDS, version=VERSIONS)
    def write_target(self, record_id: str, version: int) -> None:
        """Somebody writes at the target."""
        self.tampered.add(record_id)
        self.target.put(record_id, row(version))

    @precondition(lambda self: self.synced)
    @rule()
    def verify(self) -> None:
        """A deep comparison tells the truth, and what it saw is mended later."""
        mine, theirs = self.source.held(), self.target.held()
        found = wherry.verify(self.source, self.target, level="deep")
        assert found.missing == len(mine.keys() - theirs.keys())
        assert found.extra == len(theirs.keys() - mine.keys())
        assert found.different == sum(mine[i] != theirs[i] for i in mine.keys() & theirs.keys())
        self.tampered -= {i for i in mine.keys() & theirs.keys() if mine[i] != theirs[i]}

    @rule(level=st.sampled_from(LEVELS))
    def sync(self, level: str) -> None:
        """Plan, sync, and look."""
        before = self.target.held()
        plan = wherry.plan(self.source, self.target)
        assert self.target.held() == before
        result = sync(self.source, self.target, level=level, allow_mass_delete=True)
        self.synced = True
        if level == "digests":
            planned = (plan.new, plan.changed, plan.unchanged, plan.deleted, plan.quarantined)
            assert planned == counts(result)
        mine, theirs = self.source.held(), self.target.held()
        bad = {i for i, (vector, _, _) in mine.items() if vector == content(((float("nan"), 0.0), None, None))[0][0]}
        assert result.quarantined == len(bad)
        assert theirs.keys() - bad == mine.keys() - bad
        assert {i: before[i] for i in bad & before.keys()} == {i: theirs[i] for i in bad & theirs.keys()}
        if level == "deep":
            self.tampered -= mine.keys() - bad
        wrong = {i for i in mine.keys() - bad if mine[i] != theirs[i]}
        assert wrong <= self.tampered
        if level == "deep":
            assert wrong == set()

    def teardown(self) -> None:
        """In the end a deep sync makes both equal."""
        sync(self.source, self.target, level="deep", allow_mass_delete=True)
        for record_id, held in self.target.held().items():
            assert self.source.held()[record_id] == held or self.source.held()[record_id][0][:4] == b"\x00\x00\xc0\x7f"


class StampedConvergence(Convergence):
    """The same with a source that can prove what changed."""

    chest = Stamped


for machine in (Convergence, StampedConvergence):
    machine.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestConvergence = Convergence.TestCase
TestStampedConvergence = StampedConvergence.TestCase


def test_a_path_is_as_good_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "embedding": [1, 2], "text": "t"}\n', encoding="utf-8")
    assert wherry.sync(tmp_path / "a.jsonl", tmp_path / "b.parquet").equal
    assert wherry.verify(tmp_path / "a.jsonl", str(tmp_path / "b.parquet")).equal
