"""A careless script: it damages a Chroma collection through Chroma's own client, in a process of its own.

python -m wherry.demo.careless FOLDER COLLECTION    prints what was done, by id, as a JSON object
"""

from __future__ import annotations

import json
import sys

import chromadb
import numpy as np
from chromadb.config import Settings


def damage(folder: str, collection: str) -> dict[str, str]:
    """Damage a collection; return what was done, by id."""
    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    target = client.get_collection(collection, embedding_function=None)
    ids = sorted(target.get(include=[])["ids"])
    chosen = [ids[n] for n in (10, 11, 20, 30, 40)]
    held = target.get(ids=chosen, include=["embeddings"])
    vectors = dict(zip(held["ids"], np.asarray(held["embeddings"], dtype=np.float32), strict=True))
    one, other, text, page, gone = chosen
    target.update(ids=[one, other], embeddings=np.stack([vectors[other], vectors[one]]))
    target.update(ids=[text], embeddings=vectors[text][None], documents=["이 문장은 원래 안내문이 아닙니다."])
    target.update(ids=[page], metadatas=[{"page": 999}])
    target.delete(ids=[gone])
    target.add(ids=["stranger"], embeddings=np.ones((1, len(vectors[one])), np.float32), documents=["누구세요?"])
    return {
        one: f"its vector exchanged with that of {other}",
        other: f"its vector exchanged with that of {one}",
        text: "its text replaced",
        page: "its page number changed",
        gone: "deleted",
        "stranger": "a record nobody knows, added",
    }


if __name__ == "__main__":
    print(json.dumps(damage(sys.argv[1], sys.argv[2]), ensure_ascii=False))
