"""What the tests of indexing share: one server, a new collection for each test, a model that counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.indexing.kit import Counting, Paragraphs, settle
from wherry.indexing.act import index
from wherry.indexing.results import IndexResult

Indexed = Callable[..., IndexResult]


@pytest.fixture
def model() -> Counting:
    """A model that counts what it is asked for."""
    return Counting()


@pytest.fixture
def address(pg: psycopg.Connection, name: str) -> str:
    """The address of a collection that nobody made yet."""
    return f"pgvector:#{name}"


@pytest.fixture
def run(address: str, model: Counting) -> Indexed:
    """Index into the collection of this test, paragraph by paragraph, with the model that counts."""

    def act(documents: object, **more: object) -> IndexResult:
        wants = {"embedder": model, "chunker": Paragraphs(), **more}
        result = index(documents, address, **wants)  # type: ignore[arg-type]
        counted = result.new + result.modified + result.metadata_only + result.renamed
        assert result.scanned == counted + result.unchanged + result.failed
        return result

    return act


@pytest.fixture
def rows(pg: psycopg.Connection, name: str) -> Callable[[], dict[str, str]]:
    """Return the texts of the collection by id."""
    return lambda: dict(pg.execute(f"SELECT id, text FROM {name}").fetchall())


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder of 20 files."""
    for number in range(20):
        (tmp_path / f"글-{number:02}.md").write_text(f"혈당 {number}\n\n모두의 글")
    settle(tmp_path)
    return tmp_path
