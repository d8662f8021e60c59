"""What the tests of checkup share: a small library in every shape, and a service that was led to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import wherry
from wherry_apps.checkup import phases
from wherry_apps.checkup.places import places
from wherry_apps.checkup.runs import Runs

DIMENSION = 128
MODEL = f"hash:{DIMENSION}"
TEXTS = (
    "공복혈당 100 미만은 정상, 100에서 125는 경계, 126 이상은 당뇨병이 의심되는 범위로 봅니다.",
    "혈압은 앉아서 5분 쉰 다음 잽니다. 120/80 미만이 정상입니다.",
    "검진 전날 밤 아홉 시부터 금식합니다. 물은 조금 마셔도 됩니다.",
    "LDL 콜레스테롤 130 미만은 정상, 160 이상은 이상지질혈증이 의심됩니다.",
    "AST와 ALT는 간세포가 다쳤을 때 오르는 효소입니다.",
    "혈색소가 낮으면 빈혈을 의심하고 철이 부족한지 살핍니다.",
    "사구체여과율 60 미만이 석 달 이상 이어지면 콩팥 질환을 의심합니다.",
    "체질량지수 25 이상은 과체중이며 허리둘레를 함께 잽니다.",
    "위내시경은 두 해에 한 번 받습니다. 전날 저녁은 가볍게 먹습니다.",
    "결과표는 의사와 함께 보고 다음 검진 날짜를 정합니다.",
    "감마지티피는 술을 자주 마시면 오릅니다.",
    "중성지방은 기름진 음식과 술을 줄이면 내려갑니다.",
)
QUESTIONS = ("공복혈당이 높으면?", "혈압은 어떻게 재나요?", "금식은 언제부터?", "LDL 기준은?", "간 효소가 뭔가요?",
             "빈혈이면?", "콩팥 여과율", "허리둘레는 왜?", "위내시경 언제?", "결과표는 누구와?")  # fmt: skip


def vectors(texts: tuple[str, ...] | list[str] = TEXTS) -> np.ndarray:
    """Return the vectors of texts by the model of the tests: float32, shape (n, DIMENSION)."""
    return wherry.open_embedder(MODEL).embed(list(texts))


def metadata(number: int) -> dict[str, Any]:
    """Return the metadata of a text."""
    return {"source": f"지침{number // 4}.pdf", "page": number % 4 + 1, "nested": {"a": [1, None]}, "absent": None}


def documents(embed: bool = True) -> list[dict[str, Any]]:
    """Return the library as documents of an export."""
    made = vectors().tolist()
    return [
        {"id": f"doc_{n:03}", "text": text, "metadata": metadata(n), "embedding": made[n] if embed else None}
        for n, text in enumerate(TEXTS)
    ]


def l1(path: Path, **changes: Any) -> Path:
    """Write an export of shape L1."""
    found = {"index_name": "Dr.Welno", "index_id": "x-1", "total_documents": len(TEXTS),
             "embedding_dimension": DIMENSION, "documents": documents(), **changes}  # fmt: skip
    return _written(path / "l1.json", found)


def l2(path: Path) -> Path:
    """Write an export whose embeddings are missing, null or empty."""
    found = documents()
    for number, document in enumerate(found):
        document["metadata"] = {"file_name": f"지침{number}.pdf", "page_label": str(number)}
        if number % 3 == 0:
            del document["embedding"]
        else:
            document["embedding"] = None if number % 3 == 1 else []
    return _written(path / "l2.json", {"index_name": "Dr.Welno", "total_documents": len(TEXTS), "documents": found})


def l3(path: Path) -> Path:
    """Write pages of the API: two documents, their chunks."""
    chunks = [
        {"id_": f"c-{n}", "text": text, "start_char_idx": n, "end_char_idx": n + 9, "embedding": vectors()[n].tolist(),
         "extra_info": {"file_name": f"지침{n % 2}.pdf", "page_label": str(n)},
         "relationships": {"1": {"node_id": f"d-{n % 2}", "node_type": "4"}}}
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    listed = [{"id": f"d-{n}", "text": "", "metadata": {}, "page_positions": [0]} for n in range(2)]
    return _written(
        path / "l3.json", [{"documents": listed, "chunks": chunks[:7]}, {"documents": [], "chunks": chunks[7:]}]
    )


def l4(path: Path) -> Path:
    """Write the reply to a query."""
    return _written(path / "l4.json", {"retrieval_nodes": [{"node": {"id_": "c-0", "text": TEXTS[0]}, "score": 0.9}]})


def l5(path: Path, name: str = "faiss_db", texts: tuple[str, ...] = TEXTS, bom: bool = True) -> Path:
    """Write a folder of LlamaIndex: docstore, index store, and a flat L2 index of FAISS."""
    folder = path / name
    folder.mkdir(parents=True)
    nodes = [f"{name}-{n}" for n in range(len(texts))]
    data = {node: _node(node, text, n) for n, (node, text) in enumerate(zip(nodes, texts, strict=True))}
    docstore = {"docstore/data": data, "docstore/ref_doc_info": {"d-1": {"node_ids": nodes, "metadata": {}}},
                "docstore/metadata": {}}  # fmt: skip
    struct = {"index_id": "i", "nodes_dict": {str(n): node for n, node in enumerate(nodes)}}
    index = {"index_store/data": {"i": {"__type__": "vector_store", "__data__": json.dumps(struct)}}}
    encoding = "utf-8-sig" if bom else "utf-8"
    (folder / "docstore.json").write_text(json.dumps(docstore, ensure_ascii=False), encoding=encoding)
    (folder / "index_store.json").write_text(json.dumps(index), encoding=encoding)
    flat = faiss.IndexFlatL2(DIMENSION)
    flat.add(vectors(texts))
    faiss.write_index(flat, str(folder / ("faiss.index" if bom else "default__vector_store.json")))
    (folder / "metadata.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    return folder


def _node(name: str, text: str, number: int) -> dict[str, Any]:
    node = {"id_": name, "text": text, "metadata": {"file_name": "a.pdf", "page_label": str(number)},
            "relationships": {"1": {"node_id": "d-1"}}}  # fmt: skip
    return {"__data__": json.dumps(node), "__type__": "1"}


def l6(path: Path) -> Path:
    """Write a list of catalogue items."""
    items = [{"id": f"item-{n}", "embedding_text": text, "category": "지침", "page": n} for n, text in enumerate(TEXTS)]
    return _written(path / "l6.json", items)


def _written(path: Path, found: Any) -> Path:
    path.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    return path


def loaded(
    database: wherry.AppDatabase, root: Path, source: Path, engine: str = "chroma", made_by: str | None = MODEL
) -> Runs:
    """Take an export as far as `migrate`."""
    runs = Runs(database, places(root))
    phases.extract(runs, source, None, made_by)
    phases.verify(runs)
    phases.init(runs, engine, MODEL, None, None)
    phases.migrate(runs)
    return runs


def switched(database: wherry.AppDatabase, root: Path, source: Path, queries: Path) -> Runs:
    """Take an export all the way: readers are led to the local side."""
    runs = loaded(database, root, source)
    queries.write_text("\n".join(QUESTIONS), encoding="utf-8")
    phases.compare(runs, str(queries))
    phases.switch(runs, "local")
    return runs
