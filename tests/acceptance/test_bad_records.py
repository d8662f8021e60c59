"""A record that cannot cross is named by its id, and everything else arrives as it was."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.kit import approximately, contents, document, export, made, quarantined
from tests.cli.commands import Wherry, fill
from wherry.record import Record, from_records
from wherry.space import Metric, Space

GOOD = [document("good-1", [1, 0.5, -2, 1]), document("good-2", [0.25, 3, 1, -1], text=None)]
L2 = Space(dimension=4, metric=Metric.L2)

# What no engine is given: the record, and the reason it is set aside for.
Case = tuple[dict[str, Any], str]
NOWHERE: dict[str, Case] = {
    "nan": (document("nan", [1, float("nan"), 0, 0]), "NonFinite"),
    "infinity": (document("infinity", [1, float("-inf"), 0, 0]), "NonFinite"),
    "wrong-dimension": (document("wrong-dimension", [1, 2, 3]), "WrongDimension"),
    "no-vector": (document("no-vector", None), "MissingVector"),
    "surrogate-in-text": (document("surrogate-in-text", text="가\ud800나"), "BadText"),
    "surrogate-in-metadata": (document("surrogate-in-metadata", metadata={"a": "\udfff"}), "BadMetadata"),
    "metadata-that-is-no-object": (document("metadata-that-is-no-object", metadata=[1]), "BadMetadata"),
    "empty-id": (document(""), "BadId"),
}
# What PostgreSQL cannot hold and Chroma can.
NOT_IN_POSTGRES: dict[str, Case] = {
    "zero-vector-under-cosine": (document("zero-vector-under-cosine", [0, 0, 0, 0]), "ZeroVector"),
    "nul-in-text": (document("nul-in-text", text="a\x00b"), "BadText"),
    "nul-in-metadata": (document("nul-in-metadata", metadata={"a": ["\x00"]}), "BadText"),
    "nul-in-id": (document("ba\x00d"), "BadText"),
}


def together(cases: dict[str, Case]) -> Any:
    """Parametrise with all cases in one export, and in a campaign with each alone."""
    alone = [pytest.param([case], id=name, marks=[pytest.mark.campaign]) for name, case in cases.items()]
    return pytest.mark.parametrize("bad", [pytest.param(list(cases.values()), id="all"), *alone])


def told(bad: list[Case]) -> list[tuple[str, str]]:
    """Return what is to be said of records that cannot cross: id and reason, in their order."""
    return [(found["id"], reason) for found, reason in bad]


def expected(*documents: dict[str, Any]) -> Any:
    """Return what a collection under cosine should hold."""
    return approximately({d["id"]: (d["embedding"], d["text"], d["metadata"]) for d in documents})


@together(NOWHERE)
def test_record_that_no_engine_can_hold_is_named_and_the_rest_arrives(
    wherry: Wherry, place: str, tmp_path: Path, bad: list[Case]
) -> None:
    source = export(tmp_path / "a.json", GOOD[0], *(found for found, _ in bad), GOOD[1])
    assert sorted(quarantined(wherry("sync", source, made(place), "--json"))) == sorted(told(bad))
    assert contents(place) == expected(*GOOD)
    said = wherry("sync", source, place)
    assert said.code == 5
    assert all(
        word in said.out for word in (*(word for case in told(bad) for word in case), "2 unchanged", "wherry sync")
    )


@together(NOT_IN_POSTGRES)
def test_record_that_one_engine_cannot_hold_is_named_there_and_unaltered_in_the_other(
    wherry: Wherry, place: str, tmp_path: Path, bad: list[Case]
) -> None:
    records = [found for found, _ in bad]
    source = export(tmp_path / "a.json", GOOD[0], *records, GOOD[1])
    found = quarantined(wherry("sync", source, made(place), "--json"))
    if place.startswith("pgvector"):
        assert sorted(found) == sorted(told(bad))
        assert contents(place) == expected(*GOOD)
    else:
        assert found == []
        assert contents(place) == expected(*GOOD, *records)


def test_zero_vector_is_no_fault_where_it_has_a_meaning(wherry: Wherry, place: str, tmp_path: Path) -> None:
    zero = document("zero", [0, 0, 0, 0])
    source = export(tmp_path / "a.json", *GOOD, zero)
    assert quarantined(wherry("sync", source, made(place, L2), "--json")) == []
    assert contents(place) == expected(*GOOD, zero)


def test_second_record_of_an_id_is_named_and_the_first_one_counts(wherry: Wherry, place: str, tmp_path: Path) -> None:
    first, second = document("twice", [1, 1, 0, 0]), document("twice", [9, 9, 9, 9], text="다른 글")
    source = export(tmp_path / "a.json", GOOD[0], first, second, GOOD[1])
    made(place)
    for _ in range(2):
        assert quarantined(wherry("sync", source, place, "--json")) == [("twice", "DuplicateId")]
        assert contents(place) == expected(*GOOD, first)


def test_4_and_0004_stay_two_records_on_the_way_and_back(wherry: Wherry, place: str, tmp_path: Path) -> None:
    four, padded = document("4", [1, 0, 0, 0]), document("0004", [0, 1, 0, 0])
    source, back = export(tmp_path / "a.json", four, padded), tmp_path / "back.jsonl"
    assert quarantined(wherry("sync", source, made(place, L2), "--json")) == []
    assert quarantined(wherry("sync", place, back, "--json")) == []
    assert contents(str(back)) == contents(str(source)) == contents(place)
    assert set(contents(place)) == {"4", "0004"}


def test_0004_is_set_aside_rather_than_made_4_in_a_table_of_integers(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    pg.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, embedding vector(4), text text, metadata jsonb)")
    source = export(tmp_path / "a.json", document("4", [1, 0, 0, 0]), document("0004", [0, 1, 0, 0]))
    assert quarantined(wherry("sync", source, f"pgvector:#{name}", "--json")) == [("0004", "BadId")]
    assert pg.execute(f"SELECT id, embedding::text FROM {name}").fetchall() == [(4, "[1,0,0,0]")]


METADATA: dict[str, dict[str, Any] | None] = {
    "none": None,
    "empty": {},
    "nested": {"a": {"b": [{"c": None}, [], {}]}, "d.e": {"$f": 1}},
    "null": {"a": None, "b": 1},
    "lists": {"empty": [], "mixed": [1, "가", None, True, 2.5], "of-lists": [[1], [2]]},
    "numbers": {"whole": 1.0, "large": 1e22, "small": 5e-324, "negative-zero": -0.0, "long": 2**63, "longer": 10**40},
    "texts": {"": "빈 이름", '"quoted"': "'", "new\nline": "\u2028", "emoji": "🩺", "_wherry": "mine"},
    "huge": {"body": "혈압 " * 60_000, "many": {f"key {n}": n for n in range(2_000)}},
}


def test_metadata_of_every_shape_survives_postgres_chroma_postgres(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    records = [Record(i, [1, 2, 3, n], None if n % 2 else "글", m) for n, (i, m) in enumerate(METADATA.items())]
    start = fill(name, from_records(records), Metric.L2)
    legs = [start, f"pgvector:#{name}_a", f"chroma:{tmp_path}/c#{name}", f"pgvector:#{name}_b"]
    for source, target in pairwise(legs):
        assert quarantined(wherry("sync", source, target, "--json")) == []
    found = contents(legs[-1])
    # As JSON text, because 1 == 1.0 == True and 0.0 == -0.0 in Python.
    assert spelled(found) == spelled(contents(start)) == spelled({r.id: r.metadata for r in records}, bare=True)
    assert contents(legs[1]) == contents(legs[2]) == found
    assert wherry("verify", legs[1], legs[-1], "--json").json["verdict"] == "verified"


def spelled(found: dict[str, Any], bare: bool = False) -> dict[str, str]:
    """Return the metadata of every record as JSON text with sorted keys."""
    return {i: json.dumps(row if bare else row[2], sort_keys=True) for i, row in found.items()}
