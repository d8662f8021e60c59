"""What the people of the story do to the data: honest edits at the source, damage at the target."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from wherry.address import Address
from wherry.errors import Integrity
from wherry.models.hashing import HashEmbedder
from wherry.record import Record, from_records, to_records
from wherry.stores.registry import open_target

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
    """Let a careless script damage a Chroma collection, in a process of its own; return what it did, by id."""
    command = [sys.executable, "-m", "wherry.demo.careless", str(folder), collection]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    if done.returncode:
        raise Integrity(f"the careless script failed: {done.stderr.strip()[-300:]}", where=str(folder))
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def drop_table(address: str, name: str) -> None:
    """Remove the table of an earlier demo."""
    from psycopg import sql

    from wherry.postgres.link import server_of

    with server_of(Address.parse(address), own={"metric"}).connect() as connection:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))


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
