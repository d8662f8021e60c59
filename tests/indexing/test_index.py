"""The way of a document into a collection, and what each kind of change costs."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

import wherry
from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Paragraphs, Shelf
from wherry.errors import BadRecord, MassDelete, SpaceMismatch
from wherry.indexing.act import index


def shelf(count: int = 12) -> Shelf:
    """Documents of three paragraphs, the last of which they share."""
    return Shelf({f"문서-{n:02}": f"혈압을 재는 법 {n}\n\n둘째 문단 {n}\n\n모두의 문단" for n in range(count)})


def test_a_first_run_makes_a_collection_that_every_reader_understands(run: Indexed, address: str) -> None:
    result = run(shelf())
    assert (result.new, result.chunks_embedded, result.chunks_reused) == (12, 25, 11)
    assert (result.failed, result.generation, result.exit_code) == (0, 1, 0)
    found = wherry.open_source(address)
    described = found.describe()
    assert described.count == 36
    assert (described.space.provider, described.space.dimension, described.index.kind) == ("counting", 16, "hnsw")
    record = next(iter(found.scan())).records.slice(0, 1).to_pylist()[0]
    assert record["text"] == "혈압을 재는 법 0"
    assert '"source": "문서-00"' in record["metadata"]
    found.close()


def test_a_changed_paragraph_embeds_one_chunk_and_leaves_the_other_rows_alone(
    run: Indexed, model: Counting, pg: psycopg.Connection, name: str
) -> None:
    documents = shelf()
    run(documents)
    before = dict(pg.execute(f"SELECT id, xmin::text FROM {name}").fetchall())
    model.texts.clear()
    documents.texts["문서-03"] = documents.texts["문서-03"].replace("둘째 문단 3", "고쳐 쓴 문단 3")
    result = run(documents)
    assert (result.modified, result.unchanged, result.chunks_embedded) == (1, 11, 1)
    assert model.paid == ["고쳐 쓴 문단 3"]
    after = dict(pg.execute(f"SELECT id, xmin::text FROM {name}").fetchall())
    assert (
        len(before.items() - after.items()) == len(after.items() - before.items()) == 2
    )  # the new one, the one behind


def test_a_paragraph_in_front_keeps_every_row_and_vector(
    run: Indexed, model: Counting, rows: Callable[[], dict[str, str]]
) -> None:
    documents = shelf(2)
    run(documents)
    before = rows()
    documents.texts["문서-01"] = "맨 앞 문단\n\n" + documents.texts["문서-01"]
    result = run(documents)
    assert (result.chunks_embedded, result.chunks_reused) == (1, 3)
    assert before.items() < rows().items()


def test_metadata_alone_is_an_update_and_embeds_nothing(
    run: Indexed, model: Counting, pg: psycopg.Connection, name: str
) -> None:
    documents = shelf(3)
    run(documents)
    model.texts.clear()
    documents.metadata["문서-01"] = {"과": "순환기"}
    result = run(documents)
    assert (result.metadata_only, result.modified, result.chunks_embedded) == (1, 0, 0)
    assert not model.texts
    found = pg.execute(f"SELECT count(*) FROM {name} WHERE metadata->>'과' = '순환기'").fetchone()
    assert found == (3,)


def test_volatile_metadata_changes_nothing(run: Indexed) -> None:
    documents = shelf(3)
    run(documents)
    documents.metadata["문서-01"] = {"fetched_at": "2026-03-01"}
    assert run(documents).unchanged == 3


def test_renamed_documents_embed_nothing_and_keep_their_rows(
    run: Indexed, model: Counting, pg: psycopg.Connection, name: str
) -> None:
    documents = shelf(30)
    run(documents)
    model.texts.clear()
    documents.texts = {key.replace("문서", "안내"): text for key, text in documents.texts.items()}
    result = run(documents)
    assert (result.renamed, result.new, result.deleted, result.chunks_embedded) == (30, 0, 0, 0)
    assert not model.texts
    sources = pg.execute(f"SELECT DISTINCT left(metadata->>'source', 2), count(*) FROM {name} GROUP BY 1").fetchall()
    assert sources == [("안내", 90)]
    assert run(documents).unchanged == 30


def test_a_document_that_is_gone_takes_its_chunks_along(run: Indexed, rows: Callable[[], dict[str, str]]) -> None:
    documents = shelf(3)
    run(documents)
    del documents.texts["문서-01"]
    result = run(documents)
    assert (result.deleted, result.scanned, len(rows())) == (1, 2, 6)


def test_nothing_is_deleted_unless_the_source_was_listed_to_its_end(
    run: Indexed, rows: Callable[[], dict[str, str]]
) -> None:
    documents = shelf(6)
    run(documents)
    documents.texts["문서-00"] += "\n\n더"
    documents.fails_after = 3
    result = run(documents)
    assert (result.deleted, result.modified, result.complete, result.exit_code) == (0, 1, False, 5)
    assert any("Input/output error" in note for note in result.notes)
    assert len(rows()) == 19
    documents.fails_after = None
    assert run(documents).unchanged == 6


def test_too_many_deletions_are_refused_before_anything_is_written(
    run: Indexed, model: Counting, rows: Callable[[], dict[str, str]]
) -> None:
    documents = shelf(60)
    run(documents)
    before, texts = rows(), dict(documents.texts)
    model.texts.clear()
    documents.texts = dict(list(texts.items())[13:]) | {"새 문서": "아직 아무도 모르는 글"}
    with pytest.raises(MassDelete, match="13 of 60"):
        run(documents)
    assert rows() == before
    assert not model.texts
    assert run(documents, allow_mass_delete=True).deleted == 13
    documents.texts = dict(list(documents.texts.items())[10:])
    assert run(documents).deleted == 10


def test_a_source_with_too_many_deletions_holds_up_the_others_before_they_are_written(
    run: Indexed, rows: Callable[[], dict[str, str]]
) -> None:
    one, two = Shelf({"eins": "erster Text"}, "one"), shelf(60)
    run([one, two])
    before = rows()
    one.texts["zwei"] = "noch ein Text"
    two.texts = dict(list(two.texts.items())[:5])
    with pytest.raises(MassDelete):
        run([one, two])
    assert rows() == before


def test_another_model_is_an_error_that_names_both(run: Indexed, address: str) -> None:
    documents = shelf(2)
    run(documents)
    with pytest.raises(SpaceMismatch, match=r"counting:counting, not with hash:64.*dimension: 16 / 64") as caught:
        index(documents, address, embedder="hash:64", chunker=Paragraphs())
    assert "rebuild" in caught.value.next


def test_a_model_whose_tag_moved_is_told(run: Indexed) -> None:
    documents = shelf(2)
    run(documents, embedder=Counting(digest="v1"))
    with pytest.raises(SpaceMismatch, match=r"it moved \(model_digest: v1 / v2\)"):
        run(documents, embedder=Counting(digest="v2"))


def test_another_chunker_cuts_again_and_embeds_only_new_texts(run: Indexed, model: Counting) -> None:
    documents = shelf(3)
    run(documents)
    model.texts.clear()
    result = run(documents, chunker=Paragraphs(2))
    assert (result.unchanged, result.chunks_embedded) == (3, 0)
    assert run(documents, chunker=Paragraphs(2)).run == ""


def test_a_document_listed_twice_is_an_error(run: Indexed) -> None:
    class Twice(Shelf):
        def documents(self):  # type: ignore[no-untyped-def]
            yield from super().documents()
            yield from super().documents()

    with pytest.raises(BadRecord, match="twice"):
        run(Twice({"하나": "글"}))


def test_sources_of_one_collection_keep_their_documents_apart(run: Indexed, rows: Callable[[], dict[str, str]]) -> None:
    run([Shelf({"같은 이름": "첫째 글"}, "one"), Shelf({"같은 이름": "둘째 글"}, "two")])
    assert sorted(rows().values()) == ["둘째 글", "첫째 글"]
    run(Shelf({}, "one"))
    assert list(rows().values()) == ["둘째 글"]


def test_an_empty_document_is_known_and_has_no_chunks(run: Indexed, rows: Callable[[], dict[str, str]]) -> None:
    assert run(Shelf({"빈 글": ""})).new == 1
    assert rows() == {}
    assert run(Shelf({"빈 글": ""})).unchanged == 1
