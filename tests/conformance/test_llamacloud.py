"""LlamaCloud passes the suite of sources, over the wire, against the server of `wherry.testing`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch
from urllib.parse import quote

import pyarrow as pa
import pytest

from wherry.space import Space
from wherry.stores.base import Capabilities, Writable
from wherry.stores.llamacloud.source import CAPABILITIES
from wherry.testing.conformance import Fixtures, SourceConformance
from wherry.testing.llamacloud_pipelines import Document, node
from wherry.testing.llamacloud_server import LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


class Cloud(Fixtures):
    """Pipelines of a test server; the key comes from the environment, as it always does."""

    secrets: ClassVar[tuple[str, ...]] = ("llx-s3cret+C4n4ry",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = LlamaCloudServer(api_key=self.secrets[0]).__enter__()
        self._key = patch.dict(os.environ, {"LLAMA_CLOUD_API_KEY": self.secrets[0]})
        self._key.start()

    def address(self, name: str) -> str:
        # Of chunks made elsewhere nothing is added to the metadata: the suite compares them whole.
        port = self.server.port
        return f"llamacloud+http://127.0.0.1:{port}#{quote(name, safe='')}?metric=cosine&carry=&rate=10000"

    def open_target(self, name: str) -> Writable:
        raise NotImplementedError("LlamaCloud is never a target")

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def fill(self, name: str, batch: pa.RecordBatch, space: Space) -> None:
        made = next((p for p in self.server.pipelines.values() if p.name == name), None)
        pipeline = made or self.server.pipeline(name, space.dimension or 8)
        pipeline.add_batch(batch)

    def listing(self) -> frozenset[str]:
        return frozenset(self.server.pipelines)

    def drop(self, name: str) -> None:
        kept = {key: p for key, p in self.server.pipelines.items() if p.name != name}
        self.server.pipelines = kept

    def spoil(self, name: str) -> frozenset[str]:
        faults = {"embedding": None}, {"embedding": [1.0]}, {"text": "\ud800"}, {"extra_info": [1]}
        chunks = [node("가", n, "나쁨", [0.5] * 8) | fault for n, fault in enumerate(faults)]
        pipeline = next(p for p in self.server.pipelines.values() if p.name == name)
        pipeline.put(Document("나쁨", "", {}, chunks))
        return frozenset(chunk["id_"] for chunk in chunks)

    def close(self) -> None:
        self._key.stop()
        self.server.__exit__()


class TestLlamaCloud(SourceConformance):
    fixtures = Cloud
