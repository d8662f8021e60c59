"""A SQLAlchemy model is a collection: read, written, and still the model's own table afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector.sqlalchemy import Vector
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

import wherry
import wherry.stores
from tests.stores.layouts_kit import url
from wherry.errors import BadAddress, NoSuchCollection, Refused, Rejected
from wherry.record import to_records
from wherry.where import parse


class Base(DeclarativeBase):
    """The models of these tests."""


class Page(Base):
    """A page of a guide, its metadata in columns and in JSON."""

    __tablename__ = "layouts_pages"
    page_id: Mapped[str] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(3))
    body: Mapped[str | None]
    title: Mapped[str] = mapped_column("제목")
    number: Mapped[int | None]
    draft: Mapped[bool | None]
    more: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    seen: Mapped[datetime | None]
    owner: Mapped[str | None]


class Note(Base):
    """A note whose metadata are columns alone."""

    __tablename__ = "layouts_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(3))
    text: Mapped[str]
    tag: Mapped[str | None]


class Pair(Base):
    """A model with a key of two columns."""

    __tablename__ = "layouts_pairs"
    a: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(3))


@pytest.fixture
def engine(pg: psycopg.Connection) -> Iterator[Engine]:
    """The shared server, with empty tables of the models."""
    pg.execute("CREATE EXTENSION IF NOT EXISTS vector")
    found = create_engine(url(pg, "psycopg"), poolclass=NullPool)
    Base.metadata.drop_all(found)
    Base.metadata.create_all(found)
    yield found
    Base.metadata.drop_all(found)


def pages() -> list[Page]:
    """Return a few pages."""
    return [
        Page(page_id="혈압-1", embedding=[1, 0, 0], body="혈압은 120 미만", title="혈압", number=1, draft=False,
             more={"출처": "안내.md", "깊이": {"a": [1, None]}}, owner="kim"),
        Page(page_id="혈당-1", embedding=[0, 1, 0], body=None, title="혈당", seen=datetime(2026, 3, 1, tzinfo=UTC)),
    ]  # fmt: skip


def records(store: Any) -> dict[str, tuple[str | None, dict[str, Any] | None]]:
    """Return text and metadata of all records of a store, and close it."""
    with closing(store):
        found = [r for page in store.scan() for r in to_records(page.records)]
    return {r.id: (r.text, r.metadata) for r in found}


def opened(engine: Engine, **options: Any) -> Any:
    """Open the pages, with title, number and draft as keys of the metadata."""
    fields = [Page.title, Page.number, Page.draft]
    named: dict[str, Any] = {"text": Page.body, "metadata": Page.more, "fields": fields, "engine": engine}
    return wherry.from_model(Page, vector=Page.embedding, **{**named, **options})


def test_a_model_is_read_by_its_attributes(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(pages())
        session.commit()
    assert records(opened(engine)) == {
        "혈압-1": (
            "혈압은 120 미만",
            {"출처": "안내.md", "깊이": {"a": [1, None]}, "제목": "혈압", "number": 1, "draft": False},
        ),
        "혈당-1": (None, {"제목": "혈당"}),
    }
    seen = records(opened(engine, fields=[Page.seen], metadata=None))
    assert seen["혈당-1"][1] == {"seen": "2026-03-01T00:00:00"}
    assert seen["혈압-1"][1] is None
    assert wherry.stores.from_model is wherry.from_model


def test_there_and_back_the_model_is_what_it_was(engine: Engine, tmp_path: Path) -> None:
    with Session(engine) as session:
        session.add_all(pages())
        session.commit()
    archive = str(tmp_path / "pages.jsonl")
    with closing(opened(engine)) as store:
        assert wherry.sync(store, archive).equal
        assert store.capabilities.detects_changes
    with Session(engine) as session:
        page = session.get_one(Page, "혈압-1")
        page.title, page.more, page.number = "틀림", {"x": 1}, None
        session.delete(session.get_one(Page, "혈당-1"))
        session.commit()
    with closing(opened(engine)) as store:
        result = wherry.sync(archive, store)
        assert (result.created, result.changed, result.equal) == (1, 1, True)
        assert wherry.sync(archive, store).unchanged == 2
        assert wherry.verify(archive, store).equal
    with Session(engine) as session:
        first, second = session.scalars(select(Page).order_by(Page.page_id.desc())).all()
        assert (first.title, first.number, first.draft, first.owner) == ("혈압", 1, False, "kim")
        assert first.more == {"출처": "안내.md", "깊이": {"a": [1, None]}}
        assert list(first.embedding) == [1, 0, 0]
        assert (second.title, second.number, second.body) == ("혈당", None, None)


def test_metadata_of_columns_alone(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    rows = [
        {"id": "1", "text": "금식", "metadata": {"tag": "검사"}, "embedding": [1, 2, 3]},
        {"id": "7", "text": "운동", "embedding": [1, 2, 4]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    with closing(wherry.from_model(Note, vector="embedding", fields=["tag"], engine=engine)) as store:
        assert wherry.sync(f"{path}", store).equal
    with Session(engine) as session:
        assert [(n.id, n.text, n.tag) for n in session.scalars(select(Note).order_by(Note.id))] == [
            (1, "금식", "검사"),
            (7, "운동", None),
        ]
        session.add(Note(embedding=[0, 0, 1], text="다음"))
        session.commit()
    path.write_text(json.dumps(rows[0] | {"metadata": {"tag": "검사", "page": "3"}}))
    with (
        closing(wherry.from_model(Note, vector=Note.embedding, fields=[Note.tag], engine=engine)) as store,
        pytest.raises(Rejected, match="'page' in the metadata of record '1'"),
    ):
        wherry.sync(f"{path}", store, allow_mass_delete=True)


def test_what_cannot_be_given_back_exactly_is_not_written(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "x", "metadata": {"제목": "t"}, "embedding": [1, 2, 3]}))
    with closing(opened(engine, fields=[Page.title, Page.seen])) as store, pytest.raises(Refused, match="seen"):
        wherry.sync(str(path), store)


def test_what_is_needed_and_not_given_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "x", "embedding": [1, 2, 3]}))
    with closing(opened(engine, fields=[])) as store, pytest.raises(Refused, match="제목"):
        wherry.sync(str(path), store)


def test_what_the_model_does_not_have_is_named(engine: Engine) -> None:
    with pytest.raises(BadAddress, match="primary key of 'layouts_pairs' is a, b"):
        wherry.from_model(Pair, vector=Pair.embedding, engine=engine)
    with pytest.raises(BadAddress, match="'nix' is no column"):
        wherry.from_model(Page, vector="nix", engine=engine)
    with pytest.raises(BadAddress, match="no column of 'layouts_pages'") as caught:
        wherry.from_model(Page, vector=Note.embedding, engine=engine)
    assert "제목" in caught.value.next
    with pytest.raises(BadAddress, match="both"):
        wherry.from_model(Page, vector=Page.embedding, engine=engine, url="postgresql://h/d")
    with pytest.raises(BadAddress, match="sqlite"):
        wherry.from_model(Page, vector=Page.embedding, url="sqlite:///x")
    with pytest.raises(BadAddress, match="of type varchar"):
        wherry.from_model(Page, vector=Page.body, engine=engine)


def test_a_table_that_is_not_there_is_never_made(engine: Engine, pg: psycopg.Connection) -> None:
    pg.execute("DROP TABLE layouts_pages")
    with pytest.raises(NoSuchCollection, match="layouts_pages") as caught:
        opened(engine)
    assert "create_all" in caught.value.next


def test_an_engine_an_url_and_the_embedded_server_are_one_place(pg: psycopg.Connection, engine: Engine) -> None:
    places: list[dict[str, Any]] = [{"engine": engine}, {"url": url(pg, "psycopg2")}, {"url": "pgvector:"}, {}]
    stores = [wherry.from_model(Page, vector=Page.embedding, text=None, metadata=None, **place) for place in places]
    assert len({store.identity for store in stores}) == 1
    for store in stores:
        store.close()


def test_a_password_does_not_show() -> None:
    with pytest.raises(wherry.StoreError) as caught:
        wherry.from_model(Page, vector=Page.embedding, url="postgresql+psycopg://me:geheim@127.0.0.1:1/x")
    assert "geheim" not in str(caught.value) + repr(caught.value.__context__)


def test_langchains_metadata_columns_are_metadata(pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    pg.execute(f"CREATE TABLE {name} (langchain_id uuid PRIMARY KEY, content text NOT NULL, embedding vector(2)"
               " NOT NULL, page int, langchain_metadata json)")  # fmt: skip
    pg.execute(f"INSERT INTO {name} VALUES (gen_random_uuid(), '글', '[1,2]', 7, '{{\"출처\": \"a\"}}')")
    (found,) = records(wherry.open_source(f"pgvector:#{name}")).values()
    assert found == ("글", {"출처": "a", "page": 7})
    archive = str(tmp_path / "x.jsonl")
    wherry.sync(f"pgvector:#{name}?metric=cosine", archive)
    pg.execute(f"UPDATE {name} SET page = 8, langchain_metadata = NULL")
    assert wherry.sync(archive, f"pgvector:#{name}").written == 1
    assert pg.execute(f"SELECT page, langchain_metadata::text FROM {name}").fetchone() == (7, '{"출처": "a"}')


def test_a_search_sees_fields_as_metadata(engine: Engine, pg: psycopg.Connection) -> None:
    pg.execute("INSERT INTO layouts_notes SELECT n, ARRAY[n, 1, 0]::vector, 'x', (n % 7)::text"
               " FROM generate_series(1, 6000) n")  # fmt: skip
    pg.execute("ANALYZE layouts_notes")
    with closing(
        wherry.from_model(Note, vector=Note.embedding, fields=[Note.tag], metric="l2", engine=engine)
    ) as store:
        query = np.array([9, 1, 0], dtype=np.float32)
        assert [hit.id for hit in store.search(query, 2, where=parse({"tag": "3"}))] == ["10", "3"]
        assert [hit.metadata for hit in store.search(query, 1)] == ['{"tag": "2"}']
        assert [hit.id for hit in store.search(query, 1, where=parse({"tag": {"$in": ["3", "4"]}}))] == ["10"]
