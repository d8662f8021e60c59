"""What the tests of LlamaCloud share: a server, addresses, and what a source reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wherry.moving.sync import sync
from wherry.record import Record, Reject, to_records
from wherry.stores.base import Readable
from wherry.stores.llamacloud.source import LlamaCloudSource
from wherry.stores.registry import open_source
from wherry.testing.llamacloud_pipelines import Pipeline
from wherry.testing.llamacloud_server import LlamaCloudServer

KEY = "llx-C4n4ry-0123456789"
NAME = "Dr.Welno"
TEXTS = ("공복혈당은 아침에 잽니다.", "검진 전날 밤부터 금식합니다.", "물은 하루 여섯 잔이면 됩니다.")


def address(server: LlamaCloudServer, name: str = NAME, **options: Any) -> str:
    """Return the address of a pipeline of a test server; cosine unless said otherwise."""
    said = {"metric": "cosine", "rate": 5000, **options}
    query = "&".join(f"{key}={value}" for key, value in said.items() if value is not None)
    return f"llamacloud+http://127.0.0.1:{server.port}#{name}?{query}"


def opened(server: LlamaCloudServer, name: str = NAME, **options: Any) -> LlamaCloudSource:
    """Open a pipeline of a test server."""
    source = open_source(address(server, name, **options))
    assert isinstance(source, LlamaCloudSource)
    return source


def filled(server: LlamaCloudServer, documents: int = 3, **settings: Any) -> Pipeline:
    """Make the pipeline with documents `안내 0`, `안내 1`, … of three chunks each."""
    pipeline = server.pipeline(NAME, **settings)
    for number in range(documents):
        pipeline.add(f"안내 {number}", [f"{number}. {text}" for text in TEXTS])
    return pipeline


def read(source: Readable, rows: int = 4096) -> tuple[dict[str, Record], list[Reject]]:
    """Return all records by id, and all rejects."""
    pages = list(source.scan(rows))
    records = [record for page in pages for record in to_records(page.records)]
    assert len({record.id for record in records}) == len(records)
    return {record.id: record for record in records}, [reject for page in pages for reject in page.rejects]


def texts(source: Readable) -> list[str]:
    """Return the texts of all records, sorted."""
    return sorted(record.text or "" for record in read(source)[0].values())


def sync_noting_process(source: str, target: str, note: str) -> dict[str, Any]:
    """Write down which process this is, then sync; for a child that is to be killed."""
    Path(note).write_text(str(os.getpid()))
    result = sync(source, target)
    return {"equal": result.equal, "read": result.read}
