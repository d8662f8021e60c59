"""FAISS passes the suite: collections of ours whole, LlamaIndex's folders as a source."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import faiss
import pyarrow as pa

from tests.stores.faiss_kit import quick_folder
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, Capabilities, Kind, Writable
from wherry.stores.faiss.claims import foreign
from wherry.stores.layouts.llamaindex import CONTENT, Nodes
from wherry.testing.conformance import Fixtures, SourceConformance, StoreConformance


class Faiss(Fixtures):
    """Collections of one folder."""

    examples: ClassVar[int] = 12

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        super().__init__(self._stack.enter_context(quick_folder()))

    def address(self, name: str) -> str:
        return f"faiss:{self.folder}/here#{quote(name, safe='')}"

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def drop(self, name: str) -> None:
        shutil.rmtree(self.folder / "here" / name)

    def close(self) -> None:
        self._stack.close()


class LlamaIndex(Faiss):
    """Folders as LlamaIndex's storage context persists them."""

    long_texts_are_slow: ClassVar[bool] = True

    def address(self, name: str) -> str:
        return f"faiss:{self._path(name)}"

    def _path(self, name: str) -> Path:
        return self.folder / quote(name, safe="")

    def open_target(self, name: str) -> Writable:
        raise NotImplementedError("an index of somebody else is never a target")

    def capabilities(self) -> Capabilities:
        # A node always has a text and a metadata object, and the indexes made here compare by one metric.
        held = ALL_KINDS - {Kind.EMPTY}
        return replace(foreign(32), null_text=False, metadata=held, filterable=held, metrics=frozenset({Metric.L2}))

    def fill(self, name: str, batch: pa.RecordBatch, space: Space) -> None:
        path = self._path(name)
        path.mkdir()
        index = faiss.IndexFlatL2(space.dimension)
        index.add(vectors_of(batch))
        faiss.write_index(index, str(path / "default__vector_store.json"))
        ids = batch.column("id").to_pylist()
        rows = Nodes(text_inside=True).written(batch).column("metadata").to_pylist()
        nodes = {i: {"__data__": _content(row), "__type__": "1"} for i, row in zip(ids, rows, strict=True)}
        (path / "docstore.json").write_text(json.dumps({"docstore/data": nodes}, ensure_ascii=False))
        struct = json.dumps({"nodes_dict": {str(n): i for n, i in enumerate(ids)}})
        entry = {"x": {"__type__": "vector_store", "__data__": struct}}
        (path / "index_store.json").write_text(json.dumps({"index_store/data": entry}))

    def spoil(self, name: str) -> frozenset[str]:
        path = self._path(name) / "docstore.json"
        found = json.loads(path.read_text())
        nodes = found["docstore/data"]
        broken = list(nodes)[3:6]
        nodes[broken[0]]["__data__"]["metadata"] = [1]
        nodes[broken[1]] = {"__data__": "{", "__type__": "1"}
        del nodes[broken[2]]
        path.write_text(json.dumps(found))
        return frozenset(broken)


def _content(row: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.loads(row)[CONTENT])
    return found


class TestFaiss(StoreConformance):
    fixtures = Faiss


class TestLlamaIndex(SourceConformance):
    fixtures = LlamaIndex
