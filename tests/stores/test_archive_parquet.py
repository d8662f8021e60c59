"""Parquet files of others: which columns, which types, what is set aside."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.stores.archive_kit import INDEX, SPACE, names, records, rejects, source, target, write
from wherry.canonical import digests
from wherry.errors import ArchiveCorrupt, BadAddress, Refused
from wherry.record import Record, from_records
from wherry.space import Space
from wherry.stores.base import Index
from wherry.testing.samples import sample

VECTORS = [[1.0, 0.5, -2.0], [0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def table(path: Path, **columns: Any) -> Path:
    usual = {"id": ["a", "b", "c"], "vector": pa.array(VECTORS, pa.list_(pa.float32())), "text": ["가", None, ""]}
    pq.write_table(pa.table({**usual, **columns}), path)
    return path


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("shape", ["list", "large", "fixed"])
def test_vectors_of_every_kind_are_read(tmp_path: Path, kind: pa.DataType, shape: str) -> None:
    made = {"list": pa.list_(kind), "large": pa.large_list(kind), "fixed": pa.list_(kind, 3)}[shape]
    values = np.array(VECTORS, dtype=kind.to_pandas_dtype())
    path = table(tmp_path / "a.parquet", vector=pa.array(list(values), made))
    assert [list(r.vector) for r in records(path)] == VECTORS
    notes = source(path).describe().notes
    assert any("no checksums" in note for note in notes)
    assert any("64 bit" in note for note in notes) == (kind == pa.float64())


def test_columns_are_named_in_the_address(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"pk": ["a", "b"], "emb": [[1.0], [2.0]], "body": ["x", "y"], "meta": ["{}", None], "rest": [1, 2]}
    pq.write_table(pa.table(columns), path)
    opened = source(f"{path}?id=pk&vector=emb&text=body&metadata=meta")
    found = opened.scan().__next__().records
    assert found.column("id").to_pylist() == ["a", "b"]
    assert found.column("text").to_pylist() == ["x", "y"]
    assert found.column("metadata").to_pylist() == ["{}", None]
    assert any("rest" in note for note in opened.describe().notes)


@pytest.mark.parametrize("query", ["", "?vector=nothing", "?id=vector&vector=emb", "?vector=id"])
def test_columns_that_are_not_there_or_of_no_use(tmp_path: Path, query: str) -> None:
    path = table(tmp_path / "a.parquet")
    if not query:
        pq.write_table(pa.table({"name": ["a"]}), path)
    with pytest.raises((BadAddress, Refused)) as caught:
        source(f"{path}{query}")
    assert caught.value.next


def test_integer_ids_become_text(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", id=[4, -1, 2**62])
    assert [r.id for r in records(path)] == ["4", "-1", str(2**62)]
    assert any("decimal text" in note for note in source(path).describe().notes)


def test_dictionary_and_large_columns(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.parquet",
        id=pa.array(["a", "b", "c"], pa.large_string()),
        text=pa.array(["가", "가", None]).dictionary_encode(),
        metadata=pa.array(['{"a": 1}', None, "{}"], pa.large_string()),
    )
    assert [(r.id, r.text, r.metadata) for r in records(path)] == [
        ("a", "가", {"a": 1}),
        ("b", "가", None),
        ("c", None, {}),
    ]


def test_metadata_as_struct_or_map(tmp_path: Path) -> None:
    struct = [{"page": 1, "tags": ["a"]}, {"page": None, "tags": []}, None]
    path = table(tmp_path / "a.parquet", metadata=struct)
    assert [r.metadata for r in records(path)] == struct
    kind = pa.map_(pa.string(), pa.int64())
    path = table(tmp_path / "b.parquet", metadata=pa.array([[("a", 1)], [], None], kind))
    assert [r.metadata for r in records(path)] == [{"a": 1}, {}, None]


def test_metadata_that_json_has_no_word_for(tmp_path: Path) -> None:
    twice = pa.array([[("a", 1), ("a", 2)], [("b", 1)], None], pa.map_(pa.string(), pa.int64()))
    path = table(tmp_path / "a.parquet", metadata=twice)
    assert [(r.id, r.reason) for r in rejects(path)] == [("a", "BadMetadata")]
    values = [{"v": Decimal("1.5")}, {"v": Decimal("2.5")}, None]
    path = table(tmp_path / "b.parquet", metadata=values)
    assert [r.reason for r in rejects(path)] == ["BadMetadata"] * 2
    path = table(tmp_path / "c.parquet", metadata=[{"v": float("nan")}, {"v": 1.5}, None])
    assert [r.id for r in rejects(path)] == ["a"]


SET_ASIDE: dict[str, tuple[dict[str, Any], str]] = {
    "no-vector": ({"vector": [VECTORS[0], None, VECTORS[2]]}, "MissingVector"),
    "empty-vector": ({"vector": [VECTORS[0], [], VECTORS[2]]}, "MissingVector"),
    "short-vector": ({"vector": [VECTORS[0], [1.0], VECTORS[2]]}, "WrongDimension"),
    "null-component": ({"vector": [VECTORS[0], [1.0, None, 2.0], VECTORS[2]]}, "NonFinite"),
    "nan": ({"vector": [VECTORS[0], [1.0, float("nan"), 2.0], VECTORS[2]]}, "NonFinite"),
    "beyond-float32": ({"vector": [VECTORS[0], [1.0, 1e39, 2.0], VECTORS[2]]}, "NonFinite"),
    "no-id": ({"id": ["a", None, "c"]}, "BadId"),
    "empty-id": ({"id": ["a", "", "c"]}, "BadId"),
    "metadata-list": ({"metadata": [None, "[1]", None]}, "BadMetadata"),
    "metadata-no-json": ({"metadata": [None, "{", None]}, "BadMetadata"),
    "metadata-key-twice": ({"metadata": [None, '{"a": 1, "a": 2}', None]}, "BadMetadata"),
}


@pytest.mark.parametrize(("columns", "reason"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_what_no_batch_can_hold_is_set_aside(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    path = table(tmp_path / "a.parquet", **columns)
    found = rejects(path)
    assert [r.reason for r in found] == [reason]
    assert [r.id for r in records(path)] == ["a", "c"]
    if found[0].id:
        page = source(path).fetch(pa.array(["c", "b"]))
        assert ([r.id for r in page.rejects], page.records.column("id").to_pylist()) == (["b"], ["c"])


@pytest.mark.parametrize(("column", "reason"), [("id", "BadId"), ("text", "BadText"), ("metadata", "BadMetadata")])
def test_text_that_is_no_utf_8_is_set_aside(tmp_path: Path, column: str, reason: str) -> None:
    offsets = pa.py_buffer(np.array([0, 1, 2, 3], dtype=np.int32))
    broken = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffc")])
    path = table(tmp_path / "a.parquet", **{column: broken})
    assert reason in {r.reason for r in rejects(path)}
    assert "b" not in {r.id for r in records(path)}


def test_file_without_any_vector_says_so(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", vector=pa.array([None, [], None], pa.list_(pa.float32())))
    found = source(path).describe()
    assert "no embeddings: must be re-embedded" in found.notes
    assert found.space == Space()
    assert [r.reason for r in rejects(path)] == ["MissingVector"] * 3


def test_rows_are_fetched_across_row_groups(tmp_path: Path) -> None:
    batch = sample(1000, 4)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=150)
    opened = source(path)
    wanted = batch.take(pa.array([999, 0, 149, 150, 151, 700]))
    found = opened.fetch(wanted.column("id")).records
    assert sorted(digests(found)) == sorted(digests(wanted))
    assert [p.read for p in opened.scan(300)] == [p.records.num_rows for p in opened.scan(300)]
    assert sum(p.read for p in opened.scan(64)) == 1000


def test_repeated_ids_are_shown_and_the_first_is_fetched(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", id=["a", "a", "c"])
    assert [r.id for r in records(path)] == ["a", "a", "c"]
    assert source(path).fetch(pa.array(["a"])).records.column("text").to_pylist() == ["가"]
    store = target(path)
    with pytest.raises(Refused, match="DuplicateId"):
        store.upsert(from_records([Record("x", [1.0, 2.0, 3.0])]))
    store.close()
    assert names(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("raw", [b"PAR1", b"no parquet at all, but long enough", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_no_parquet_is_damage(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(raw)
    with pytest.raises(ArchiveCorrupt):
        source(tmp_path / "a.parquet")


def test_every_truncation_of_a_file_of_others_is_found(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet")
    whole = path.read_bytes()
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveCorrupt):
            source(path)


def test_ours_opens_in_any_reader_and_carries_its_card(tmp_path: Path) -> None:
    batch = sample(10, 4)
    path = write(tmp_path / "a.parquet", batch)
    found = pq.read_table(path)
    assert found.column_names == ["id", "vector", "text", "metadata"]
    assert found.num_rows == 10
    assert pq.read_metadata(path).metadata[b"wherry_space"]
    described = source(path).describe()
    assert (described.space, described.index, described.notes) == (SPACE, INDEX, ())


def test_ours_rewritten_by_others_has_lost_its_seal(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", sample(10, 4))
    rewritten = pq.read_table(path).replace_schema_metadata(pq.read_metadata(path).metadata)
    pq.write_table(rewritten.slice(1), path)
    with pytest.raises(ArchiveCorrupt, match="not what Wherry wrote"):
        source(path)
    pq.write_table(rewritten.replace_schema_metadata(None), path)
    assert len(records(path)) == 10


def test_damage_names_the_row_group(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", *[sample(40, 4, start=40 * n) for n in range(3)], space=SPACE)
    whole = bytearray(path.read_bytes())
    whole[100] ^= 4
    path.write_bytes(whole)
    with pytest.raises(ArchiveCorrupt, match="row group 0"):
        source(path)


def test_row_group_that_changes_after_it_was_checked_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", sample(40, 4))
    opened = source(path)
    stamp = path.stat()
    with path.open("r+b") as handle:
        handle.seek(100)
        byte = handle.read(1)
        handle.seek(100)
        handle.write(bytes([byte[0] ^ 1]))
    # Rotten bits do not touch the time of change.
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(ArchiveCorrupt, match="row group 0"):
        list(opened.scan())


def test_columns_of_a_target_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(BadAddress):
        target(f"{tmp_path}/a.parquet?id=pk")


def test_file_of_others_is_not_written_when_that_loses_something(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", more=[1, 2, 3])
    store = target(path)
    with pytest.raises(Refused, match="more"):
        store.prepare(Space(dimension=3), Index(), 1)
