"""The archive store passes the suite in each of its three forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from wherry.testing.conformance import Fixtures, StoreConformance


class Archive(Fixtures):
    """One file per collection."""

    suffix: ClassVar[str]
    examples: ClassVar[int] = 12

    def address(self, name: str) -> str:
        return str(self._path(name))

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='')}{self.suffix}"


class Json(Archive):
    suffix = ".json"

    def spoil(self, name: str) -> frozenset[str]:
        found = json.loads(self._path(name).read_text())
        ids = _spoil(found["documents"])
        self._path(name).write_text(json.dumps({k: v for k, v in found.items() if not k.startswith("wherry")}))
        return ids


class Jsonl(Archive):
    suffix = ".jsonl"

    def spoil(self, name: str) -> frozenset[str]:
        lines = [json.loads(line) for line in self._path(name).read_text().splitlines()]
        documents = [line for line in lines if "id" in line]
        ids = _spoil(documents)
        self._path(name).write_text("".join(json.dumps(document) + "\n" for document in documents))
        return ids


class Parquet(Archive):
    suffix = ".parquet"

    def spoil(self, name: str) -> frozenset[str]:
        rows = pq.read_table(self._path(name)).to_pylist()
        rows[3]["vector"], rows[5]["vector"], rows[8]["metadata"] = None, [1.0, 2.0], "[]"
        types = pa.schema(
            {"id": pa.string(), "vector": pa.list_(pa.float32()), "text": pa.string(), "metadata": pa.string()}
        )
        pq.write_table(pa.Table.from_pylist(rows, types), self._path(name))
        return frozenset(rows[n]["id"] for n in (3, 5, 8))


def _spoil(documents: list[dict[str, Any]]) -> frozenset[str]:
    """Make some documents of an export unfit for a batch, as exports are; return their ids."""
    faults = {"embedding": None}, {"embedding": [1.0, 2.0]}, {"text": "\ud800"}, {"metadata": [1]}, {"embedding": []}
    for document, fault in zip(documents[3::4], faults, strict=False):
        document.update(fault)
    return frozenset(document["id"] for document in documents[3::4][: len(faults)])


class TestJson(StoreConformance):
    fixtures = Json


class TestJsonl(StoreConformance):
    fixtures = Jsonl


class TestParquet(StoreConformance):
    fixtures = Parquet
