"""Collections of a framework's layout pass the same suite as plain ones: nothing a record holds is lost in them."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.conformance.test_chroma import Chroma
from tests.conformance.test_pgvector import Pgvector, _run, _unsynced_server  # noqa: F401 - a fixture
from tests.conformance.test_qdrant import Edge
from wherry.testing.conformance import SourceConformance, StoreConformance
from wherry.testing.conformance.hostile import Hostile
from wherry.testing.conformance.twin import Twin
from wherry.testing.conformance.writing import Deleting, Replacing, Upserting


class Nodes(Pgvector):
    """Tables of LlamaIndex."""

    examples: ClassVar[int] = 10

    def address(self, name: str) -> str:
        return f"pgvector:#data_{quote(name, safe='')}?layout=llamaindex"

    def drop(self, name: str) -> None:
        super().drop(f"data_{name}")

    def spoil(self, name: str) -> frozenset[str]:
        table = sql.Identifier(f"data_{name}")
        missing = _run("UPDATE {} SET embedding = NULL WHERE node_id LIKE '%7' RETURNING node_id", table)
        broken = _run(
            """UPDATE {} SET metadata_ = '{{"_node_content": "x"}}' WHERE node_id LIKE '%3' RETURNING node_id""", table
        )
        return frozenset(row[0] for row in missing + broken)


class OneTable(Pgvector):
    """Tables of LangChain's newer form."""

    examples: ClassVar[int] = 10

    def address(self, name: str) -> str:
        return f"pgvector:#{quote(name, safe='')}?layout=langchain"

    def spoil(self, name: str) -> frozenset[str]:
        table = sql.Identifier(name)
        broken = _run(
            "UPDATE {} SET langchain_metadata = '[1]' WHERE langchain_id LIKE '%3' RETURNING langchain_id", table
        )
        return frozenset(row[0] for row in broken)


class NodesInChroma(Chroma):
    """Collections of LlamaIndex in a folder."""

    examples: ClassVar[int] = 5

    def address(self, name: str) -> str:
        return f"{super().address(name)}?layout=llamaindex"


class NodesInQdrant(Edge):
    """Collections of LlamaIndex in Qdrant's engine."""

    examples: ClassVar[int] = 5

    def address(self, name: str) -> str:
        return f"{super().address(name)}?layout=llamaindex"


class DocumentsInQdrant(Edge):
    """Collections of LangChain in Qdrant's engine."""

    examples: ClassVar[int] = 5

    def address(self, name: str) -> str:
        return f"{super().address(name)}?layout=langchain"


@pytest.mark.usefixtures("shared_home")
class TestNodes(SourceConformance, Upserting, Replacing, Deleting, Hostile, Twin):
    """What a layout can change: the rows. The rest is the engine's."""

    fixtures = Nodes


@pytest.mark.campaign
@pytest.mark.usefixtures("shared_home")
class TestWholeNodes(StoreConformance):
    fixtures = Nodes


@pytest.mark.campaign
@pytest.mark.usefixtures("shared_home")
class TestOneTable(StoreConformance):
    fixtures = OneTable


@pytest.mark.campaign
class TestNodesInChroma(StoreConformance):
    fixtures = NodesInChroma


@pytest.mark.campaign
class TestNodesInQdrant(StoreConformance):
    fixtures = NodesInQdrant


@pytest.mark.campaign
class TestDocumentsInQdrant(StoreConformance):
    fixtures = DocumentsInQdrant
