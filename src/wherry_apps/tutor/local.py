"""The two classes of the plan, as code that was written against it calls them; Wherry does the work.

service = LocalLLMService()
service.generate_response("무릎관절의 움직임을 설명하십시오.")

vectors = QdrantVectorService()
vectors.create_collection()
vectors.add_vector(12, vector, {"text": "...", "department": "물리치료학과"})
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import wherry
from wherry import Address, Index, Message, Metric, Record, Space

MODEL, DIMENSION = "llama3.1:8b", 384


class LocalLLMService:
    """A model of Ollama's. model: as `ollama list` names it. OLLAMA_HOST says where the server is."""

    def __init__(self, model: str = MODEL) -> None:
        self.model = model
        self.client = wherry.open_chat(f"ollama:{model}")

    def generate_response(self, prompt: str) -> str:
        """Return the answer to one user message. Raises Unreachable, TimedOut, Rejected."""
        return self.client.reply([Message("user", prompt)]).text

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        self.client.close()


class QdrantVectorService:
    """A collection of a Qdrant server, by default `questions` on QDRANT_HOST and QDRANT_PORT."""

    def __init__(
        self, host: str | None = None, port: int | None = None, collection_name: str = "questions", scheme: str = "http"
    ) -> None:
        place = host or os.environ.get("QDRANT_HOST") or "localhost"
        number = port or int(os.environ.get("QDRANT_PORT") or 6333)
        self.collection_name = collection_name
        self.address = Address(f"qdrant+{scheme}", f"//{place}:{number}", collection_name)

    def create_collection(self, size: int = DIMENSION) -> None:
        """Make the collection with the cosine distance; one that is there and equal is kept.

        size: components of a vector, 384 for the sentence-transformers of the plan. Raises SpaceMismatch for one of
        another size or distance.
        """
        store = wherry.open_target(self.address)
        try:
            store.prepare(Space(dimension=size, metric=Metric.COSINE), Index(), 0)
        finally:
            store.close()

    def add_vector(self, question_id: int, vector: Sequence[float], metadata: Mapping[str, Any]) -> None:
        """Store one point, replacing the one of its id. Raises SpaceMismatch for a vector of another size."""
        payload = dict(metadata)
        text = payload.pop("text", None)
        space = Space(dimension=len(vector), metric=Metric.COSINE)
        wherry.put([Record(str(question_id), vector, text, payload)], self.address, space)
