"""The library: several collections as one, rebuilt ones seen without a restart, no step over the network."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chromadb
import pytest

import wherry
from tests.apps.checkup import kit
from wherry_apps.checkup import phases
from wherry_apps.checkup.places import Places, places
from wherry_apps.checkup.runs import Runs
from wherry_apps.checkup.service import Checkup

BY_HAND = """
import sys, chromadb
from tests.apps.checkup import kit
made = chromadb.PersistentClient(sys.argv[1]).create_collection("mine")
made.add(ids=[f"i{n}" for n in range(len(kit.TEXTS))], documents=list(kit.TEXTS), embeddings=kit.vectors() * 3)
"""
OWN = "본원 기준: 공복혈당이 높으면 110부터 상담실에서 안내합니다."


def _texts(found: dict[str, Any]) -> list[str]:
    return [passage["text"] for passage in found["passages"]]


def test_the_hospitals_passage_is_first_and_nobody_elses(service: Checkup) -> None:
    service.documents.add("h-1", "partner", "기준.md", OWN.encode())
    first = service.search("공복혈당이 높으면?", hospital="h-1", owner="partner")["passages"][0]
    assert (first["text"], first["source_type"]) == (OWN, "hospital")
    for hospital, owner in (("h-1", "other"), ("h-2", "partner"), (None, "partner"), ("unknown", "partner")):
        found = service.search("공복혈당이 높으면?", hospital=hospital, owner=owner)
        assert OWN not in _texts(found)
        assert found["passages"][0]["source_type"] == "global"
    assert OWN in _texts(service.search("공복혈당이 높으면?", hospital="h-1", owner=None))
    *pieces, _ = service.message({"uuid": "u", "message": "공복혈당이 높으면?", "hospital_id": "h-1"}, "partner")
    assert pieces[0]["answer"].index("3. 병원 기준") < pieces[0]["answer"].index(OWN)


def test_documents_of_a_hospital_come_change_and_go(service: Checkup) -> None:
    documents = service.documents
    row = documents.add("h-9", "p9", "안내.txt", "첫 번째 안내문: 초음파는 공복에 합니다.".encode(), "초음파 안내")
    assert (row.status, row.title) == ("indexed", "초음파 안내")
    first = service.search("초음파는 언제?", hospital="h-9", owner="p9")["passages"][0]
    assert (first["title"], first["text"]) == ("초음파 안내", "첫 번째 안내문: 초음파는 공복에 합니다.")
    again = documents.add("h-9", "p9", "안내.txt", "두 번째 안내문: 초음파는 오후에 합니다.".encode())
    assert (again.id, again.title) == (row.id, "초음파 안내")
    found = _texts(service.search("초음파는 언제?", hospital="h-9", owner="p9"))
    assert found[0].startswith("두 번째")
    assert not any(text.startswith("첫 번째") for text in found)
    assert documents.rebuild("h-9", "p9")["rebuilt"] is True
    assert _texts(service.search("초음파는 언제?", hospital="h-9", owner="p9"))[0].startswith("두 번째")
    assert documents.status("h-9", "p9")["indexed"] == 1
    with pytest.raises(wherry.NotFound):
        documents.remove("h-9", "somebody", row.id)
    documents.remove("h-9", "p9", row.id)
    assert documents.listed("h-9", "p9") == []
    assert not any(
        text.startswith("두 번째") for text in _texts(service.search("초음파는?", hospital="h-9", owner="p9"))
    )


@pytest.mark.parametrize(("name", "data"), [
    ("../x.md", b"a"), ("a/b.md", b"a"), (".md", b"a"), ("x.exe", b"a"), ("", b"a"), ("x.md", b"  "),
    ("x.pdf", b"%PDF"), ("x.xlsx", b"PK"), ("x.txt", b"\xff\xfe\xff"),
])  # fmt: skip
def test_what_is_no_document_is_refused_and_not_kept(service: Checkup, name: str, data: bytes) -> None:
    with pytest.raises((wherry.BadRecord, wherry.Usage)):
        service.documents.add("h-bad", "p", name, data)
    assert service.documents.listed("h-bad", "p") == []


def test_a_library_loaded_anew_is_seen_without_a_restart(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.switched(database, tmp_path / "s", kit.l1(tmp_path), tmp_path / "q.txt")
    new = {**kit.documents()[0], "id": "new", "text": "골밀도 검사는 예순다섯 살부터 받습니다."}
    new["embedding"] = kit.vectors([new["text"]])[0].tolist()
    with Checkup(places(tmp_path / "s")) as service:
        assert new["text"] not in _texts(service.search("골밀도 검사는 언제?"))
        larger = kit.l1(tmp_path, documents=[*kit.documents(), new], total_documents=len(kit.TEXTS) + 1)
        phases.extract(runs, larger, None, kit.MODEL)
        phases.verify(runs)
        phases.init(runs, None, kit.MODEL, None, None)
        phases.migrate(runs)
        assert _texts(service.search("골밀도 검사는 언제?"))[0] == new["text"]


def test_a_switch_is_seen_without_a_restart(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.switched(database, tmp_path / "s", kit.l1(tmp_path), tmp_path / "q.txt")
    with Checkup(places(tmp_path / "s")) as service:
        assert service.search("공복혈당")["backend"] == "local"
        phases.rollback(runs)
        assert service.search("공복혈당")["backend"] == "cloud"
        phases.switch(runs, "local")
        assert service.search("공복혈당")["backend"] == "local"
        # By hand, in the file of the service: it decides where the process has no variable of its own.
        file = tmp_path / "s" / "config.env"
        file.write_text(file.read_text().replace("=true", "=false"))
        assert service.search("공복혈당")["backend"] == "cloud"


def test_documents_alone_answer_too(database: wherry.AppDatabase, tmp_path: Path) -> None:
    with Checkup(places(tmp_path / "alone")) as service:
        with pytest.raises(wherry.NotFound, match="no library yet"):
            service.search("골밀도")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.md").write_text("골밀도 검사는 예순다섯 살부터 받습니다.")
        service.documents.update(tmp_path / "docs")
        assert _texts(service.search("골밀도 검사는 언제?")) == ["골밀도 검사는 예순다섯 살부터 받습니다."]


def test_nothing_leaves_the_machine(where: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect
    outside: list[Any] = []

    def watched(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            outside.append(address)
            raise OSError("the network is blocked")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    with Checkup(where) as service:
        *_, last = service.message({"uuid": "u", "message": "공복혈당이 높으면?"})
    assert last["offline"] is True
    assert last["sources"]
    assert outside == []


def test_an_embedder_elsewhere_is_not_called_offline(where: Places) -> None:
    from dataclasses import replace

    config = replace(where.config, embedder="openai:text-embedding-3-small")
    assert replace(where, config=config).embeds_here is False
    assert where.embeds_here is True


def test_documents_of_a_former_model_answer_until_they_are_made_anew(
    where: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "단백뇨가 나오면 다시 검사합니다."
    with Checkup(where) as service:
        service.documents.add("h-model", "pm", "요.md", text.encode())
    monkeypatch.setenv("CHECKUP_EMBEDDER", "hash:64")
    with Checkup(places(where.root)) as service:
        assert service.search("단백뇨가 나오면?", hospital="h-model", owner="pm")["passages"][0]["text"] == text
        assert service.documents.rebuild("h-model", "pm")["embedder"] == "hash:64"
        assert service.search("단백뇨가 나오면?", hospital="h-model", owner="pm")["passages"][0]["text"] == text


def test_a_library_made_by_a_model_elsewhere_is_not_called_offline(where: Places, tmp_path: Path) -> None:
    shutil.copytree(where.root / "manifests", tmp_path / "s" / "manifests")
    file = tmp_path / "s" / "manifests" / "library.json"
    file.write_text(file.read_text().replace('"hash"', '"openai"'))
    with Checkup(where) as service:
        assert service.library.embeds_here() is True
    with Checkup(places(tmp_path / "s")) as service:
        assert service.places.embeds_here is True
        assert service.library.embeds_here() is False


def test_a_collection_that_measures_otherwise_is_told_in_cosines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: wherry.AppDatabase
) -> None:
    """Chroma's own default is a squared distance: whoever made the collection by hand has that."""
    subprocess.run([sys.executable, "-c", BY_HAND, str(tmp_path / "own_db")], check=True)
    monkeypatch.setenv("LOCAL_VECTOR_DB_PATH", str(tmp_path / "own_db"))
    monkeypatch.setenv("LOCAL_VECTOR_DB_COLLECTION", "mine")
    monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "true")
    monkeypatch.setenv("CHECKUP_EMBEDDER", kit.MODEL)
    assert places().root == tmp_path
    with Checkup() as service:
        found = service.search(kit.TEXTS[5])
    assert (found["backend"], found["passages"][0]["text"]) == ("local", kit.TEXTS[5])
    assert found["passages"][0]["similarity"] == pytest.approx(1.0, abs=1e-5)


def test_questions_at_the_same_time_are_answered_as_one_by_one(service: Checkup) -> None:
    alone = [_texts(service.search(question)) for question in kit.QUESTIONS]
    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda question: _texts(service.search(question)), kit.QUESTIONS * 2))
    assert together == alone * 2


def test_llamaindex_reads_the_same_collection(where: Places) -> None:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    model = wherry.open_embedder(kit.MODEL)

    class Same(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return model.embed([text])[0].tolist()

        _get_query_embedding = _get_text_embedding

        async def _aget_query_embedding(self, text: str) -> list[float]:
            return self._get_text_embedding(text)

    client = chromadb.PersistentClient(str(where.folder))
    store = ChromaVectorStore(chroma_collection=client.get_or_create_collection("welno_medical_knowledge"))
    index = VectorStoreIndex.from_vector_store(store, embed_model=Same())
    best = index.as_retriever(similarity_top_k=1).retrieve("공복혈당이 높으면?")[0].node
    assert best.text == kit.TEXTS[0]
    assert best.metadata["file_name"] == "지침0.pdf"


def test_runs_are_of_one_service(database: wherry.AppDatabase, moved: Path, tmp_path: Path) -> None:
    assert {run["phase"] for run in Runs(database, places(moved)).all()} >= {"extract", "migrate", "switch"}
    assert Runs(database, places(tmp_path)).all() == []
    assert database.drift() == []
