"""Folders that LangChain and LlamaIndex saved (`data/faiss/make.py`), moved into engines that both read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wherry
from tests.stores.faiss_kit import DATA, held, vectors
from tests.stores.layouts_kit import chroma_nodes
from wherry.errors import ArchiveCorrupt, Integrity, Unsupported
from wherry.models.hashing import HashEmbedder
from wherry.space import Metric
from wherry.stores.registry import open_source, open_target

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

TEXTS = ("공복혈당 100 미만은 정상 범위로 봅니다.", "검진 전날 밤부터 금식합니다.", "결과표는 의사와 함께 보십시오.",
         "혈압은 5분 쉬고 나서 잽니다.", "간 수치는 술을 마신 뒤 오를 수 있습니다.")  # fmt: skip
EMBEDDER = HashEmbedder(16)


def embeddings() -> Any:
    """Return the embedder that made both folders, as LangChain wants it."""
    from langchain_core.embeddings import Embeddings

    class Pieces(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vector.tolist() for vector in EMBEDDER.embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    return Pieces()


def test_langchain_folder_goes_to_chroma_and_langchain_finds_it(tmp_path: Path) -> None:
    from langchain_chroma import Chroma

    source, target = f"faiss:{DATA / 'langchain'}", f"chroma:{tmp_path / 'c'}#guides"
    plan = wherry.plan(source, target)
    assert (plan.rows, plan.layouts[0]) == (4, "langchain")
    result = wherry.sync(source, target, accept_losses=True)
    assert (result.written, result.equal) == (4, True)
    folder = str(tmp_path / "c")
    store = Chroma("guides", embeddings(), persist_directory=folder, create_collection_if_not_exists=False)
    found = store.similarity_search("검진 전날 금식", k=1)
    store._client.close()  # type: ignore[attr-defined]
    assert [(d.page_content, d.metadata["source"], d.metadata["page"]) for d in found] == [(TEXTS[1], "준비.pdf", 1)]


def test_llamaindex_folder_goes_to_chroma_and_llamaindex_finds_the_same_nodes(tmp_path: Path) -> None:
    from llama_index.core.schema import NodeRelationship
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores.types import VectorStoreQuery

    source, target = f"faiss:{DATA / 'llamaindex'}?metric=cosine", f"chroma:{tmp_path / 'c'}#guides"
    plan = wherry.plan(source, target)
    assert (plan.rows, plan.layouts) == (5, ("llamaindex", "llamaindex"))
    result = wherry.sync(source, target, accept_losses=True)
    assert (result.written, result.equal) == (5, True)
    wanted = SimpleDocumentStore.from_persist_dir(str(DATA / "llamaindex")).docs
    query = EMBEDDER.embed(["공복혈당 정상 범위"])[0].tolist()
    with chroma_nodes(tmp_path / "c", "guides") as store:
        found = store.query(VectorStoreQuery(query_embedding=query, similarity_top_k=5)).nodes or []
    assert found[0].node_id == "node-0"
    assert {node.node_id for node in found} == set(wanted)
    for node in found:
        same = wanted[node.node_id]
        assert (node.get_content(), node.relationships) == (same.get_content(), same.relationships)
    assert found[0].metadata == wanted["node-0"].metadata
    assert found[0].relationships[NodeRelationship.SOURCE].node_id == "혈당.pdf"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["langchain", "llamaindex"])
def test_vectors_are_those_of_the_embedder(name: str) -> None:
    source = open_source(f"faiss:{DATA / name}")
    made = dict(zip(TEXTS, EMBEDDER.embed(list(TEXTS)), strict=True))
    for record in held(source).values():
        assert np.array_equal(record.vector, made[record.text or ""])
    source.close()


def test_folder_is_the_same_after_it_was_read(tmp_path: Path) -> None:
    for name in ("langchain", "llamaindex"):
        shutil.copytree(DATA / name, tmp_path / name)
        before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / name).iterdir()}
        wherry.sync(f"faiss:{tmp_path / name}", f"memory:#{name}")
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / name).iterdir()} == before
        with pytest.raises(Unsupported, match="can only be read"):
            open_target(f"faiss:{tmp_path / name}")


def test_names_of_indexes(tmp_path: Path) -> None:
    """`save_local(folder, index_name=...)` and a vector store of another namespace are named after the #."""
    for before, after in (("index.faiss", "welno.faiss"), ("index.pkl", "welno.pkl")):
        shutil.copy(DATA / "langchain" / before, tmp_path / after)
    for file in ("docstore.json", "index_store.json"):
        shutil.copy(DATA / "llamaindex" / file, tmp_path / file)
    shutil.copy(DATA / "llamaindex" / "default__vector_store.json", tmp_path / "image__vector_store.json")
    assert open_source(f"faiss:{tmp_path}#welno").describe().count == 4
    assert open_source(f"faiss:{tmp_path}#image").describe().count == 5


def test_collection_of_ours_beside_a_folder_of_theirs(tmp_path: Path) -> None:
    shutil.copytree(DATA / "langchain", tmp_path / "both")
    address = f"faiss:{tmp_path / 'both'}#안내"
    wherry.sync(f"faiss:{tmp_path / 'both'}", address)
    assert open_source(address).describe().layout == "plain"
    assert open_source(f"faiss:{tmp_path / 'both'}").describe().layout == "langchain"
    assert wherry.verify(f"faiss:{tmp_path / 'both'}", address).equal


def test_node_without_a_document_is_set_aside_by_id(tmp_path: Path) -> None:
    shutil.copytree(DATA / "llamaindex", tmp_path / "li")
    path = tmp_path / "li" / "docstore.json"
    found = json.loads(path.read_text())
    del found["docstore/data"]["node-2"]
    found["docstore/data"]["node-3"]["__data__"]["relationships"] = [1]
    found["docstore/data"]["elsewhere"] = found["docstore/data"]["node-0"]
    path.write_text(json.dumps(found))
    result = wherry.sync(f"faiss:{tmp_path / 'li'}", "memory:#li")
    assert (result.read, result.written, result.quarantined) == (5, 3, 2)
    assert {r.id: r.reason for r in result.quarantine} == {"node-2": "MissingDocument", "node-3": "BadNode"}
    assert any("1 documents have no vector here" in note for note in result.notes)


def test_map_store_of_llamaindex(tmp_path: Path) -> None:
    """FaissMapVectorStore keeps its numbers in a file of its own; numbers have gaps after deletions."""
    import faiss

    shutil.copytree(DATA / "llamaindex", tmp_path / "li")
    index = faiss.IndexIDMap2(faiss.IndexFlatL2(16))
    data = vectors(3, 16)
    index.add_with_ids(data, np.array([0, 4, 9], dtype=np.int64))
    faiss.write_index(index, str(tmp_path / "li" / "default__vector_store.json"))
    names = {"0": "node-0", "4": "node-2", "9": "node-4"}
    id_map = {"faiss_id_to_node_id_map": names, "node_id_to_faiss_id_map": {v: int(k) for k, v in names.items()}}
    (tmp_path / "li" / "id_map.json").write_text(json.dumps(id_map))
    source = open_source(f"faiss:{tmp_path / 'li'}")
    found = held(source)
    assert {i: r.text for i, r in found.items()} == {"node-0": TEXTS[0], "node-2": TEXTS[2], "node-4": TEXTS[4]}
    assert np.array_equal(found["node-2"].vector, data[1])
    assert [hit.id for hit in source.search(data[2], 1)] == ["node-4"]  # type: ignore[attr-defined]
    source.close()


def test_broken_companions_are_corrupt(tmp_path: Path) -> None:
    for file, text in (("docstore.json", '{"docstore/data": {"a"'), ("index_store.json", "[1]")):
        folder = tmp_path / file
        shutil.copytree(DATA / "llamaindex", folder)
        (folder / file).write_text(text)
        with pytest.raises(ArchiveCorrupt, match=file):
            open_source(f"faiss:{folder}")


def test_folder_saved_half_anew_is_told(tmp_path: Path) -> None:
    """The index of one save and the documents of another."""
    shutil.copytree(DATA / "langchain", tmp_path / "lc")
    shutil.copy(DATA / "llamaindex" / "default__vector_store.json", tmp_path / "lc" / "index.faiss")
    with pytest.raises(Integrity, match="1 of 5 vectors have no id"):
        open_source(f"faiss:{tmp_path / 'lc'}")


def test_layout_can_be_named_but_not_chosen(tmp_path: Path) -> None:
    assert open_source(f"faiss:{DATA / 'langchain'}?layout=langchain").describe().count == 4
    assert open_target(f"faiss:{tmp_path}#x?layout=plain").describe().exists is False
    for address in (f"faiss:{DATA / 'langchain'}?layout=llamaindex", f"faiss:{tmp_path}#x?layout=langchain"):
        with pytest.raises(Unsupported, match="none can be chosen"):
            open_source(address)


def test_metric_of_a_folder_can_be_stated() -> None:
    assert open_source(f"faiss:{DATA / 'llamaindex'}?metric=cosine").describe().space.metric is Metric.COSINE
