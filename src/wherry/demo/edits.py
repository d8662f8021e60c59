"""What the people of the story do to the data: honest edits at the source, damage at the target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from wherry.address import Address
from wherry.models.hashing import HashEmbedder
from wherry.record import Record, from_records, to_records
from wherry.stores.registry import open_source, open_target

CHANGED = 3
DELETED = 2
_ADDED = {
    "demo-added-1": "건강검진 결과는 검진을 받은 기관의 누리집에서도 다시 볼 수 있습니다.",
    "demo-added-2": "검진 전날 늦은 시간의 식사는 공복혈당과 중성지방 값을 높일 수 있습니다.",
}


def revise(source: str, dimension: int) -> None:
    """Change three records, add two and delete two, as an editor of the guides would."""
    embedder = HashEmbedder(dimension)
    store = open_target(source)
    try:
        ids = _ids(store)
        page = store.fetch(pa.array(ids[:CHANGED], type=pa.string()))
        revised = [_revised(record, embedder) for record in to_records(page.records)]
        store.upsert(from_records([*revised, *_additions(embedder)]))
        store.delete(pa.array(ids[-DELETED:], type=pa.string()))
    finally:
        store.close()


def damage(folder: Path, collection: str) -> dict[str, str]:
    """Damage a Chroma collection through Chroma's own client; return what was done, by id.

    The client lives in this process beside Wherry's, as a careless script would beside a service.
    """
    store = open_source(f"chroma:{folder}#{collection}")
    try:
        ids = sorted(_ids(store))
        first, second, third = (
            to_records(store.fetch(pa.array([ids[n]], type=pa.string())).records)[0] for n in (10, 11, 20)
        )
    finally:
        store.close()
    target = _raw_chroma(folder, collection)
    target.update(ids=[ids[10], ids[11]], embeddings=[np.asarray(second.vector), np.asarray(first.vector)])
    target.update(ids=[ids[20]], embeddings=[np.asarray(third.vector)], documents=["이 문장은 원래 안내문이 아닙니다."])
    target.update(ids=[ids[30]], metadatas=[{"page": 999}])
    target.delete(ids=[ids[40]])
    target.add(ids=["stranger"], embeddings=[np.ones(len(first.vector), dtype=np.float32)], documents=["누구세요?"])
    return {
        ids[10]: f"its vector exchanged with that of {ids[11]}",
        ids[11]: f"its vector exchanged with that of {ids[10]}",
        ids[20]: "its text replaced",
        ids[30]: "its page number changed",
        ids[40]: "deleted",
        "stranger": "a record nobody knows, added",
    }


def drop_table(address: str, name: str) -> None:
    """Remove the table of an earlier demo."""
    from psycopg import sql

    from wherry.postgres.link import server_of

    with server_of(Address.parse(address), own={"metric"}).connect() as connection:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))


def _raw_chroma(folder: Path, collection: str):  # type: ignore[no-untyped-def]
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
    return client.get_collection(collection, embedding_function=None)


def _ids(store) -> list[str]:  # type: ignore[no-untyped-def]
    return [i for page in store.ids() for i in page.to_pylist()]


def _revised(record: Record, embedder: HashEmbedder) -> Record:
    text = f"{record.text}\n(2026년 개정: 표현을 다듬었습니다.)"
    return Record(record.id, embedder.embed([text])[0], text, {**(record.metadata or {}), "revision": 2})


def _additions(embedder: HashEmbedder) -> list[Record]:
    vectors = embedder.embed(list(_ADDED.values()))
    return [
        Record(record_id, vector, text, {"source": "추가_안내.pdf", "page": number, "category": "일반 안내"})
        for number, ((record_id, text), vector) in enumerate(zip(_ADDED.items(), vectors, strict=True), start=1)
    ]
