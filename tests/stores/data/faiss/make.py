"""Makes the folders beside it with the frameworks themselves: langchain-community 0.4.2 and
llama-index-vector-stores-faiss 0.7.0. Run by hand when one of them changes its form:

    python make.py      (with both packages on the path; the tests need neither)
"""

from __future__ import annotations

from pathlib import Path

import faiss
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores.faiss import FAISS
from langchain_core.documents import Document
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.vector_stores.faiss import FaissVectorStore

from wherry.models.hashing import HashEmbedder

HERE = Path(__file__).parent
TEXTS = (
    "공복혈당 100 미만은 정상 범위로 봅니다.",
    "검진 전날 밤부터 금식합니다.",
    "결과표는 의사와 함께 보십시오.",
    "혈압은 5분 쉬고 나서 잽니다.",
    "간 수치는 술을 마신 뒤 오를 수 있습니다.",
)
METADATA = (
    {"source": "혈당.pdf", "page": 3, "score": 0.25},
    {"source": "준비.pdf", "page": 1, "tags": ["금식", "물"], "draft": True},
    {"source": "결과.pdf", "page": 2, "nested": {"a": [1, None]}},
    {},
    {"source": "간.pdf", "page": 7, "nothing": None, "big": 2**70, "minus": -5},
)
VECTORS = HashEmbedder(16).embed(list(TEXTS))


def langchain() -> None:
    """Save a store of five documents, one of which was deleted."""
    store = FAISS(lambda text: VECTORS[0].tolist(), faiss.IndexFlatL2(16), InMemoryDocstore({}), {})
    documents = [Document(page_content=t, metadata=m) for t, m in zip(TEXTS, METADATA, strict=True)]
    pairs = [(d.page_content, v.tolist()) for d, v in zip(documents, VECTORS, strict=True)]
    store.add_embeddings(pairs, metadatas=[d.metadata for d in documents], ids=[f"문서-{n}" for n in range(5)])
    store.delete(["문서-3"])
    store.save_local(str(HERE / "langchain"))


def llamaindex() -> None:
    """Persist an index of five nodes, the second of which follows the first."""
    nodes = [
        TextNode(id_=f"node-{n}", text=t, metadata=m, embedding=v.tolist())
        for n, (t, m, v) in enumerate(zip(TEXTS, METADATA, VECTORS, strict=True))
    ]
    nodes[0].relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="혈당.pdf")
    nodes[1].relationships[NodeRelationship.PREVIOUS] = RelatedNodeInfo(node_id="node-0")
    vector_store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(16))
    context = StorageContext.from_defaults(vector_store=vector_store)
    index = VectorStoreIndex(nodes, storage_context=context, embed_model=MockEmbedding(embed_dim=16))
    index.storage_context.persist(str(HERE / "llamaindex"))


if __name__ == "__main__":
    langchain()
    llamaindex()
