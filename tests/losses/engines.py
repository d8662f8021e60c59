"""The engines that hold collections both ways, and what is awkward to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wherry.record import Record, from_records, make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Capabilities, Index
from wherry.stores.registry import open_target

ENGINES = ("memory", "archive", "pgvector", "chroma", "qdrant", "faiss")
DIMENSION = 8
_VECTORS = np.random.default_rng(11).standard_normal((16, DIMENSION)).astype(np.float32)
# Ids that look alike, texts and metadata that engines are known to change.
HOSTILE = (
    ("4", "혈당 검사", {"page": 4}),
    ("0004", "혈당 검사", {"page": 4.0}),
    ("가나다", "공복\n혈당\t검사 🩺", {"출처": "혈당.pdf", "tags": ["당뇨", "검진"]}),
    ("a/b?c#d%20", '"; DROP TABLE guides; --', {"quote'\"": "it's"}),
    ("id with spaces", "", {}),
    ("UPPER", None, None),
    ("upper", "소문자", {"nested": {"deep": {"deeper": [1, {"x": None}]}}}),
    ("null-inside", "값이 없는 열쇠", {"value": None, "empty": [], "object": {}}),
    ("long-integer", "큰 수", {"n": 2**63 - 1, "more": 2**70, "negative": -(2**63)}),
    ("floats", "실수", {"zero": -0.0, "big": 1e22, "small": 5e-324, "third": 1 / 3}),
    ("true-and-one", "참", {"yes": True, "one": 1, "one_point": 1.0, "text": "true"}),
    ("mixed-list", "섞인 목록", {"list": [1, "둘", 3.0, False, None]}),
    ("00000000-0000-0000-0000-000000000001", "UUID", {"a": "b"}),
    ("18446744073709551615", "가장 큰 정수", {"_wherry_metadata": "빼앗긴 이름"}),
    ("nfd-" + "\u1112\u1161\u11ab", "한글 자모", {"\u1112\u1161\u11ab": "\ud55c"}),
    ("long", "길다 " * 5000, {"k" * 200: "v" * 5000}),
)


def place_of(engine: str, folder: Path, name: str) -> str:
    """Return the address of a collection that nobody made yet."""
    return {
        "memory": f"memory:#{name}",
        "archive": f"{folder}/{name}.parquet",
        "pgvector": f"pgvector:#{name}",
        "chroma": f"chroma:{folder}/chroma-{name}#{name}",
        "qdrant": f"qdrant:{folder}/qdrant-{name}#{name}",
        "faiss": f"faiss:{folder}/faiss-{name}#{name}",
    }[engine]


def fill(address: str, metric: Metric) -> None:
    """Store the hostile records."""
    store = open_target(address)
    space = Space(dimension=DIMENSION, metric=metric)
    records = [Record(i, v, t, m) for (i, t, m), v in zip(HOSTILE, _VECTORS, strict=True)]
    store.prepare(space, Index(), len(records))
    batch = from_records(records, DIMENSION)
    store.upsert(make_batch(batch["id"], _VECTORS, batch["text"], batch["metadata"]))
    store.finish(space, Index())
    store.close()


def capabilities_of(engine: str, folder: Path, name: str) -> Capabilities:
    """Return what an engine claims for a collection that it would make."""
    store = open_target(place_of(engine, folder, name))
    try:
        return store.capabilities
    finally:
        store.close()
