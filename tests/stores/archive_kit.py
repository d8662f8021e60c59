"""What the tests of archives share: writing one, reading one, and comparing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from wherry.canonical import digests
from wherry.record import Record, Reject, to_records
from wherry.space import Metric, Space
from wherry.stores.archive.source import ArchiveSource
from wherry.stores.archive.target import ArchiveTarget
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

SUFFIXES = (".json", ".jsonl", ".parquet")
DIMENSION = 4
SPACE = Space(dimension=DIMENSION, metric=Metric.COSINE, model="혈압-1")
INDEX = Index("hnsw", m=9, ef_construction=77)


def source(path: Path | str) -> ArchiveSource:
    """Open an archive for reading."""
    opened = open_source(str(path))
    assert isinstance(opened, ArchiveSource)
    return opened


def target(path: Path | str) -> ArchiveTarget:
    """Open an archive for writing."""
    opened = open_target(str(path))
    assert isinstance(opened, ArchiveTarget)
    return opened


def write(path: Path, *batches: pa.RecordBatch, space: Space = SPACE) -> Path:
    """Write an archive of ours."""
    store = target(path)
    store.prepare(space, INDEX, sum(batch.num_rows for batch in batches))
    for batch in batches:
        store.upsert(batch, absent=True)
    store.finish(space, INDEX)
    store.close()
    return path


def document(number: int, **changes: Any) -> dict[str, Any]:
    """Return a document of an export."""
    found = {
        "id": f"d{number}",
        "text": f"본문 {number}",
        "metadata": {"page": number},
        "embedding": [1, 0.5, -2, number],
    }
    return {**found, **changes}


def export(path: Path, *documents: Any, **members: Any) -> Path:
    """Write an export of somebody else; a member given as None is left out."""
    head = {"index_name": "guides", "index_id": "x-1", "total_documents": len(documents), "embedding_dimension": 4}
    whole = {**head, "documents": list(documents), **members}
    path.write_text(json.dumps({k: v for k, v in whole.items() if v is not None}, ensure_ascii=False))
    return path


def records(path: Path | str) -> list[Record]:
    """Return all records of an archive in order."""
    opened = source(path)
    try:
        return [record for page in opened.scan() for record in to_records(page.records)]
    finally:
        opened.close()


def rejects(path: Path | str) -> list[Reject]:
    """Return all rejects of an archive in order."""
    opened = source(path)
    try:
        return [reject for page in opened.scan() for reject in page.rejects]
    finally:
        opened.close()


def contents(path: Path | str) -> dict[str, bytes]:
    """Return the digest of every record of an archive, by id."""
    opened = source(path)
    try:
        return {i: d for page in opened.scan() for i, d in by_id(page.records).items()}
    finally:
        opened.close()


def by_id(batch: pa.RecordBatch) -> dict[str, bytes]:
    """Return the digest of every record of a batch, by id."""
    return dict(zip(batch.column("id").to_pylist(), digests(batch), strict=True))


def names(folder: Path) -> list[str]:
    """Return everything in a folder."""
    return sorted(path.name for path in folder.iterdir())
