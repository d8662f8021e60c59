"""`.jsonl`: lines of others, and lines of ours with their first and last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stores.archive_kit import INDEX, SPACE, document, records, rejects, source, write
from wherry.errors import ArchiveCorrupt
from wherry.testing.samples import sample


def lines(path: Path, *rows: Any, end: str = "\n") -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + end for row in rows))
    return path


def test_lines_without_a_header_are_records(tmp_path: Path) -> None:
    other = {"id": "v", "vector": [1, 2, 3, 4]}
    path = lines(tmp_path / "a.jsonl", document(1), other, document(2, embedding=[1.5, 2, 3, 4]))
    assert [r.id for r in records(path)] == ["d1", "v", "d2"]
    found = source(path).describe()
    assert (found.name, found.count, found.space.dimension) == ("a", 3, 4)
    assert any("truncation" in note for note in found.notes)


def test_mark_blank_lines_and_line_ends_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [json.dumps(document(n)).encode() for n in range(3)]
    path.write_bytes(b"\xef\xbb\xbf" + rows[0] + b"\r\n\n  \n" + rows[1] + b"\n" + rows[2])
    assert [r.id for r in records(path)] == ["d0", "d1", "d2"]
    assert source(path).fetch(source(path).scan().__next__().records.column("id")).read == 3


def test_line_that_is_cut_is_damage_and_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", document(1), document(2))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ArchiveCorrupt, match=r"document 2, byte \d+"):
        source(path)


def test_blank_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(" \n\n")
    with pytest.raises(ArchiveCorrupt):
        source(tmp_path / "a.jsonl")


def test_record_with_a_wherry_key_is_a_record(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", document(1, wherry={"a": 1}), document(2, wherry_seal={"b": 1}))
    assert [r.id for r in records(path)] == ["d1", "d2"]


def test_lines_are_set_aside_as_in_an_export(tmp_path: Path) -> None:
    bad = [document(2, embedding=None), document(3, text=1), document(4, embedding=[1]), [1], document(5, id="")]
    path = lines(tmp_path / "a.jsonl", document(1), *bad)
    assert [r.reason for r in rejects(path)] == ["MissingVector", "BadText", "WrongDimension", "BadRecord", "BadId"]


def test_ours_carries_card_count_and_digest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", sample(5, 4))
    first, *_, last = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert first["wherry"]["space"] == SPACE.to_dict()
    assert (first["wherry"]["count"], last["wherry_seal"]["count"]) == (5, 5)
    assert len(last["wherry_seal"]["records"]) == 32
    found = source(path).describe()
    assert (found.space, found.index, found.count, found.notes) == (SPACE, INDEX, 5, ())
    assert source(path).capabilities.unique_ids is True


@pytest.mark.parametrize("damage", ["closing", "header", "appended", "record"])
def test_ours_without_a_part_is_damage(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "a.jsonl", sample(40, 4))
    whole = path.read_bytes().splitlines(keepends=True)
    more = [json.dumps(document(n)).encode() + b"\n" for n in range(60)]
    kept = {
        "closing": whole[:-1],
        "header": whole[1:],
        "appended": whole + more,
        "record": whole[:7] + whole[8:],
    }
    path.write_bytes(b"".join(kept[damage]))
    with pytest.raises(ArchiveCorrupt) as caught:
        source(path)
    assert "wherry key" in caught.value.next


def test_three_formats_of_the_same_records_agree(tmp_path: Path) -> None:
    batch = sample(30, 4)
    found = [records(write(tmp_path / f"a{suffix}", batch)) for suffix in (".json", ".jsonl", ".parquet")]
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            assert (a.id, a.text, a.metadata) == (b.id, b.text, b.metadata)
            assert np.array_equal(a.vector, b.vector)
