"""What LlamaIndex wrote is moved, and LlamaIndex's own retriever finds the same nodes at the target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from llama_index.core.schema import NodeRelationship
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

import wherry
from tests.cli.commands import Said
from tests.stores.layouts_kit import (
    DIMENSION,
    chroma_nodes,
    fill,
    nodes,
    odd_nodes,
    retrieved,
    table_nodes,
)
from wherry.cli import main
from wherry.errors import Refused
from wherry.testing.qdrant_server import QdrantServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def chroma(tmp_path: Path) -> str:
    """A collection that LlamaIndex made in Chroma."""
    with chroma_nodes(tmp_path / "c", "guides", make=True) as store:
        fill(store, [*nodes(), *odd_nodes()[:2]])
    return f"chroma:{tmp_path / 'c'}#guides"


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[tuple[QdrantServer, QdrantClient]]:
    """A Qdrant server, and the official client of it."""
    with QdrantServer(tmp_path / "server") as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        yield server, client
        client.close()


def found_in_chroma(address: str) -> list[tuple[object, ...]]:
    """Return what LlamaIndex finds in a collection."""
    folder, _, name = address.removeprefix("chroma:").partition("#")
    with chroma_nodes(Path(folder), name) as store:
        return retrieved(store)


def test_from_chroma_to_postgresql(pg: psycopg.Connection, name: str, chroma: str) -> None:
    expected = found_in_chroma(chroma)
    plan = wherry.plan(chroma, f"pgvector:#data_{name}")
    assert plan.layouts == ("llamaindex", "llamaindex")
    assert (plan.new, [loss for loss in plan.losses if loss.severity == "lossy"]) == (8, [])
    result = wherry.sync(chroma, f"pgvector:#data_{name}")
    assert (result.written, result.equal, result.verified) == (8, True, "deep")
    store = table_nodes(pg, name, hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40})
    assert retrieved(store) == expected
    assert wherry.verify(chroma, f"pgvector:#{name}").equal


def test_llamaindex_goes_on_working_on_the_moved_table(pg: psycopg.Connection, name: str, chroma: str) -> None:
    wherry.sync(chroma, f"pgvector:#{name}")
    store = table_nodes(pg, name)
    filters = MetadataFilters.from_dict({"쪽": 1})
    assert [n.node_id for n in store.get_nodes(filters=filters)] == [nodes()[1].node_id]
    store.delete("guide-1")
    assert pg.execute(f'SELECT count(*) FROM "data_{name}"').fetchone() == (2,)
    fill(store, nodes()[:1])
    assert pg.execute(f'SELECT count(*) FROM "data_{name}"').fetchone() == (3,)
    again = wherry.sync(chroma, f"pgvector:#{name}")
    assert (again.written, again.equal) == (5, True)


def test_from_chroma_to_qdrant_and_on(
    pg: psycopg.Connection, name: str, chroma: str, qdrant: tuple[QdrantServer, QdrantClient]
) -> None:
    server, client = qdrant
    expected = found_in_chroma(chroma)
    there = f"qdrant+{server.url}#guides"
    assert wherry.sync(chroma, there).equal
    assert retrieved(QdrantVectorStore("guides", client=client)) == expected
    assert "doc_id" in client.get_collection("guides").payload_schema
    assert wherry.sync(there, f"pgvector:#{name}").equal
    assert retrieved(table_nodes(pg, name)) == expected


def test_llamaindex_goes_on_working_on_the_moved_points(chroma: str, qdrant: tuple[QdrantServer, QdrantClient]) -> None:
    server, client = qdrant
    there = f"qdrant+{server.url}#guides"
    assert wherry.sync(chroma, there).equal
    store = QdrantVectorStore("guides", client=client)
    filters = MetadataFilters.from_dict({"쪽": 1})
    assert [n.node_id for n in store.get_nodes(filters=filters)] == [nodes()[1].node_id]
    store.delete("guide-1")
    assert client.count("guides").count == 2
    fill(store, nodes()[:1])
    again = wherry.sync(chroma, there)
    assert (again.written, again.equal) == (5, True)


def test_from_qdrant_home_to_chroma(tmp_path: Path, qdrant: tuple[QdrantServer, QdrantClient]) -> None:
    server, client = qdrant
    store = QdrantVectorStore("mine", client=client)
    fill(store, [*nodes(), *odd_nodes()])
    expected = retrieved(store)
    there = f"qdrant+{server.url}#mine"
    plan = wherry.plan(there, f"chroma:{tmp_path / 'c'}#mine")
    assert plan.layouts == ("llamaindex", "llamaindex")
    assert wherry.sync(there, f"chroma:{tmp_path / 'c'}#mine").equal
    assert found_in_chroma(f"chroma:{tmp_path / 'c'}#mine") == expected


def test_through_a_plain_archive_and_back(pg: psycopg.Connection, name: str, tmp_path: Path, chroma: str) -> None:
    expected = found_in_chroma(chroma)
    archive, there = str(tmp_path / "dump.parquet"), f"pgvector:#{name}?layout=llamaindex"
    assert wherry.sync(chroma, archive).equal
    assert wherry.sync(archive, there).equal
    assert retrieved(table_nodes(pg, name)) == expected
    assert wherry.plan(archive, f"chroma:{tmp_path / 'c'}#plain").layouts == ("parquet", "plain")
    with closing(wherry.open_source(archive)) as store:
        records = [r for page in store.scan() for r in page.records.column("metadata").to_pylist()]
    assert all("_node_content" not in (metadata or "") for metadata in records)


def test_plain_records_become_nodes(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    rows = [
        {"id": "안내-1", "text": "금식한다", "metadata": {"쪽": {"처음": 1}}, "embedding": [1.0] * DIMENSION},
        {"id": "안내-2", "text": "운동한다", "embedding": [2.0] * DIMENSION},
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    there = f"pgvector:#data_{name}?layout=llamaindex&metric=cosine"
    result = wherry.sync(str(path), there)
    assert (result.written, result.equal) == (2, True)
    found = {found[0]: found[2:4] for found in retrieved(table_nodes(pg, name))}
    assert found == {"안내-1": ("금식한다", {"쪽": {"처음": 1}}), "안내-2": ("운동한다", {})}


def test_a_dump_of_somebody_elses_script_becomes_nodes_again(
    pg: psycopg.Connection, name: str, tmp_path: Path, chroma: str
) -> None:
    expected, dump = found_in_chroma(chroma), str(tmp_path / "dump.json")
    wherry.sync(f"{chroma}?layout=plain", dump)
    there = f"pgvector:#{name}?layout=llamaindex"
    assert wherry.sync(dump, there).equal
    assert retrieved(table_nodes(pg, name)) == expected
    assert wherry.verify(dump, there).equal


def test_a_broken_node_is_quarantined_by_its_id(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    store = table_nodes(pg, name)
    fill(store, nodes())
    pg.execute(
        f"""UPDATE "data_{name}" SET metadata_ = '{{"_node_content": "{{cut", "쪽": 2}}' WHERE node_id = %s""",
        [nodes()[2].node_id],
    )
    result = wherry.sync(f"pgvector:#{name}", f"chroma:{tmp_path / 'c'}#guides")
    assert (result.read, result.written, result.quarantined) == (6, 5, 1)
    assert [(r.id, r.reason) for r in result.quarantine] == [(nodes()[2].node_id, "BadNode")]


def test_a_node_that_is_there_twice_is_reported(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    store = table_nodes(pg, name)
    fill(store, nodes()[:3])
    fill(store, nodes()[1:2])
    result = wherry.sync(f"pgvector:#{name}", f"{tmp_path / 'x.jsonl'}")
    assert [(r.id, r.reason) for r in result.quarantine] == [(nodes()[1].node_id, "DuplicateId")]
    assert any("node_id" in note and "twice" in note for note in result.notes)


def test_an_update_leaves_one_row_of_a_node(pg: psycopg.Connection, name: str, tmp_path: Path, chroma: str) -> None:
    wherry.sync(chroma, f"pgvector:#{name}")
    store = table_nodes(pg, name)
    fill(store, nodes()[:1])
    pg.execute(f'ALTER TABLE "data_{name}" ADD COLUMN seen int')
    pg.execute(f"""UPDATE "data_{name}" SET seen = 7, text = '바뀐 글'""")
    result = wherry.sync(chroma, f"pgvector:#{name}", level="deep")
    assert result.equal
    assert pg.execute(f'SELECT count(*), min(seen), max(seen) FROM "data_{name}"').fetchone() == (8, 7, 7)
    assert retrieved(store) == found_in_chroma(chroma)


def test_the_index_that_llamaindex_never_uses_is_named(pg: psycopg.Connection, name: str) -> None:
    store = table_nodes(
        pg, name, use_halfvec=True, hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40}
    )
    fill(store, nodes()[:2])
    with closing(wherry.open_source(f"pgvector:#{name}")) as opened:
        found = opened.describe()
    assert (found.layout, found.space.metric) == ("llamaindex", wherry.Metric.COSINE)
    assert any("never uses it" in note for note in found.notes)


def test_an_index_has_its_own_word_for_its_layout(pg: psycopg.Connection, name: str, chroma: str) -> None:
    wherry.sync(chroma, f"pgvector:#{name}?layout=plain")
    with closing(wherry.open_source(f"pgvector:#{name}?layout=rag_documents")) as store:
        assert store.describe().layout == "plain"


def test_layouts_are_not_mixed(pg: psycopg.Connection, name: str, tmp_path: Path, chroma: str) -> None:
    wherry.sync(chroma, f"pgvector:#{name}x?layout=plain")
    with pytest.raises(Refused, match="layout plain"):
        wherry.sync(chroma, f"pgvector:#{name}x?layout=langchain")
    with pytest.raises(Refused, match="layout llamaindex"):
        wherry.sync(f"pgvector:#{name}x", f"{chroma}?layout=plain", allow_mass_delete=True)
    raw = tmp_path / "raw.jsonl"
    wherry.sync(f"{chroma}?layout=plain", str(raw))
    assert "_node_content" in raw.read_text(encoding="utf-8")


def test_relationships_are_where_llamaindex_looks(pg: psycopg.Connection, name: str, chroma: str) -> None:
    wherry.sync(chroma, f"pgvector:#{name}")
    found = table_nodes(pg, name).get_nodes(node_ids=[nodes()[1].node_id])
    assert found[0].relationships[NodeRelationship.PREVIOUS].node_id == nodes()[0].node_id  # type: ignore[union-attr]
    assert found[0].ref_doc_id == "guide-1"


def test_plan_shows_layouts_and_the_flag_chooses_one(
    pg: psycopg.Connection, name: str, chroma: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_command(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        return Said(code, *capsys.readouterr())

    shown = run_command("plan", chroma, f"pgvector:#{name}")
    assert shown.code == 0, shown.err
    assert "llamaindex -> llamaindex" in shown.out
    assert f"public.data_{name}" in shown.out
    plain = run_command("plan", chroma, f"pgvector:#{name}", "--layout", "plain", "--json")
    assert plain.json["layouts"] == ["llamaindex", "plain"]
    assert run_command("sync", chroma, f"pgvector:#{name}?metric=l2", "--layout", "nix").code == 2
    wherry.sync(chroma, f"pgvector:#{name}", level="counted")
    mixed = run_command("sync", chroma, f"pgvector:#data_{name}", "--layout", "langchain", "--json")
    assert (mixed.code, mixed.json["error"]) == (3, "Refused")
    assert run_command("verify", chroma, f"pgvector:#{name}", "--layout", "llamaindex").code == 0


@pytest.mark.parametrize(
    "options",
    [{"hybrid_search": True}, {"use_jsonb": True}, {"schema_name": "layouts"}],
    ids=["hybrid", "jsonb", "schema"],
)
def test_tables_as_llamaindex_makes_them_are_written_in_place(
    pg: psycopg.Connection, name: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    store, schema = table_nodes(pg, name, **options), options.get("schema_name", "public")
    fill(store, nodes())
    expected, there = retrieved(store), f"pgvector:#{schema}.data_{name}"
    archive = str(tmp_path / "x.jsonl")
    assert wherry.sync(there, archive).equal
    pg.execute(f"DELETE FROM {schema}.data_{name} WHERE node_id LIKE '%1'")
    pg.execute(f"UPDATE {schema}.data_{name} SET text = 'x' WHERE node_id LIKE '%2'")
    result = wherry.sync(archive, there, level="deep")
    assert (result.created, result.changed, result.equal) == (1, 1, True)
    assert retrieved(store) == expected
    assert wherry.verify(archive, f"pgvector:#{schema}.{name}").equal
