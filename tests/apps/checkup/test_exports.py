"""What was left behind, in every shape; and what is wrong with it, by id."""

from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest

import wherry
from tests.apps.checkup import kit
from wherry_apps.checkup.checks import check, stored_metadata
from wherry_apps.checkup.exports import read_export, write_export

SHAPES = {"L1": kit.l1, "L2": kit.l2, "L3": kit.l3, "L5": kit.l5, "L6": kit.l6}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_whole(shape: str, tmp_path: Path) -> None:
    export = read_export(SHAPES[shape](tmp_path))
    found = check(export)
    assert (found.shape, found.documents, found.faults) == (shape, len(kit.TEXTS), ())
    assert sorted(item.text for item in export.items) == sorted(kit.TEXTS)
    assert found.without_vector == (len(kit.TEXTS) if shape in ("L2", "L6") else 0)
    write_export(export, tmp_path / "again.json")
    again = read_export(tmp_path / "again.json")
    assert (again.shape, again.items) == (shape, export.items)


def test_the_example_of_an_export(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(
        '{"index_name":"guides","index_id":"x-1","total_documents":1,"embedding_dimension":4,"documents":[{"id":"doc_001",'
        '"text":"공복혈당 100 미만은 정상 범위로 본다.","metadata":{"source":"sample.pdf","page":3},'
        '"embedding":[0.5,0.5,0.5,0.5]}]}'
    )
    export = read_export(tmp_path / "x.json")
    assert check(export).dimension == 4
    stored = stored_metadata(export.items[0])
    assert (stored["file_name"], stored["page_label"], stored["source"]) == ("sample.pdf", "3", "sample.pdf")
    assert len(stored["text_sha256"]) == 64


def test_the_reply_to_a_query_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(wherry.Refused, match="cannot list everything"):
        read_export(kit.l4(tmp_path))


def test_chunks_know_their_document(tmp_path: Path) -> None:
    item = read_export(kit.l3(tmp_path)).items[1]
    assert item.metadata["document_id"] == "d-1"
    assert (item.metadata["start_char_idx"], item.metadata["file_name"]) == (1, "지침1.pdf")


def test_a_folder_per_hospital(tmp_path: Path) -> None:
    for name in ("seoul", "busan"):
        kit.l5(tmp_path / "all", name, kit.TEXTS[:3], bom=name == "seoul")
    export = read_export(tmp_path / "all")
    assert sorted((i.metadata["hospital_id"], i.metadata["document_id"]) for i in export.items) == [
        ("busan", "d-1")] * 3 + [("seoul", "d-1")] * 3  # fmt: skip
    assert check(export).faults == ()
    assert not Path("/tmp/never").exists()


def test_a_cut_file_names_the_spot(tmp_path: Path) -> None:
    whole = kit.l1(tmp_path).read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(wherry.Integrity, match=r"line \d+, column \d+"):
        read_export(tmp_path / "cut.json")
    (tmp_path / "odd.json").write_bytes(b'{"documents": ["\xff"]}')
    with pytest.raises(wherry.Integrity, match="no UTF-8"):
        read_export(tmp_path / "odd.json")


@pytest.mark.parametrize("text", ["3", '"text"', "{}", '{"other": []}'])
def test_what_is_no_export_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(wherry.Usage, match="no export"):
        read_export(tmp_path / "x.json")
    with pytest.raises(wherry.Usage, match=r"docstore\.json"):
        read_export(tmp_path)


def _spoilt(tmp_path: Path, number: int, **changes: object) -> list[str]:
    documents = kit.documents()
    documents[number] |= changes
    found = check(read_export(kit.l1(tmp_path, documents=documents)))
    return [f"{fault.id}: {fault.what}" for fault in found.faults]


@pytest.mark.parametrize(("changes", "words"), [
    ({"embedding": [0.5]}, "doc_003: 1 components, the others have 128"),
    ({"embedding": [0.0] * kit.DIMENSION}, "doc_003: the vector is zero"),
    ({"embedding": [float("nan")] * kit.DIMENSION}, "doc_003: the vector is not finite"),
    ({"embedding": ["a"]}, "doc_003: its embedding is no list of numbers"),
    ({"text": " "}, "doc_003: the text is empty"),
    ({"text": None}, "doc_003: the text is empty"),
    ({"metadata": [1]}, "doc_003: its metadata is no object"),
    ({"id": "doc_004"}, "doc_004: the id is there more than once"),
])  # fmt: skip
def test_everything_wrong_is_named_by_id(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    assert words in _spoilt(tmp_path, 3, **changes)


def test_counts_that_contradict_are_named(tmp_path: Path) -> None:
    found = check(read_export(kit.l1(tmp_path, total_documents=99, embedding_dimension=1536)))
    assert [fault.id for fault in found.faults] == ["total_documents", "embedding_dimension"]
    with pytest.raises(wherry.Integrity, match="99 are declared, 12 are there"):
        found.require("x")
    assert check(read_export(kit.l1(tmp_path, documents=[], total_documents=0))).faults[0].what == "there are none"


def test_twenty_ids_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    documents = [{"id": f"d{n}", "text": "", "embedding": None} for n in range(30)]
    found = check(read_export(kit.l1(tmp_path, documents=documents, total_documents=30)))
    assert (found.to_dict()["wrong"], len(found.to_dict()["faults"])) == (30, 20)


def _edited(folder: Path, name: str, edit: object) -> None:
    found = json.loads((folder / name).read_text(encoding="utf-8-sig"))
    edit(found)  # type: ignore[operator]
    (folder / name).write_text(json.dumps(found), encoding="utf-8")


def _struct(found: dict, edit: object) -> None:
    entry = found["index_store/data"]["i"]
    data = json.loads(entry["__data__"])
    edit(data["nodes_dict"])  # type: ignore[operator]
    entry["__data__"] = data


def test_what_does_not_belong_together_in_a_folder_is_named(tmp_path: Path) -> None:
    folder = kit.l5(tmp_path)
    # A node that no position leads to, a position that leads nowhere, a document that names a node that is gone.
    _edited(folder, "docstore.json", lambda f: f["docstore/data"].update(orphan=f["docstore/data"]["faiss_db-0"]))
    _edited(folder, "docstore.json", lambda f: f["docstore/ref_doc_info"]["d-1"]["node_ids"].append("lost"))
    _edited(folder, "index_store.json", lambda f: _struct(f, lambda nodes: nodes.update({"12": "nobody"})))
    words = {
        fault.id: fault.what for fault in check(read_export(folder)).faults if fault.id in ("orphan", "lost", "nobody")
    }
    assert "orphan" in words["orphan"]
    assert "names this node" in words["lost"]
    assert set(words) == {"orphan", "lost", "nobody"}


def test_a_vector_without_a_node_and_a_node_without_a_vector(tmp_path: Path) -> None:
    folder = kit.l5(tmp_path)
    index = faiss.read_index(str(folder / "faiss.index"))
    index.add(np.ones((1, kit.DIMENSION), dtype=np.float32))
    faiss.write_index(index, str(folder / "faiss.index"))
    assert check(read_export(folder)).faults[0].id == "position 12"
    flat = faiss.IndexFlatL2(kit.DIMENSION)
    flat.add(kit.vectors(kit.TEXTS[:11]))
    faiss.write_index(flat, str(folder / "faiss.index"))
    assert check(read_export(folder)).faults[0].what == "position 11 has no vector"
    (folder / "faiss.index").unlink()
    with pytest.raises(wherry.Integrity, match="none of"):
        read_export(folder)


def test_a_page_whose_chunks_name_a_document_that_is_not_listed(tmp_path: Path) -> None:
    pages = json.loads(kit.l3(tmp_path).read_text())
    pages[0]["documents"][1]["id"] = "d-9"
    (tmp_path / "l3.json").write_text(json.dumps(pages))
    assert {fault.id for fault in check(read_export(tmp_path / "l3.json")).faults} == {"d-1", "d-9"}
