"""What LangChain wrote is moved, and its own `similarity_search` finds the same documents at the target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_postgres import PGEngine, PGVector, PGVectorStore
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models
from sqlalchemy.pool import NullPool

import wherry
from tests.stores.layouts_kit import (
    DIMENSION,
    QUESTION,
    DocumentEmbedder,
    document_ids,
    documents,
    embedded,
    found_by,
    url,
)
from wherry.errors import BadAddress, NoSuchCollection, Refused, Rejected, UnknownMetric
from wherry.testing.qdrant_server import QdrantServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
SHARED = "pgvector:#langchain_pg_embedding"


@pytest.fixture
def tables(pg: psycopg.Connection) -> Iterator[None]:
    """A database without LangChain's shared tables, before and after."""
    drop = "DROP TABLE IF EXISTS langchain_pg_embedding, langchain_pg_collection CASCADE"
    pg.execute(drop)
    yield
    pg.execute(drop)


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[tuple[str, QdrantClient]]:
    """The address of a Qdrant server, and the official client of it."""
    with QdrantServer(tmp_path / "server") as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        yield f"qdrant+{server.url}", client
        client.close()


def shared(pg: psycopg.Connection, name: str, **options: Any) -> PGVector:
    """Return LangChain's store of one collection in its shared tables."""
    return PGVector(
        DocumentEmbedder(),
        connection=url(pg, "psycopg"),
        collection_name=name,
        engine_args={"poolclass": NullPool},
        **options,
    )


def one_table(pg: psycopg.Connection, name: str) -> PGVectorStore:
    """Return LangChain's newer store of one table."""
    engine = PGEngine.from_connection_string(url(pg, "psycopg"), poolclass=NullPool)
    return PGVectorStore.create_sync(engine, DocumentEmbedder(), name)


def in_chroma(address: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what LangChain finds in a collection of a folder."""
    folder, _, name = address.removeprefix("chroma:").partition("#")
    store = Chroma(name, DocumentEmbedder(), persist_directory=folder, create_collection_if_not_exists=False)
    found = found_by(store)
    store._client.close()  # type: ignore[attr-defined]
    return found


def test_from_the_shared_tables_to_qdrant_and_chroma(
    pg: psycopg.Connection, name: str, tmp_path: Path, tables: None, qdrant: tuple[str, QdrantClient]
) -> None:
    store = shared(pg, name)
    store.add_documents(documents(), ids=document_ids())
    expected = found_by(store)
    source, there = f"{SHARED}?collection={name}&metric=cosine", f"{qdrant[0]}#docs"
    plan = wherry.plan(source, there)
    assert (plan.layouts, plan.new) == (("langchain", "langchain"), 6)
    assert wherry.sync(source, there).equal
    assert found_by(QdrantVectorStore(qdrant[1], "docs", DocumentEmbedder())) == expected
    folder = f"chroma:{tmp_path / 'c'}#docs"
    assert wherry.sync(there, folder).equal
    assert in_chroma(folder) == expected


def test_from_qdrant_to_the_newer_table_and_the_shared_ones(
    pg: psycopg.Connection, name: str, tables: None, qdrant: tuple[str, QdrantClient]
) -> None:
    qdrant[1].create_collection(
        "docs", vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    )
    store = QdrantVectorStore(qdrant[1], "docs", DocumentEmbedder())
    store.add_documents(documents(), ids=document_ids())
    expected, source = found_by(store), f"{qdrant[0]}#docs"
    assert wherry.sync(source, f"pgvector:#{name}").equal
    newer = one_table(pg, name)
    assert found_by(newer) == expected
    newer.add_documents([Document(page_content="물을 마신다", metadata={"쪽": 9})], ids=["mine"])
    assert [d.metadata for d in newer.similarity_search("물을 마신다", k=1)] == [{"쪽": 9}]
    assert wherry.sync(source, f"{SHARED}?collection={name}").equal
    moved = shared(pg, name)
    assert found_by(moved) == expected
    moved.add_documents([Document(page_content="물을 마신다", metadata={"쪽": 9})], ids=["mine"])
    assert len(moved.similarity_search(QUESTION, k=10)) == 7
    assert wherry.verify(f"pgvector:#{name}", f"{SHARED}?collection={name}").equal


def test_from_chroma(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    store = Chroma(
        name, DocumentEmbedder(), persist_directory=str(folder), collection_configuration={"hnsw": {"space": "cosine"}}
    )
    store.add_documents(documents(), ids=document_ids())
    expected = found_by(store)
    store._client.close()  # type: ignore[attr-defined]
    result = wherry.sync(f"chroma:{folder}#{name}", f"pgvector:#{name}?layout=langchain")
    assert result.equal
    assert found_by(one_table(pg, name)) == expected


def test_a_collection_is_found_by_its_own_name(pg: psycopg.Connection, name: str, tables: None) -> None:
    shared(pg, name).add_documents(documents()[:2], ids=["a", "b"])
    shared(pg, "다른 것").add_documents(documents()[2:], ids=["c", "d", "e", "f"])
    with closing(wherry.open_source(f"pgvector:#{name}")) as store:
        found = store.describe()
        assert (found.count, found.layout) == (2, "langchain")
        assert sorted(i for ids in store.ids() for i in ids.to_pylist()) == ["a", "b"]
    with pytest.raises(BadAddress, match="many collections") as caught:
        wherry.open_source(SHARED)
    assert name in caught.value.next
    with pytest.raises(NoSuchCollection, match="'nix'") as missing:
        wherry.open_source(f"{SHARED}?collection=nix")
    assert "다른 것" in missing.value.next
    with pytest.raises(NoSuchCollection):
        wherry.open_source("pgvector:#nix")


def test_the_metric_is_asked_for_unless_an_index_tells_it(
    pg: psycopg.Connection, name: str, tmp_path: Path, tables: None
) -> None:
    shared(pg, name, embedding_length=DIMENSION).add_documents(documents(), ids=document_ids())
    with pytest.raises(UnknownMetric):
        wherry.sync(f"{SHARED}?collection={name}", f"chroma:{tmp_path / 'c'}#docs")
    # What LangChain's class was made with is for all tables of the process: the length has to be said here.
    pg.execute(f"ALTER TABLE langchain_pg_embedding ALTER COLUMN embedding TYPE vector({DIMENSION})")
    pg.execute("CREATE INDEX ON langchain_pg_embedding USING hnsw (embedding vector_ip_ops)")
    with closing(wherry.open_source(f"{SHARED}?collection={name}")) as store:
        assert store.describe().space.metric == wherry.Metric.IP


def test_rows_of_another_collection_are_never_overwritten(
    pg: psycopg.Connection, name: str, tmp_path: Path, tables: None
) -> None:
    first = shared(pg, name)
    first.add_documents(documents(), ids=document_ids())
    expected = found_by(first)
    archive = str(tmp_path / "x.jsonl")
    wherry.sync(f"{SHARED}?collection={name}", archive)
    with pytest.raises(Rejected, match="another collection") as caught:
        wherry.sync(archive, f"{SHARED}?collection=other")
    assert document_ids()[0] in str(caught.value)
    assert found_by(first) == expected
    rows = "SELECT count(*) FROM langchain_pg_embedding"
    assert pg.execute(rows).fetchone() == (6,)
    with (
        closing(wherry.open_target(f"{SHARED}?collection=other")) as target,
        closing(wherry.open_source(archive)) as source,
    ):
        target.delete(next(iter(source.ids())))
    assert pg.execute(rows).fetchone() == (6,)


def test_one_collection_is_updated_and_the_other_stays(
    pg: psycopg.Connection, name: str, tmp_path: Path, tables: None
) -> None:
    shared(pg, name).add_documents(documents(), ids=document_ids())
    other = shared(pg, "other")
    other.add_documents(documents()[:3], ids=["x", "y", "z"])
    archive = str(tmp_path / "x.jsonl")
    there = f"{SHARED}?collection={name}"
    wherry.sync(there, archive)
    pg.execute("UPDATE langchain_pg_embedding SET document = 'changed' WHERE id = %s", [document_ids()[0]])
    pg.execute("INSERT INTO langchain_pg_embedding SELECT 'gone', collection_id, embedding, 'x', '{}'"
               " FROM langchain_pg_embedding WHERE id = %s", [document_ids()[1]])  # fmt: skip
    result = wherry.sync(archive, there, level="deep")
    assert (result.written, result.deleted, result.equal) == (1, 1, True)
    again = wherry.sync(archive, there)
    assert (again.written, again.unchanged) == (0, 6)
    assert len(other.similarity_search(QUESTION, k=9)) == 3


def test_the_earlier_generation_is_read_and_written(
    pg: psycopg.Connection, name: str, tmp_path: Path, tables: None
) -> None:
    pg.execute("CREATE TABLE langchain_pg_collection (name varchar, cmetadata json, uuid uuid PRIMARY KEY)")
    pg.execute(
        "CREATE TABLE langchain_pg_embedding (collection_id uuid REFERENCES langchain_pg_collection, embedding vector,"
        " document varchar, cmetadata json, custom_id varchar, uuid uuid PRIMARY KEY)"
    )
    owners = [uuid4() for _ in range(2)]
    for owner in owners:
        pg.execute("INSERT INTO langchain_pg_collection VALUES ('docs', NULL, %s)", [owner])
    for number, document in enumerate(documents()):
        pg.execute(
            "INSERT INTO langchain_pg_embedding VALUES (%s, %s::vector, %s, '{}', %s, gen_random_uuid())",
            [owners[0], str(embedded(document.page_content)), document.page_content, f"글-{number}"],
        )
    with pytest.raises(BadAddress, match="several collections are called 'docs'"):
        wherry.open_source(f"{SHARED}?collection=docs")
    source, archive = f"{SHARED}?collection={owners[0]}", str(tmp_path / "x.jsonl")
    assert wherry.sync(source, archive).written == 6
    result = wherry.sync(archive, f"{SHARED}?collection={owners[1]}")
    assert (result.written, result.equal) == (6, True)
    pg.execute("UPDATE langchain_pg_embedding SET document = 'x' WHERE custom_id = '글-1'")
    assert wherry.sync(archive, source, level="deep").written == 1
    assert wherry.verify(archive, source).equal
    assert wherry.verify(archive, f"{SHARED}?collection={owners[1]}").different == 1
    assert wherry.sync(archive, f"{SHARED}?collection=new").written == 6


def test_a_column_that_needs_a_value_is_refused(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    pg.execute(f"CREATE TABLE {name} (langchain_id uuid PRIMARY KEY, content text NOT NULL, embedding vector(64)"
               " NOT NULL, content_tsv tsvector NOT NULL, langchain_metadata json)")  # fmt: skip
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "x", "embedding": [1.0] * DIMENSION}))
    with pytest.raises(Refused, match="content_tsv"):
        wherry.sync(str(path), f"pgvector:#{name}?metric=cosine")
