"""The peers of an index, run by an interpreter that has them: `PYTHON bench/peers.py NAME FOLDER STATE ROUNDS`.

Prints one JSON object: how often the model was asked and the seconds of each round in which nothing changed. A
round is what a scheduled job does: from the folder on disk and what the last run left on disk to knowing that
there is nothing to do. Starting the interpreter and importing packages is not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wherry.models.hashing import HashEmbedder

HASHING = HashEmbedder(256)
ASKED = [0]


def embed(texts: list[str]) -> list[list[float]]:
    """Embed texts with the free embedder that everyone gets."""
    ASKED[0] += len(texts)
    return HASHING.embed(texts).tolist()


def langchain(folder: Path, state: Path) -> Callable[[], object]:
    """`index()` with its SQL record manager over SQLite; vectors in memory."""
    from langchain_classic.indexes import SQLRecordManager, index
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Free(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embed(texts)

        def embed_query(self, text: str) -> list[float]:
            return embed([text])[0]

    store = InMemoryVectorStore(Free())

    def act() -> object:
        manager = SQLRecordManager("bench", db_url=f"sqlite:///{state}/records.db")
        manager.create_schema()
        paths = sorted(folder.iterdir())
        documents = [Document(path.read_text(encoding="utf-8"), metadata={"source": path.name}) for path in paths]
        return index(
            documents, manager, store, cleanup="full", source_id_key="source", key_encoder="sha256", batch_size=1000
        )

    return act


def llamaindex(folder: Path, state: Path) -> Callable[[], object]:
    """`IngestionPipeline` with its document store on disk; vectors in memory."""
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.schema import Document
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore

    class Free(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return embed([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embed(texts)

        def _get_query_embedding(self, query: str) -> list[float]:
            return embed([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return embed([query])[0]

    kept = state / "docstore.json"

    def act() -> object:
        store = SimpleDocumentStore.from_persist_path(str(kept)) if kept.exists() else SimpleDocumentStore()
        pipeline = IngestionPipeline(
            transformations=[Free(embed_batch_size=64)],
            docstore=store,
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
            vector_store=SimpleVectorStore(),
        )
        paths = sorted(folder.iterdir())
        documents = [Document(text=path.read_text(encoding="utf-8"), id_=path.name) for path in paths]
        nodes = pipeline.run(documents=documents)
        if nodes:
            store.persist(str(kept))
        return nodes

    return act


def cocoindex(folder: Path, state: Path) -> Callable[[], object]:
    """An app that writes the vector of each file to a file; memoised by content and code."""
    os.environ.setdefault("COCOINDEX_DB", str(state / "coco.db"))
    os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"
    import cocoindex as coco
    from cocoindex.connectors import localfs

    @coco.fn(memo=True)
    async def one(file: Any, target: Any) -> None:
        vector = embed([await file.read_text()])[0]
        target.declare_file(filename=file.file_path.path.name + ".json", content=json.dumps(vector).encode())

    @coco.fn
    async def main(source: Path, target: Path) -> None:
        place = await localfs.mount_dir_target(target)
        await coco.mount_each(one, localfs.walk_dir(source).items(), place)

    app = coco.App(coco.AppConfig(name="bench"), main, source=folder, target=state / "vectors")
    return lambda: app.update_blocking()


PEERS = {"langchain": langchain, "llamaindex": llamaindex, "cocoindex": cocoindex}


def main() -> None:
    """Index once, then measure rounds in which nothing changed."""
    name, folder, state, rounds = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    state.mkdir(parents=True, exist_ok=True)
    act = PEERS[name](folder, state)
    act()
    asked, seconds = ASKED[0], []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"asked_first": asked, "asked_again": ASKED[0] - asked, "seconds": seconds}))


if __name__ == "__main__":
    main()
