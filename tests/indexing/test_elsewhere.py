"""Engines that join no transaction: intents before each write, and a next run that puts right what a crash left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import psycopg
import pyarrow as pa
import pytest

from tests.indexing.kit import Counting, Paragraphs, Shelf
from tests.indexing.test_kills import AFTER, BEFORE
from wherry.errors import NoSuchCollection, Refused, Unreachable, Unsupported
from wherry.indexing.act import index
from wherry.indexing.checking import repair, verify
from wherry.indexing.generations import rebuild
from wherry.indexing.results import IndexResult
from wherry.indexing.status import status
from wherry.record import to_records
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target
from wherry.testing.faults import Calls, Fault, Moment, faulty

Act = Callable[..., IndexResult]


@pytest.fixture(params=["memory", "chroma", "qdrant", "faiss"])
def address(request: pytest.FixtureRequest, name: str, pg: psycopg.Connection) -> Iterator[str]:
    """A collection of an engine that is not PostgreSQL."""
    if request.param == "memory":
        yield f"memory:#{name}"
        return
    with tempfile.TemporaryDirectory(prefix="wherry-index-", ignore_cleanup_errors=True) as folder:
        yield f"{request.param}:{folder}/store#{name}"


@pytest.fixture
def act(address: str, model: Counting) -> Act:
    """Index a dictionary of documents into the collection."""
    return lambda texts, **more: index(Shelf(dict(texts)), address, embedder=model, chunker=Paragraphs(), **more)


def paragraphs(address: str) -> dict[str, list[str]]:
    """Return the paragraphs of the collection by document, in order."""
    found = open_source(address)
    records = [record for page in found.scan() for record in to_records(page.records)]
    found.close()
    told: dict[str, list[tuple[int, str]]] = {}
    for record in records:
        assert record.metadata is not None
        told.setdefault(record.metadata["source"], []).append((record.metadata["chunk"], record.text or ""))
    return {document: [text for _, text in sorted(pieces)] for document, pieces in told.items()}


def split(texts: dict[str, str]) -> dict[str, list[str]]:
    """Return the paragraphs of documents."""
    return {document: text.split("\n\n") for document, text in texts.items()}


def test_documents_come_change_and_go(act: Act, address: str, model: Counting) -> None:
    result = act(BEFORE)
    assert (result.new, result.chunks_embedded) == (4, 7)
    assert paragraphs(address) == split(BEFORE)
    assert act(BEFORE).run == ""
    model.texts.clear()
    result = act(AFTER)
    assert (result.new, result.modified, result.renamed, result.deleted, result.unchanged) == (1, 1, 1, 1, 1)
    assert sorted(model.paid) == sorted(
        ["새 문단", "고친 문단", "또 다른 문단", "아주 새 문단", "셋째 문단", "넷째 문단"]
    )
    assert paragraphs(address) == split(AFTER)
    assert verify(address, deep=True).sound
    assert (status(address).backlog, status(address).rows) == (0, 13)


def test_what_a_crash_left_is_put_right_wherever_it_was(pg: psycopg.Connection, name: str) -> None:
    """A fault at each call of the store in turn: before it, half-way, and after it with the reply lost."""
    at, struck, model = 0, True, Counting()
    while struck:
        at += 1
        for moment in Moment:
            address = f"memory:#{name}-{at}-{moment}"
            index(Shelf(dict(BEFORE)), address, embedder=model, chunker=Paragraphs())
            calls = Calls(at=at, fault=Fault(moment, Unreachable), only=("upsert", "delete", "finish"))
            broken = lambda where, calls=calls: faulty(open_target(where), calls)  # noqa: E731
            with patch("wherry.indexing.elsewhere.open_target", broken):
                try:
                    index(Shelf(dict(AFTER)), address, embedder=model, chunker=Paragraphs())
                except Unreachable:
                    assert calls.struck
            struck = calls.struck
            model.texts.clear()
            index(Shelf(dict(AFTER)), address, embedder=model, chunker=Paragraphs())
            assert paragraphs(address) == split(AFTER), f"{calls.names[-1]} {moment}"
            assert verify(address, deep=True).sound
            assert status(address).backlog == 0
            assert not model.paid, "what was paid for was paid for again"
    assert at > 3


def test_an_engine_that_publishes_at_the_end_and_dies_before_it(act: Act, address: str, model: Counting) -> None:
    """Its manifest is ahead of it then: what was written in vain, and deleted in vain, is done again for nothing."""
    act(BEFORE)
    calls = Calls(at=1, fault=Fault(Moment.BEFORE, Unreachable), only=("finish",))
    with (
        patch("wherry.indexing.elsewhere.open_target", lambda where: faulty(open_target(where), calls)),
        pytest.raises(Unreachable),
    ):
        act(AFTER)
    model.texts.clear()
    act(AFTER)
    assert paragraphs(address) == split(AFTER)
    assert verify(address, deep=True).sound
    assert not model.paid
    assert act(AFTER).run == ""


def test_a_document_that_changed_again_after_a_crash_leaves_no_strangers(
    pg: psycopg.Connection, name: str, model: Counting
) -> None:
    address = f"memory:#{name}"

    def go(texts: dict[str, str]) -> IndexResult:
        return index(Shelf(texts), address, embedder=model, chunker=Paragraphs())

    go({"글": "하나"})
    calls = Calls(at=1, fault=Fault(Moment.AFTER, Unreachable), only=("upsert",))
    with (
        patch("wherry.indexing.elsewhere.open_target", lambda where: faulty(open_target(where), calls)),
        pytest.raises(Unreachable),
    ):
        go({"글": "하나\n\n둘\n\n셋"})
    assert status(address).backlog == 1
    go({"글": "넷"})
    assert paragraphs(address) == {"글": ["넷"]}
    assert verify(address, deep=True).sound


def test_records_that_vanish_are_found_and_mended(act: Act, address: str, model: Counting) -> None:
    act(AFTER)
    store = open_target(address)
    ids = [name for part in store.ids() for name in part.to_pylist()]
    store.delete(pa.array(ids[:2], pa.string()))
    store.finish(store.describe().space, Index("hnsw"))
    store.close()
    found = verify(address)
    assert not found.sound
    assert sum(f.chunks for f in found.findings) == 2
    repair(address)
    model.texts.clear()
    act(AFTER)
    assert not model.paid
    assert paragraphs(address) == split(AFTER)


def test_a_collection_of_somebody_else_is_refused(address: str, act: Act, name: str, model: Counting) -> None:
    act(BEFORE)
    with psycopg.connect(_server(), autocommit=True) as connection:
        connection.execute("DELETE FROM wherry.indexes WHERE shown = %s", [address])
    with pytest.raises(Refused, match="no index made"):
        act(BEFORE)


def test_another_model_beside_it_is_the_work_of_a_route(address: str, act: Act) -> None:
    act(BEFORE)
    with pytest.raises(Unsupported, match="at once") as caught:
        rebuild(address, Counting(24, model="other"))
    assert "route" in caught.value.next
    assert act(BEFORE).run == ""


def test_a_collection_that_is_gone_says_so(pg: psycopg.Connection, name: str, model: Counting) -> None:
    from wherry.stores import memory

    address, documents = f"memory:#{name}", Shelf(dict(BEFORE))
    index(documents, address, embedder=model, chunker=Paragraphs())
    memory.clear()
    documents.texts["글"] = "neu"
    with pytest.raises(NoSuchCollection, match="gone"):
        index(documents, address, embedder=model, chunker=Paragraphs())
    assert repair(address).remade
    assert index(documents, address, embedder=model, chunker=Paragraphs()).failed == 0
    assert paragraphs(address) == split(documents.texts)


def _server() -> str:
    from wherry.postgres import server

    return server.start()


def test_files_into_a_folder_of_another_engine(tmp_path: Path, name: str, pg: psycopg.Connection) -> None:
    (tmp_path / "글.md").write_text("# 제목\n\n혈당을 잽니다.\n")
    address = f"chroma:{tmp_path}/store#{name}"
    assert index(tmp_path / "글.md", address).new == 1
    assert index(tmp_path / "글.md", address).run == ""
