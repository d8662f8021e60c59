"""Exports of others as `.json`: what is read, what is set aside, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.stores.archive_kit import document, export, names, records, rejects, source, target
from wherry.errors import ArchiveCorrupt, Integrity, NoSuchCollection, Refused, WherryError
from wherry.record import Record, from_records
from wherry.space import Space

GOOD = [document(1), document(2), document(3)]


def test_export_is_read_as_it_is(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *GOOD, pipeline={"id": 7})
    found = source(path).describe()
    assert (found.name, found.count, found.space) == ("guides", 3, Space(dimension=4))
    assert found.extra == {"index_id": "x-1", "pipeline": {"id": 7}}
    assert found.bytes == path.stat().st_size
    assert [(r.id, r.text, r.metadata, list(r.vector)) for r in records(path)] == [
        (d["id"], d["text"], d["metadata"], d["embedding"]) for d in GOOD
    ]


def test_header_may_follow_the_documents_and_begin_with_a_mark(tmp_path: Path) -> None:
    whole = json.loads(export(tmp_path / "a.json", *GOOD).read_text())
    turned = json.dumps(dict(reversed(whole.items())), indent=1)
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + turned.encode())
    assert [r.id for r in records(tmp_path / "b.json")] == ["d1", "d2", "d3"]
    assert source(tmp_path / "b.json").describe().name == "guides"


def test_order_is_that_of_the_file_and_pages_are_as_asked(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *[document(n) for n in (5, 3, 9, 1, 7)])
    opened = source(path)
    pages = [page.records.column("id").to_pylist() for page in opened.scan(2)]
    assert pages == [["d5", "d3"], ["d9", "d1"], ["d7"]]
    assert [i for chunk in opened.ids(2) for i in chunk.to_pylist()] == ["d5", "d3", "d9", "d1", "d7"]


@pytest.mark.parametrize("empty", [{}, {"embedding": None}, {"embedding": []}], ids=["missing", "null", "empty"])
def test_documents_without_embedding_are_set_aside(tmp_path: Path, empty: dict[str, Any]) -> None:
    bare = {k: v for k, v in document(2).items() if k != "embedding"} | empty
    path = export(tmp_path / "a.json", document(1), bare)
    assert [(r.id, r.reason) for r in rejects(path)] == [("d2", "MissingVector")]
    assert source(path).describe().count == 2
    assert "1 of 2 documents have no embedding" in source(path).describe().notes


def test_export_without_any_embedding_says_so(tmp_path: Path) -> None:
    documents = [document(n, embedding=None) for n in range(3)]
    path = export(tmp_path / "a.json", *documents, embedding_dimension=None)
    found = source(path).describe()
    assert found.notes[0] == "no embeddings: must be re-embedded"
    assert found.space.dimension is None
    assert [r.reason for r in rejects(path)] == ["MissingVector"] * 3
    # A dimension that is stated for embeddings that were left out is no contradiction.
    assert source(export(path, *documents)).describe().space.dimension == 4


SET_ASIDE: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"embedding": [1, float("nan"), 0, 0]}, "NonFinite"),
    "infinity": ({"embedding": [1, float("-inf"), 0, 0]}, "NonFinite"),
    "beyond-float32": ({"embedding": [1, 1e39, 0, 0]}, "NonFinite"),
    "beyond-double": ({"embedding": [1, 10**400, 0, 0]}, "NonFinite"),
    "too-short": ({"embedding": [1, 2, 3]}, "WrongDimension"),
    "too-long": ({"embedding": [1, 2, 3, 4, 5]}, "WrongDimension"),
    "null-component": ({"embedding": [1, None, 0, 0]}, "BadVector"),
    "true-component": ({"embedding": [1, True, 0, 0]}, "BadVector"),
    "text-component": ({"embedding": [1, "2", 0, 0]}, "BadVector"),
    "nested-component": ({"embedding": [1, [2], 0, 0]}, "BadVector"),
    "no-list": ({"embedding": {"0": 1}}, "BadVector"),
    "metadata-list": ({"metadata": [1]}, "BadMetadata"),
    "metadata-text": ({"metadata": "{}"}, "BadMetadata"),
    "metadata-nan": ({"metadata": {"a": float("nan")}}, "BadMetadata"),
    "metadata-surrogate": ({"metadata": {"a": "\ud800"}}, "BadMetadata"),
    "metadata-key-surrogate": ({"metadata": {"\udfff": 1}}, "BadMetadata"),
    "text-number": ({"text": 7}, "BadText"),
    "text-surrogate": ({"text": "가\ud800나"}, "BadText"),
}


@pytest.mark.parametrize(("changes", "reason"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_what_no_batch_can_hold_is_set_aside_by_id(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = tmp_path / "a.json"
    bad = document(2, **changes)
    whole = {"documents": [document(1), bad, document(3)]}
    path.write_text(json.dumps(whole))
    assert [(r.id, r.reason) for r in rejects(path)] == [("d2", reason)]
    assert [r.id for r in records(path)] == ["d1", "d3"]
    fetched = source(path).fetch(pa.array(["d2", "d3", "none"]))
    assert [r.reason for r in fetched.rejects] == [reason]
    assert fetched.records.column("id").to_pylist() == ["d3"]


RAW_SET_ASIDE = {
    "metadata-beyond-double": (b'{"id": "d2", "metadata": {"a": 1e999}, "embedding": [1, 2, 3, 4]}', "BadMetadata"),
    "metadata-key-twice": (b'{"id": "d2", "metadata": {"a": 1, "a": 2}, "embedding": [1, 2, 3, 4]}', "BadMetadata"),
    "embedding-twice": (b'{"id": "d2", "embedding": [1, 2, 3, 4], "embedding": [4, 3, 2, 1]}', "BadMetadata"),
    "no-utf-8": (b'{"id": "d2", "text": "a\xff", "embedding": [1, 2, 3, 4]}', "BadText"),
    "too-deep": (
        b'{"id": "d2", "metadata": {"a": %b1%b}, "embedding": [1, 2, 3, 4]}' % (b"[" * 5000, b"]" * 5000),
        "BadMetadata",
    ),
}


@pytest.mark.parametrize(("raw", "reason"), RAW_SET_ASIDE.values(), ids=RAW_SET_ASIDE)
def test_what_only_raw_bytes_can_say_is_set_aside(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"documents": [%b, %b]}' % (raw, json.dumps(document(3)).encode()))
    assert [r.reason for r in rejects(path)] == [reason]
    assert [r.id for r in records(path)] == ["d3"]


@pytest.mark.parametrize("value", [None, "", True, 1.5, ["a"], {}], ids=repr)
def test_an_id_that_is_none_is_set_aside_with_its_place(tmp_path: Path, value: Any) -> None:
    path = export(tmp_path / "a.json", document(1), document(2, id=value))
    [reject] = rejects(path)
    assert (reject.id, reject.reason) == ("", "BadId")
    assert "byte " in reject.detail
    missing = {k: v for k, v in document(2).items() if k != "id"}
    assert [r.reason for r in rejects(export(path, document(1), missing))] == ["BadId"]


def test_what_is_no_document_is_set_aside(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1), 7, "text", None, [1])
    assert [r.reason for r in rejects(path)] == ["BadRecord"] * 4


def test_integer_ids_become_text_when_all_are_integers(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *[document(n, id=n) for n in (4, 10**20)])
    assert [r.id for r in records(path)] == ["4", str(10**20)]
    assert any("decimal text" in note for note in source(path).describe().notes)


def test_integer_id_beside_texts_is_set_aside(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1, id=4), document(2, id="4"))
    assert [(r.id, r.reason) for r in rejects(path)] == [("4", "BadId")]
    found = source(path).fetch(pa.array(["4"]))
    assert (found.records.num_rows, found.rejects) == (1, [])


def test_repeated_ids_are_shown_and_the_first_is_fetched(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1), document(2, id="d1"), document(3))
    opened = source(path)
    assert opened.capabilities.unique_ids is False
    assert [r.id for r in records(path)] == ["d1", "d1", "d3"]
    assert [i for chunk in opened.ids() for i in chunk.to_pylist()] == ["d1", "d1", "d3"]
    assert opened.fetch(pa.array(["d1"])).records.column("text").to_pylist() == ["본문 1"]


METADATA = [
    {"big": 10**40, "negative": -(2**64), "exact": 2**53 + 1},
    {"null": None, "nested": {"list": [1, [2, {"a": None}]], "empty": {}}, "": 0},
    {"float": 1.0, "integer": 1, "zero": -0.0, "small": 5e-324, "bool": True},
    {"embedding": [1, 2], "vector": [3.5], "id": 7, "text": "Infinity"},
    {"nul": "a\x00b", "escape": '\\"[{', "한글": "값"},
    {},
]


@pytest.mark.parametrize("metadata", METADATA, ids=range(len(METADATA)))
def test_metadata_is_kept_exactly(tmp_path: Path, metadata: dict[str, Any]) -> None:
    path = export(tmp_path / "a.json", document(1, metadata=metadata), document(2))
    found = records(path)[0].metadata
    assert json.dumps(found, sort_keys=True) == json.dumps(metadata, sort_keys=True)


def test_no_metadata_and_no_text_are_none(tmp_path: Path) -> None:
    bare = {"id": "d1", "embedding": [1, 2, 3, 4]}
    path = export(tmp_path / "a.json", bare, document(2, text=None, metadata=None), document(3, text="", metadata={}))
    assert [(r.text, r.metadata) for r in records(path)] == [(None, None), (None, None), ("", {})]


def test_embedding_that_looks_like_one_in_the_metadata_is_not_taken(tmp_path: Path) -> None:
    bare = {"id": "d1", "metadata": {"embedding": [9, 9, 9, 9]}, "text": 'a "embedding": [1, 2, 3, 4] b'}
    path = export(
        tmp_path / "a.json", bare, document(2), document(3, embedding=None, metadata={"vector": [9, 9, 9, 9]})
    )
    assert [(r.id, r.reason) for r in rejects(path)] == [("d1", "MissingVector"), ("d3", "MissingVector")]
    assert source(path).describe().space.dimension == 4


def test_rare_digits_are_rounded_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    digits = b'{"documents": [{"id": "a", "embedding": [7.038531e-26, 1]}]}'
    path.write_bytes(digits)
    assert np.float32(records(path)[0].vector[0]).view(np.uint32) == 0x15AE43FD


def test_without_a_stated_dimension_most_embeddings_decide(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1, embedding=[1, 2]), *GOOD[1:], embedding_dimension=None)
    assert source(path).describe().space.dimension == 4
    assert any("different dimensions" in note for note in source(path).describe().notes)
    assert [(r.id, r.reason) for r in rejects(path)] == [("d1", "WrongDimension")]


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "total-low": {"total_documents": 2},
    "total-high": {"total_documents": 4},
    "total-text": {"total_documents": "3"},
    "dimension": {"embedding_dimension": 1536},
}


@pytest.mark.parametrize("members", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_export_that_contradicts_itself_is_damage(tmp_path: Path, members: dict[str, Any]) -> None:
    with pytest.raises(ArchiveCorrupt) as caught:
        source(export(tmp_path / "a.json", *GOOD, **members))
    assert caught.value.next


REFUSED: dict[str, Any] = {
    "reply": {"retrieval_nodes": [{"node": {}, "score": 0.5}]},
    "list": [document(1)],
    "docstore": {"docstore/data": {}},
    "chunks": {"documents": [document(1)], "chunks": []},
    "no-list": {"documents": {"a": document(1)}},
}


@pytest.mark.parametrize("whole", REFUSED.values(), ids=REFUSED)
def test_json_that_is_no_export_is_refused_with_a_reason(tmp_path: Path, whole: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(Refused) as caught:
        source(path)
    assert caught.value.exit_code == 3
    assert caught.value.what
    assert caught.value.next


def test_every_truncation_is_found_before_the_first_record(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *GOOD)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveCorrupt):
            source(path)


def test_damaged_document_is_named(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *GOOD)
    path.write_bytes(path.read_bytes().replace(b'"id": "d2"', b'"id" "d2" '))
    with pytest.raises(ArchiveCorrupt, match=r"document 2, byte \d+"):
        source(path)


UNREADABLE: dict[str, tuple[Callable[[Path], Any], type[WherryError]]] = {
    "missing": (lambda path: None, NoSuchCollection),
    "empty": (Path.touch, ArchiveCorrupt),
    "folder": (Path.mkdir, Refused),
    "dangling-link": (lambda path: path.symlink_to("nowhere.json"), NoSuchCollection),
    "below-a-file": (lambda path: path.parent.rmdir() or path.parent.touch(), WherryError),
}


@pytest.mark.parametrize(("make", "error"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_opened_is_a_clear_error(
    tmp_path: Path, make: Callable[[Path], Any], error: type[WherryError]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder / "a.json")
    before = [*tmp_path.rglob("*")]
    with pytest.raises(error) as caught:
        source(folder / "a.json")
    assert "a.json" in str(caught.value)
    assert [*tmp_path.rglob("*")] == before


def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(Refused):
        source(tmp_path / "a.json")


@pytest.mark.parametrize("address", ["a.json#name", "a.json?id=pk"])
def test_address_with_what_an_export_has_not(tmp_path: Path, address: str) -> None:
    export(tmp_path / "a.json", *GOOD)
    with pytest.raises(WherryError) as caught:
        source(f"{tmp_path}/{address}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("change", ["append", "rewrite", "truncate"])
def test_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, change: str) -> None:
    path = export(tmp_path / "a.json", *[document(n) for n in range(50)])
    pages = source(path).scan(10)
    next(pages)
    whole = path.read_bytes()
    new = {"append": whole + b" ", "rewrite": whole[::-1], "truncate": whole[:100]}[change]
    with path.open("r+b") as handle:
        handle.truncate(0)
        handle.write(new)
    with pytest.raises(Integrity, match="changed while"):
        list(pages)


def test_file_that_is_replaced_is_read_to_its_end_as_it_was(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", *[document(n) for n in range(50)])
    opened = source(path)
    pages = opened.scan(10)
    read = next(pages).read
    export(tmp_path / "b.json", document(1)).replace(path)
    assert read + sum(page.read for page in pages) == 50
    assert opened.fetch(pa.array(["d49"])).read == 1


def test_further_keys_are_noted_and_never_written_away(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1, score=0.5), document(2))
    before = path.read_bytes()
    assert any("score" in note for note in source(path).describe().notes)
    store = target(path)
    with pytest.raises(Refused, match="score"):
        store.prepare(Space(dimension=4), store.describe().index, 1)
    with pytest.raises(Refused, match="score"):
        store.upsert(from_records([Record("x", [1, 2, 3, 4])]))
    store.close()
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.json"]
