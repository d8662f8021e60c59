"""Verify: what each level sees, what it cannot see, and the words it may use."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import wherry
from tests.unit.chests import SPACE, Chest, Stamped, fresh, numbered, row
from wherry.errors import NoSuchCollection, SpaceMismatch, Usage
from wherry.moving import verify as verify_module
from wherry.moving.differences import Tolerance
from wherry.moving.journal import Journal
from wherry.moving.results import Difference, Level, Verification
from wherry.stores.base import Kind

LEVELS = ("counted", "ids", "digests", "deep")


def found(source: Any, target: Any, level: str = "deep") -> tuple[int, int, int, int]:
    """Return (missing, extra, different, unreadable) after checking what always holds."""
    result = wherry.verify(source, target, level=level)
    counts = (result.missing, result.extra, result.different, result.unreadable)
    assert result.equal == (counts == (0, 0, 0, 0))
    assert result.exit_code == (0 if result.equal else 1)
    assert (result.verdict == "verified") == (result.equal and level == "deep")
    assert json.loads(json.dumps(result.to_dict()))["verdict"] == result.verdict
    return counts


def listed(source: Any, target: Any, level: str = "deep") -> list[tuple[str, str]]:
    """Return (id, kind) of every difference, sorted."""
    return sorted((d.id, d.kind) for d in wherry.verify(source, target, level=level).differences)


@pytest.fixture
def source() -> Chest:
    return Chest("source").fill(numbered(range(30)))


@pytest.fixture
def target(source: Chest) -> Chest:
    store = fresh("target")
    wherry.sync(source, store)
    return store


def test_equal_sides_are_equal_at_every_level_in_the_words_of_the_level(source: Chest, target: Chest) -> None:
    words = [wherry.verify(source, target, level=level).verdict for level in LEVELS]
    assert words == ["equal by counted", "equal by ids", "equal by digests", "verified"]


def test_a_count_sees_numbers_alone(source: Chest, target: Chest) -> None:
    target.drop("r0003")
    target.put("stranger", row(1))
    assert found(source, target, "counted") == (0, 0, 0, 0)
    target.drop("r0004", "r0005")
    assert found(source, target, "counted") == (2, 0, 0, 0)
    source.fill({})
    assert found(source, target, "counted") == (0, 28, 0, 0)


def test_ids_see_what_is_missing_and_extra_but_no_content(source: Chest, target: Chest) -> None:
    target.put("r0007", row(9))
    assert found(source, target, "ids") == (0, 0, 0, 0)
    target.drop("r0003")
    target.put("stranger", row(1))
    assert listed(source, target, "ids") == [("r0003", "missing"), ("stranger", "extra")]


def test_digests_see_what_changed_at_the_source_but_no_damage_at_the_target(source: Chest, target: Chest) -> None:
    target.put("r0007", row(9))
    assert found(source, target, "digests") == (0, 0, 0, 0)
    source.put("r0003", row(9))
    source.put("new", row(1))
    source.drop("r0010")
    target.drop("r0011")
    target.put("stranger", row(1))
    assert listed(source, target, "digests") == [
        ("new", "missing"),
        ("r0003", "different"),
        ("r0010", "extra"),
        ("r0011", "missing"),
        ("stranger", "extra"),
    ]


def test_digests_look_where_the_ledger_knows_nothing(source: Chest, target: Chest) -> None:
    for store in (source, target):
        store.put("both", row(1))
        store.drop("r0001")
    source.put("unlike", row(1))
    target.put("unlike", row(2))
    assert listed(source, target, "digests") == [("unlike", "different")]
    assert set(listed(source, target, "deep")) == {("unlike", "different")}


def test_digests_without_a_journal_prove_nothing(source: Chest) -> None:
    target = Chest("target").fill(numbered(range(30)))
    with pytest.raises(Usage, match="prove nothing"):
        wherry.verify(source, target, level="digests")
    wherry.sync(source, target, level="counted")
    assert found(source, target, "digests") == (0, 0, 0, 0)
    fast = fresh("fast")
    wherry.sync(source, fast, level="counted")
    with pytest.raises(Usage, match="prove nothing"):
        wherry.verify(source, fast, level="digests")


def test_deep_sees_everything(source: Chest, target: Chest) -> None:
    target.put("r0007", row(9))
    target.put("r0008", ((0.0, 1.0), "text 0", {"v": 0.0}))
    target.put("r0009", ((-0.0, 1.0), "text 0", {"v": 0}))
    target.drop("r0003")
    target.put("stranger", row(1))
    result = wherry.verify(source, target)
    assert (result.missing, result.extra, result.different, result.unreadable) == (1, 1, 3, 0)
    assert (result.source_count, result.target_count, result.compared) == (30, 30, 29)
    fields = sorted((d.id, d.field) for d in result.differences if d.kind == "different")
    assert fields == [
        ("r0007", "metadata"),
        ("r0007", "text"),
        ("r0007", "vector"),
        ("r0008", "metadata"),
        ("r0009", "vector"),
    ]


def test_deep_finds_a_swap_of_two_near_duplicates_where_the_engine_rounds(source: Chest) -> None:
    target = Chest("target", normalises=frozenset({SPACE.metric}))
    for store, values in ((source, (1.0, 1.00001)), (target, (1.00001, 1.0))):
        store.fill({})
        for name, value in zip("ab", values, strict=True):
            store.put(name, ((value, 1.0), None, None))
    assert found(source, target) == (0, 0, 2, 0)
    target.put("a", ((1.0000001, 1.0), None, None))
    target.put("b", ((1.00001, 1.0), None, None))
    assert found(source, target) == (0, 0, 0, 0)
    assert wherry.verify(source, target).tolerance == Tolerance.UNIT


def test_deep_needs_no_journal_and_no_order(source: Chest) -> None:
    target = Chest("target").fill(dict(reversed(numbered(range(30)).items())))
    assert found(source, target) == (0, 0, 0, 0)


def test_deep_agrees_with_what_a_weaker_target_was_given(source: Chest) -> None:
    target = fresh("target")
    target.limits = {"metadata": frozenset(Kind) - {Kind.NULL}, "null_text": False, "precision_bits": 16}
    source.put("x", ((0.1, 1.0), None, {"a": None, "b": 1}))
    wherry.sync(source, target, accept_losses=True)
    assert found(source, target) == (0, 0, 0, 0)
    assert {loss.code for loss in wherry.verify(source, target).losses} >= {"metadata-null", "null-text", "precision"}


def test_bad_metadata_at_the_source_ends_no_comparison(source: Chest, target: Chest) -> None:
    target.limits = {"metadata": frozenset(Kind) - {Kind.NULL}}
    source.put("bad", ((1, 2), None, {"a": float("nan")}))
    assert listed(source, target) == [("bad", "missing")]
    target.put("bad", ((1, 2), None, {"a": 1}))
    assert listed(source, target) == [("bad", "different")]


@pytest.mark.parametrize("level", ["digests", "deep"])
def test_what_no_batch_can_hold_is_unreadable_on_either_side(source: Chest, target: Chest, level: str) -> None:
    source.rejects = {"bad": "MissingVector"}
    wherry.sync(source, target)
    result = wherry.verify(source, target, level=level)
    assert result.unreadable == 1
    assert [d for d in result.differences if d.kind == "unreadable"] == [
        Difference("bad", "unreadable", "MissingVector", result.differences[-1].detail)
    ]


def test_a_record_that_is_unreadable_at_the_target_is_not_missing_as_well(source: Chest, target: Chest) -> None:
    target.drop("r0003")
    target.rejects = {"r0003": "MissingVector"}
    assert listed(source, target) == [("r0003", "unreadable")]
    assert found(source, target) == (0, 0, 0, 1)
    assert found(target, source) == (0, 0, 0, 1)


def test_a_record_found_unreadable_is_mended_by_the_next_sync(source: Chest, target: Chest) -> None:
    target.drop("r0003")
    target.rejects = {"r0003": "MissingVector"}
    wherry.verify(source, target)
    target.rejects = {}
    assert wherry.sync(source, target).written == 1
    assert found(source, target) == (0, 0, 0, 0)


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_second_record_of_an_id_is_a_difference(source: Chest, target: Chest, which: str) -> None:
    doubled = {"source": source, "target": target}[which]
    doubled.limits, doubled.repeats = {"unique_ids": False}, ["r0003", "r0003"]
    result = wherry.verify(source, target)
    assert (result.missing, result.extra, result.different) == (0, 0, 1)
    (difference,) = result.differences
    assert (difference.id, difference.field, difference.detail) == ("r0003", "id", f"the {which} holds it 3 times")


@pytest.mark.parametrize("level", LEVELS)
def test_neither_side_is_written_to(source: Chest, target: Chest, level: str) -> None:
    source.put("r0003", row(9))
    target.drop("r0004")
    before = (source.held(), target.held(), target.written)
    wherry.verify(source, target, level=level)
    assert (source.held(), target.held(), target.written) == before


@pytest.mark.parametrize("level", ["counted", "ids", "digests"])
def test_only_deep_leaves_something_in_the_journal(source: Chest, target: Chest, level: str) -> None:
    stamped = Stamped("stamped")
    stamped.fill(numbered(range(30)))
    wherry.sync(stamped, target)
    stamped.put("r0003", row(0))
    stamped.put("r0004", row(9))
    target.drop("r0005")
    with Journal(target.identity) as journal:
        before = list(journal.db.iterdump())
    wherry.verify(stamped, target, level=level)
    with Journal(target.identity) as journal:
        assert list(journal.db.iterdump()) == before


@pytest.mark.parametrize("level", LEVELS)
def test_empty_sides_are_equal(level: str) -> None:
    if level != "digests":
        assert found(Chest("a"), Chest("b"), level) == (0, 0, 0, 0)


def test_a_long_list_of_differences_is_cut_and_counted_in_full(
    source: Chest, target: Chest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "LISTED", 4)
    target.fill(numbered(range(30), version=1))
    result = wherry.verify(source, target)
    assert (result.different, len(result.differences)) == (30, 4)


def test_a_side_that_is_not_there_is_an_error(source: Chest) -> None:
    for one, other in (("memory:#source", "memory:#nowhere"), ("memory:#nowhere", "memory:#source")):
        with pytest.raises(NoSuchCollection):
            wherry.verify(one, other)


def test_two_spaces_are_not_compared(source: Chest) -> None:
    with pytest.raises(SpaceMismatch):
        wherry.verify(source, Chest("other", replace(SPACE, model="m", dimension=3)))


def test_an_unknown_word_is_a_usage_error(source: Chest, target: Chest) -> None:
    with pytest.raises(Usage, match="unknown level"):
        wherry.verify(source, target, level="full")
    assert Level.parse("DEEP") is Level.DEEP


def test_a_comparison_is_named_by_its_addresses() -> None:
    Chest("a").fill(numbered(range(3)))
    Chest("b").fill(numbered(range(3)))
    result: Verification = wherry.verify("memory:#a", wherry.Address.parse("memory:#b"))
    assert (result.source, result.target, result.verdict) == ("memory:#a", "memory:#b", "verified")
