"""What would harm a target is refused before the first write, and says how to go on."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from tests.acceptance.kit import DIMENSION, absent, contents, document, export, made, refused
from tests.cli.commands import Wherry, fill
from wherry.space import Metric
from wherry.state import home, locked
from wherry.stores.registry import open_target
from wherry.testing.samples import sample


@pytest.mark.parametrize(
    "other",
    [
        {"dimension": 4},
        {"metric": Metric.COSINE},
        {"model": "another-embedder"},
    ],
    ids=["dimension", "metric", "model"],
)
def test_target_with_records_of_another_space_is_refused_and_keeps_them(
    wherry: Wherry, place: str, other: dict[str, object]
) -> None:
    given = {"metric": Metric.L2, "model": "guide-embedder", **other}
    dimension = int(str(given.pop("dimension", 8)))
    assert wherry("sync", fill("first", sample(12), Metric.L2, model="guide-embedder"), place).code == 0
    before = contents(place)
    second = fill("second", sample(12, dimension, seed=1), **given)  # type: ignore[arg-type]
    for act in ("plan", "sync"):
        told = refused(wherry(act, second, place, "--json"), 3, "SpaceMismatch")
        assert str(next(iter(other.values()))) in str(told)
    assert contents(place) == before


def test_metric_that_is_not_recorded_is_never_guessed(wherry: Wherry, tmp_path: Path) -> None:
    source = export(tmp_path / "a.json", document("d1"))
    target = f"chroma:{tmp_path}/chroma#guides"
    told = refused(wherry("sync", source, target, "--json"), 3, "UnknownMetric")
    assert "?metric=" in told["next"]
    assert absent(target)


def test_metric_that_is_stated_for_a_new_table_counts_for_every_record(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    source = export(tmp_path / "a.json", document("d1"), document("zero", [0] * DIMENSION))
    said = wherry("sync", source, f"pgvector:#{name}?metric=cosine", "--json")
    assert [(r["id"], r["reason"]) for r in said.json["quarantine"]] == [("zero", "ZeroVector")]


def test_metric_can_be_stated_for_a_new_chroma_collection(wherry: Wherry, tmp_path: Path) -> None:
    source = export(tmp_path / "a.json", document("d1"))
    assert wherry("sync", source, f"chroma:{tmp_path}/chroma#guides?metric=cosine").code == 0


def test_mass_deletion_is_refused_until_it_is_allowed(wherry: Wherry, place: str) -> None:
    whole, few = fill("whole", sample(60), Metric.L2), fill("few", sample(45), Metric.L2)
    assert wherry("sync", whole, place).code == 0
    told = refused(wherry("sync", few, place, "--json"), 3, "MassDelete")
    assert "15" in told["what"]
    assert "--allow-mass-delete" in told["next"]
    assert contents(place) == contents(whole)
    said = wherry("sync", few, place, "--allow-mass-delete", "--json")
    assert (said.code, said.json["deleted"], said.json["unchanged"]) == (0, 15, 45)
    assert contents(place) == contents(few)


def test_few_deletions_need_no_permission(wherry: Wherry, place: str) -> None:
    whole, most = fill("whole", sample(60), Metric.L2), fill("most", sample(52), Metric.L2)
    assert wherry("sync", whole, place).code == 0
    assert wherry("sync", most, place, "--json").json["deleted"] == 8
    assert contents(place) == contents(most)


def test_busy_target_is_told_within_two_seconds_whatever_the_source(wherry: Wherry, place: str, tmp_path: Path) -> None:
    # Reading this file once takes longer than the answer may.
    source = export(tmp_path / "large.json", *[document(f"d{n}", text="x" * 2_000_000) for n in range(50)])
    made(place)
    with closing(open_target(place)) as held, locked(held.identity, place):
        began = time.monotonic()
        told = refused(wherry("sync", source, place, "--json"), 7, "Busy")
        taken = time.monotonic() - began
    assert taken < 2
    assert "process" in told["what"]
    assert contents(place) == {}


def test_busy_target_is_told_before_the_source_is_looked_at(wherry: Wherry, place: str, tmp_path: Path) -> None:
    damaged = tmp_path / "a.json"
    damaged.write_text('{"documents": [')
    made(place)
    with closing(open_target(place)) as held, locked(held.identity, place):
        refused(wherry("sync", damaged, place, "--json"), 7, "Busy")
    refused(wherry("sync", damaged, place, "--json"), 6, "ArchiveCorrupt")


# As the user has it; in an address it is written with percent signs.
SECRET = "s3cr3t/p@ss:w%rd"
FORMS = (SECRET, quote(SECRET, safe=""), repr(SECRET)[1:-1], "s3cr3t", "p@ss", "w%25rd")


@pytest.mark.parametrize("flags", [(), ("--json",), ("--debug",)])
@pytest.mark.parametrize("act", ["plan", "sync", "verify"])
def test_password_of_an_unreachable_server_never_prints(wherry: Wherry, act: str, flags: tuple[str, ...]) -> None:
    dead = f"postgresql://carrier:{quote(SECRET, safe='')}@127.0.0.1:9/db#docs"
    said = wherry(act, fill("guides", sample(3)), dead, *flags)
    assert said.code == 4
    assert "127.0.0.1" in said.out + said.err
    assert not any(form in said.out + said.err for form in FORMS)


def test_password_of_a_server_that_works_is_in_no_output_and_in_no_file(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    where = f"host={quote(pg.info.host, safe='')}&port={pg.info.port}"
    table = f"postgresql://postgres:{quote(SECRET, safe='')}@/wherry?{where}#{name}"
    copy = tmp_path / "copy.jsonl"
    said = [wherry("sync", fill("guides", sample(20), Metric.L2), table, *flags) for flags in ((), ("--json",))]
    said += [wherry(act, table, copy) for act in ("plan", "sync", "verify")]
    said += [wherry("runs"), wherry("runs", "--json")]
    assert [s.code for s in said] == [0] * len(said)
    printed = "".join(s.out + s.err for s in said)
    files = [p for p in home().rglob("*") if p.is_file() and "postgres" not in p.relative_to(home()).parts]
    kept = b"".join(p.read_bytes() for p in [*files, copy])
    assert name.encode() in kept
    assert not any(form in printed or form.encode() in kept for form in FORMS)
