"""What the test server of LlamaCloud holds: pipelines, their documents and their chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pyarrow as pa

from wherry.models.hashing import HashEmbedder
from wherry.record import vectors_of

PROJECT = "11111111-1111-4111-8111-111111111111"
Json = dict[str, Any]


def node(text: str | None, number: int, document: str, vector: Iterable[float] | None, **changes: Any) -> Json:
    """Return a chunk as the service sends one. vector: None for a chunk without an embedding."""
    return {
        "id_": str(uuid5(NAMESPACE_URL, f"{document}/{number}")),
        "class_name": "TextNode",
        "text": text,
        "embedding": None if vector is None else [float(value) for value in vector],
        "extra_info": {"file_name": f"{document}.pdf", "page_label": str(number + 1)},
        "excluded_embed_metadata_keys": [],
        "excluded_llm_metadata_keys": [],
        "relationships": {"1": {"node_id": document, "node_type": "4", "class_name": "RelatedNodeInfo"}},
        "start_char_idx": number * 100,
        "end_char_idx": number * 100 + len(text or ""),
        **changes,
    }


@dataclass
class Document:
    """A document. chunks: as the service sends them; None while it is being deleted: listed, and not found."""

    id: str
    text: str
    metadata: Json
    chunks: list[Json] | None
    status: str = "SUCCESS"

    def to_dict(self) -> Json:
        """Return the document as a listing shows it."""
        return {
            "id": self.id,
            "text": self.text,
            "metadata": self.metadata,
            "page_positions": [0],
            "excluded_embed_metadata_keys": [],
            "excluded_llm_metadata_keys": [],
            "status_metadata": {"status": self.status},
        }


@dataclass
class Pipeline:
    """A pipeline. dimension: of the vectors its model makes; `retrieve` embeds questions in the same way."""

    id: str
    name: str
    dimension: int
    embedding_config: Json
    data_sink: Json | None = None
    project: str = PROJECT
    project_name: str = "Default"
    documents: dict[str, Document] = field(default_factory=dict)
    _held: list[list[float]] = field(default_factory=list, repr=False)
    _arrays: list[np.ndarray] = field(default_factory=list, repr=False)

    def add(self, name: str, texts: Iterable[str], *, vectors: bool = True, **changes: Any) -> Document:
        """Add a document, or replace it: one chunk per text, embedded offline unless vectors is False.

        changes: fields of the chunks that are to differ.
        """
        kept = list(texts)
        found = self.embed(kept) if vectors else [None] * len(kept)
        chunks = [node(t, n, name, v, **changes) for n, (t, v) in enumerate(zip(kept, found, strict=True))]
        return self.put(Document(name, "\n".join(kept), {"file_name": f"{name}.pdf"}, chunks))

    def put(self, document: Document) -> Document:
        """Add a document, or replace it."""
        self.documents[document.id] = document
        return document

    def add_batch(self, batch: pa.RecordBatch, size: int = 20) -> None:
        """Add the records of a batch as the chunks of documents, `size` to each."""
        for start in range(0, batch.num_rows, size):
            part = batch.slice(start, size)
            name = f"document-{start}-{part['id'][0].as_py()}"
            chunks = [_chunk(part, row, name) for row in range(part.num_rows)]
            self.put(Document(name, "", {"file_name": name}, chunks))

    def embed(self, texts: list[str]) -> np.ndarray:
        """Return the vectors of texts, float32 of shape (n, dimension)."""
        return HashEmbedder(self.dimension).embed(texts)

    def retrieve(self, question: str, k: int) -> list[Json]:
        """Return the k chunks nearest by cosine, as retrieved nodes."""
        [asked] = self.embed([question])
        chunks = [c for d in self.documents.values() for c in d.chunks or [] if c.get("embedding")]
        scored = sorted(zip(self._cosines(asked, chunks), chunks, strict=True), key=lambda pair: -pair[0])
        return [{"node": chunk, "score": score, "class_name": "NodeWithScore"} for score, chunk in scored[:k]]

    def _cosines(self, asked: np.ndarray, chunks: list[Json]) -> list[float]:
        """Return how alike a vector is to each chunk's; the chunks' are read from their lists once."""
        held = [c["embedding"] for c in chunks]
        if len(held) != len(self._held) or any(one is not other for one, other in zip(held, self._held, strict=True)):
            self._held, self._arrays = held, [np.array(one) for one in held]
        return [_cosine(asked, one) for one in self._arrays]

    def to_dict(self) -> Json:
        """Return the pipeline as the service shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "project_id": self.project,
            "pipeline_type": "MANAGED",
            "status": "CREATED",
            "embedding_config": self.embedding_config,
            "data_sink": self.data_sink,
            "transform_config": {"mode": "auto", "chunk_size": 1024, "chunk_overlap": 200},
            "config_hash": None,
        }


def openai_config(dimension: int | None = None) -> Json:
    """Return the settings of an OpenAI model, with a stated dimension or the usual one."""
    component: Json = {"class_name": "OpenAIEmbedding", "model_name": "text-embedding-3-small"}
    return {"type": "OPENAI_EMBEDDING", "component": component | ({"dimensions": dimension} if dimension else {})}


def postgres_sink(table: str = "Welno", **changes: Any) -> Json:
    """Return a PostgreSQL store of the user's own, as the service shows it."""
    component = {
        "class_name": "CloudPostgresVectorStore", "host": "db.example", "port": 5432, "database": "wello",
        "user": "reader", "password": "never-shown", "schema_name": "public", "table_name": table,
        "embed_dim": 1536, "hnsw_settings": {"distance_method": "cosine", "m": 16, "vector_type": "vector"},
    }  # fmt: skip
    return _sink("POSTGRES", component | changes)


def qdrant_sink(url: str, collection: str) -> Json:
    """Return a Qdrant store of the user's own, as the service shows it."""
    return _sink("QDRANT", {"class_name": "CloudQdrantVectorStore", "url": url, "collection_name": collection})


def _sink(kind: str, component: Json) -> Json:
    return {"id": "sink-1", "name": f"own {kind}", "project_id": PROJECT, "sink_type": kind, "component": component}


def _chunk(batch: pa.RecordBatch, row: int, document: str) -> Json:
    metadata = batch["metadata"][row].as_py()
    changes = {"id_": batch["id"][row].as_py(), "extra_info": None if metadata is None else json.loads(metadata)}
    return node(batch["text"][row].as_py(), row, document, vectors_of(batch)[row], **changes)


def _cosine(left: np.ndarray, right: np.ndarray) -> float:
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / lengths if lengths else 0.0


__all__ = ["PROJECT", "Document", "Pipeline", "node", "openai_config", "postgres_sink", "qdrant_sink"]
