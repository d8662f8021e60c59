"""What the tests of layouts share: embedders of the frameworks, a few nodes and documents, ways to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromadb
import psycopg
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    TextNode,
)
from llama_index.core.schema import Document as SourceDocument
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.postgres import PGVectorStore

from wherry.models.hashing import HashEmbedder

DIMENSION = 64
QUESTION = "검사 전에는 몇 시간 금식하나요?"
TEXTS = (
    "혈압은 120/80 mmHg 미만이 정상이다.",
    "혈당 검사 전에는 8시간 이상 금식한다.",
    "대장내시경은 5년마다 받는다.",
    "금연하면 폐암 위험이 줄어든다.",
    "수면은 하루 7시간 이상이 좋다.",
    "금식 중에도 물은 조금 마셔도 된다.",
)
_EMBEDDER = HashEmbedder(DIMENSION)


def embedded(text: str) -> list[float]:
    """Return the vector of a text."""
    vector: list[float] = _EMBEDDER.embed([text])[0].tolist()
    return vector


class NodeEmbedder(BaseEmbedding):
    """The offline embedder as LlamaIndex calls it."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return embedded(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return embedded(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return embedded(query)


class DocumentEmbedder(Embeddings):
    """The offline embedder as LangChain calls it."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [embedded(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return embedded(text)


def node_id(number: int) -> str:
    """Return the id of a node."""
    return f"00000000-0000-4000-8000-{number:012d}"


def nodes() -> list[BaseNode]:
    """Return nodes of one document, chained, with metadata as every store of LlamaIndex takes them."""
    guide = SourceDocument(id_="guide-1", text="검진 안내", metadata={"파일": "안내.md"})
    found: list[BaseNode] = []
    for number, text in enumerate(TEXTS):
        node = TextNode(
            id_=node_id(number),
            text=text,
            metadata={"쪽": number, "출처": "안내.md", "점수": 0.1 + number / 3, "비고": None, "doc_id": "mine"},
            excluded_embed_metadata_keys=["쪽"],
            start_char_idx=number * 10,
        )
        node.relationships[NodeRelationship.SOURCE] = guide.as_related_node_info()
        if found:
            node.relationships[NodeRelationship.PREVIOUS] = found[-1].as_related_node_info()
        found.append(node)
    return found


def odd_nodes() -> list[BaseNode]:
    """Return nodes of other kinds than text with a source."""
    return [
        TextNode(id_=node_id(20), text="아무 관계도 없는 글"),
        IndexNode(id_=node_id(21), text="가리키는 글", index_id="z", metadata={"a": 1}),
        Node(id_=node_id(22), text_resource=MediaResource(text="자원에 든 글")),
        ImageNode(id_=node_id(23), text="그림", image_url="https://example.org/x.png"),
        SourceDocument(id_=node_id(24), text="문서 그대로", metadata={"파일": "b.md"}),
    ]


def fill(store: BasePydanticVectorStore, found: list[BaseNode]) -> None:
    """Let LlamaIndex embed nodes into a store."""
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(found, storage_context=context, embed_model=NodeEmbedder())


def retrieved(store: BasePydanticVectorStore, k: int = 4) -> list[tuple[Any, ...]]:
    """Return what LlamaIndex's retriever finds: the nodes with their texts, metadata and relationships."""
    index = VectorStoreIndex.from_vector_store(store, embed_model=NodeEmbedder())
    found = index.as_retriever(similarity_top_k=k).retrieve(QUESTION)
    return [
        (
            hit.node.node_id,
            type(hit.node),
            hit.node.get_content(metadata_mode=MetadataMode.NONE),
            hit.node.metadata,
            hit.node.relationships,
            hit.node.model_dump(exclude={"embedding"}),
        )
        for hit in found
    ]


def documents() -> list[Document]:
    """Return documents as every store of LangChain takes them."""
    metadata: list[dict[str, Any]] = [{"쪽": number, "출처": "안내.md"} for number in range(len(TEXTS))]
    metadata[1] = {}
    return [Document(page_content=text, metadata=m) for text, m in zip(TEXTS, metadata, strict=True)]


def document_ids() -> list[str]:
    """Return an id for each document."""
    return [node_id(number) for number in range(len(TEXTS))]


def found_by(store: VectorStore, k: int = 4) -> list[tuple[str, dict[str, Any]]]:
    """Return texts and metadata of what LangChain's `similarity_search` finds.

    Left out is what LangChain's Qdrant store adds to each answer by itself.
    """
    added = {"_id", "_collection_name"}
    answers = store.similarity_search(QUESTION, k=k)
    return [(a.page_content, {key: v for key, v in a.metadata.items() if key not in added}) for a in answers]


@contextmanager
def chroma_nodes(folder: Path, name: str, make: bool = False, metric: str = "cosine") -> Iterator[ChromaVectorStore]:
    """Give LlamaIndex's store of a collection in a folder, and let go of the folder again."""
    client = chromadb.PersistentClient(str(folder))
    try:
        if make:
            collection = client.create_collection(name, configuration={"hnsw": {"space": metric}})
        else:
            collection = client.get_collection(name)
        yield ChromaVectorStore(chroma_collection=collection)
    finally:
        client.close()


def url(pg: psycopg.Connection, driver: str) -> str:
    """Return the shared server as SQLAlchemy writes it."""
    return f"postgresql+{driver}://{pg.info.user}@/{pg.info.dbname}?host={pg.info.host}&port={pg.info.port}"


def table_nodes(pg: psycopg.Connection, name: str, **options: Any) -> PGVectorStore:
    """Return LlamaIndex's store of what it calls `name`."""
    return PGVectorStore(
        connection_string=url(pg, "psycopg2"),
        async_connection_string=url(pg, "asyncpg"),
        table_name=name,
        embed_dim=DIMENSION,
        initialization_fail_on_error=True,
        create_engine_kwargs={"poolclass": _no_pool()},
        **options,
    )


def _no_pool() -> Any:
    from sqlalchemy.pool import NullPool

    return NullPool
