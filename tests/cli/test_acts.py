"""plan, sync and verify: what they print, and what they return."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.cli.commands import Wherry, fill
from wherry.record import make_batch
from wherry.stores.registry import open_target
from wherry.testing.samples import sample, sample_vectors


def test_the_last_line_of_a_plan_is_the_command_to_run(wherry: Wherry, guides: str) -> None:
    said = wherry("plan", guides, "memory:#copy")
    assert said.code == 0
    assert "50 new, 0 changed, 0 unchanged, 0 deleted, 0 quarantined" in said.out
    last = said.out.splitlines()[-1]
    assert last == "next: wherry sync memory:#guides memory:#copy"
    assert wherry(*last.split()[2:]).code == 0
    assert "Nothing to do" in wherry("plan", guides, "memory:#copy").out


def test_plan_writes_nothing(wherry: Wherry, guides: str) -> None:
    assert wherry("plan", guides, "memory:#copy").code == 0
    assert wherry("verify", guides, "memory:#copy").code == 4


def test_a_first_sync_says_that_everything_was_read_back(wherry: Wherry, guides: str) -> None:
    said = wherry("sync", guides, "memory:#copy")
    assert said.code == 0
    assert said.out.splitlines()[0] == "50 records: 50 written, read back and equal."
    assert "deep: every record of the target was read back" in said.out
    assert "copying: 50 records" in said.err


def test_a_second_sync_does_not_claim_to_have_read_what_it_did_not(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    said = wherry("sync", guides, "memory:#copy")
    assert said.out.splitlines()[0] == "50 records: nothing to do, the target is equal (by digests)."
    assert "every record of the target was read" not in said.out


@pytest.mark.parametrize("level", ["counted", "ids"])
def test_a_sync_that_reads_nothing_back_says_so(wherry: Wherry, guides: str, level: str) -> None:
    said = wherry("sync", guides, "memory:#copy", "--level", level)
    assert said.code == 0
    assert "50 written, not read back" in said.out
    assert "equal" not in said.out.splitlines()[0]


def test_damage_is_named_by_id_and_field(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    target = open_target("memory:#copy")
    target.upsert(sample(2, seed=9))
    target.delete(pa.array(["안내-000009"]))
    said = wherry("verify", guides, "memory:#copy")
    assert said.code == 1
    assert said.out.splitlines()[0] == "50 records in A, 49 in B: 2 different, 1 missing in B."
    for words in ("안내-000000  different  vector", "안내-000009  missing"):
        assert words in said.out
    assert said.out.splitlines()[-1] == "next: wherry sync memory:#guides memory:#copy"


def test_only_deep_says_verified(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    for level in ("counted", "ids", "digests"):
        said = wherry("verify", guides, "memory:#copy", "--level", level)
        assert said.code == 0
        assert "verified" not in said.out
    assert "verified, nothing differs" in wherry("verify", guides, "memory:#copy").out


def test_quarantine_lists_the_first_twenty_and_says_where_the_rest_is(wherry: Wherry) -> None:
    vectors = sample_vectors(60, 8, 0)
    vectors[:30] = float("nan")
    source = fill("sick", make_batch([f"기록 {i}" for i in range(60)], vectors, [None] * 60, [None] * 60))
    said = wherry("sync", source, "memory:#copy")
    assert said.code == 5
    assert said.out.splitlines()[0].startswith("60 records: 30 written, read back and equal; 30 could not")
    assert said.out.count("NonFinite") == 20
    run = wherry("sync", source, "memory:#copy", "--json").json["run"]
    assert "… and 10 more: wherry runs show " in said.out
    assert wherry("runs", "show", run).out.count("NonFinite") == 30


def test_json_is_one_object_with_the_names_of_the_contract(wherry: Wherry, guides: str) -> None:
    said = wherry("sync", guides, "memory:#copy", "--json")
    names = "source target read written unchanged deleted quarantined losses verified equal seconds run"
    assert set(names.split()) <= set(said.json)
    assert said.err == ""
    assert wherry("plan", guides, "memory:#copy", "--json").json["empty"] is True
    assert wherry("verify", guides, "memory:#copy", "--json").json["verdict"] == "verified"


def test_ids_cannot_steer_the_terminal(wherry: Wherry) -> None:
    ids = ["\x1b[2Jgone", "two\nlines", "뒤\u202e집힘"]
    batch = make_batch(ids, sample_vectors(3, 8, 0), [None] * 3, [None] * 3)
    said = wherry("verify", fill("evil", batch), fill("other", sample(1)))
    assert said.code == 1
    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
    assert "\\x1b[2Jgone" in said.out
    assert "two\\nlines" in said.out
