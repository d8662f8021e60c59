"""Tables as their owners want them: other names of columns, rows of evaluations, tables that were there before."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

import wherry
from tests.indexing.kit import Counting, Paragraphs, Shelf
from wherry.errors import BadAddress, Refused, SpaceMismatch
from wherry.indexing.act import index
from wherry.indexing.checking import repair, verify
from wherry.indexing.generations import rebuild, rollback
from wherry.indexing.results import IndexResult

RUNS = {
    "run:r-01": "요약 한 줄\n\n실패한 사례\n\n사례 c1",
    "run:r-02": "요약 두 줄\n\n사례 c2",
    "user_guide": "첫 걸음\n\n둘째 걸음",
}
Read = Callable[[], list[tuple[str, int, str]]]


@pytest.fixture
def address(pg: psycopg.Connection, name: str) -> str:
    """A table laid out as the evaluations of a product keep theirs."""
    return f"pgvector:#{name}?layout=rag_documents"


@pytest.fixture
def read(pg: psycopg.Connection, name: str) -> Read:
    """Return (source, doc_id, content) of every row, in order."""
    return lambda: pg.execute(f"SELECT source, doc_id, content FROM {name} ORDER BY 1, 2").fetchall()


def texts(documents: Shelf) -> list[tuple[str, int, str]]:
    """What the rows should be."""
    return sorted((key, n, said) for key, text in documents.texts.items() for n, said in enumerate(text.split("\n\n")))


def go(documents: Shelf, address: str, model: Counting, **more: object) -> IndexResult:
    """Index paragraph by paragraph."""
    return index(documents, address, embedder=model, chunker=Paragraphs(), **more)  # type: ignore[arg-type]


def test_rows_are_told_apart_by_document_and_place(
    address: str, model: Counting, read: Read, pg: psycopg.Connection, name: str
) -> None:
    documents = Shelf(dict(RUNS))
    go(documents, address, model)
    assert read() == texts(documents)
    kept = pg.execute(f"SELECT source, count(DISTINCT source_hash), min(length(source_hash)) FROM {name} GROUP BY 1")
    assert sorted(kept.fetchall()) == [("run:r-01", 1, 64), ("run:r-02", 1, 64), ("user_guide", 1, 64)]
    columns = pg.execute("SELECT column_name FROM information_schema.columns WHERE table_name = %s", [name]).fetchall()
    wanted = {"id", "source", "source_hash", "doc_id", "content", "embedding", "metadata", "created_at"}
    assert {column for (column,) in columns} == wanted
    assert go(documents, address, model).run == ""


def test_rows_change_places_and_keep_their_vectors(
    address: str, model: Counting, read: Read, pg: psycopg.Connection, name: str
) -> None:
    documents = Shelf(dict(RUNS))
    go(documents, address, model)
    ids = dict(pg.execute(f"SELECT content, id FROM {name}").fetchall())
    model.texts.clear()
    documents.texts["run:r-01"] = "사례 c1\n\n새 사례\n\n요약 한 줄"
    result = go(documents, address, model)
    assert (result.modified, result.chunks_embedded, model.paid) == (1, 1, ["새 사례"])
    assert read() == texts(documents)
    after = dict(pg.execute(f"SELECT content, id FROM {name}").fetchall())
    assert all(after[text] == ids[text] for text in ("사례 c1", "요약 한 줄"))
    assert verify(address, deep=True).sound


def test_a_deleted_run_and_a_renamed_one(address: str, model: Counting, read: Read) -> None:
    documents = Shelf(dict(RUNS))
    go(documents, address, model)
    del documents.texts["run:r-02"]
    documents.texts["run:r-03"] = documents.texts.pop("run:r-01")
    result = go(documents, address, model)
    assert (result.renamed, result.deleted, result.chunks_embedded) == (1, 1, 0)
    assert read() == texts(documents)


def test_damage_is_mended_and_another_model_takes_over(
    address: str, model: Counting, read: Read, pg: psycopg.Connection, name: str
) -> None:
    documents = Shelf(dict(RUNS))
    go(documents, address, model)
    pg.execute(f"DELETE FROM {name} WHERE content = '실패한 사례'")
    pg.execute(f"UPDATE {name} SET content = 'anders' WHERE content = '첫 걸음'")
    assert verify(address, deep=True).wrong == 2
    assert repair(address, deep=True).marked == 2
    assert go(documents, address, model).modified == 2
    assert read() == texts(documents)
    new = Counting(24, model="other")
    assert rebuild(address, new).chunks == 7
    assert read() == texts(documents)
    documents.texts["run:r-04"] = "나중에 온 글"
    assert go(documents, address, new).new == 1
    assert pg.execute(f"SELECT count(*) FROM {name} WHERE id IS NULL").fetchone() == (0,)
    rollback(address)
    assert go(documents, address, model).new == 1
    assert read() == texts(documents)


def test_the_rows_are_a_collection_for_every_reader(address: str, model: Counting, name: str) -> None:
    go(Shelf(dict(RUNS)), address, model)
    found = wherry.open_source(f"pgvector:#{name}")
    assert found.describe().count == 7
    found.close()


def test_other_names_of_columns(pg: psycopg.Connection, name: str, model: Counting) -> None:
    address = f"pgvector:#{name}?id=pk&vector=emb&text=body&metadata=attrs"
    documents = Shelf(dict(RUNS))
    go(documents, address, model)
    assert sorted(pg.execute(f"SELECT body FROM {name} WHERE attrs ? 'source'").fetchall()) == sorted(
        (said,) for _, _, said in texts(documents)
    )
    documents.texts["user_guide"] += "\n\n셋째 걸음"
    assert go(documents, address, model).chunks_embedded == 1
    assert go(documents, f"pgvector:#{name}", model).run == "", "the columns are remembered"


def test_a_table_of_halves_that_was_there_before(pg: psycopg.Connection, name: str, model: Counting) -> None:
    pg.execute(
        f"CREATE TABLE {name} (id text PRIMARY KEY, embedding halfvec(16), text text, metadata jsonb, extra int)"
    )
    documents, address = Shelf(dict(RUNS)), f"pgvector:#{name}"
    go(documents, address, model)
    assert pg.execute(f"SELECT count(*) FROM {name}").fetchone() == (7,)
    assert verify(address, deep=True).sound


def test_a_table_with_rows_of_somebody_else_is_refused(pg: psycopg.Connection, name: str, model: Counting) -> None:
    pg.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, embedding vector(16), text text, metadata jsonb)")
    pg.execute(f"INSERT INTO {name} VALUES ('x', array_fill(1::real, ARRAY[16])::vector, 'text', '{{}}')")
    with pytest.raises(Refused, match="rows that no index made"):
        go(Shelf(dict(RUNS)), f"pgvector:#{name}", model)
    assert pg.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)


def test_a_table_of_another_dimension_is_refused_before_anything_is_paid(
    pg: psycopg.Connection, name: str, model: Counting
) -> None:
    pg.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, embedding vector(8), text text, metadata jsonb)")
    with pytest.raises(SpaceMismatch, match="16 / 8"):
        go(Shelf(dict(RUNS)), f"pgvector:#{name}", model)
    assert not model.paid


def test_an_unknown_layout_is_an_error(name: str, model: Counting) -> None:
    with pytest.raises(BadAddress, match="unknown layout"):
        go(Shelf(dict(RUNS)), f"pgvector:#{name}?layout=other", model)


def test_a_schema_of_its_own(pg: psycopg.Connection, name: str, model: Counting) -> None:
    pg.execute(f"CREATE SCHEMA s{name}")
    documents = Shelf(dict(RUNS))
    assert go(documents, f"pgvector:#s{name}.docs", model).new == 3
    assert pg.execute(f"SELECT count(*) FROM s{name}.docs").fetchone() == (7,)
    assert go(documents, f"pgvector:#docs?schema=s{name}", model).run == ""
    pg.execute(f"DROP SCHEMA s{name} CASCADE")
