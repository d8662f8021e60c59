"""Databases that are not the built-in one: roles with few rights, schemas of older and later versions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Paragraphs, Shelf
from tests.indexing.test_index import shelf
from wherry.errors import AuthFailed, NoSuchCollection, Unsupported
from wherry.indexing.act import index
from wherry.indexing.status import status
from wherry.postgres import migrations, server
from wherry.postgres.link import Server


@pytest.fixture
def other(pg: psycopg.Connection, name: str) -> Iterator[str]:
    """A database of its own, with pgvector; its address without the table."""
    pg.execute(f"CREATE DATABASE d{name}")
    given = conninfo_to_dict(server.start())
    with psycopg.connect(server.start(), dbname=f"d{name}", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield f"pgvector:?host={given['host']}&port={given['port']}&dbname=d{name}"
    pg.execute(f"DROP DATABASE d{name} WITH (FORCE)")


def test_a_role_that_may_make_nothing_is_told_which_right_it_lacks(
    other: str, pg: psycopg.Connection, name: str
) -> None:
    pg.execute(f"CREATE ROLE r{name} LOGIN")
    address = other.replace("pgvector:?", "pgvector:///?") + f"&user=r{name}#docs"
    with pytest.raises(AuthFailed, match="permission denied"):
        index(Shelf({"글": "글"}), address, embedder=Counting(), chunker=Paragraphs())
    pg.execute(f"DROP ROLE r{name}")


def test_another_database_holds_its_own_manifest(other: str, name: str, run: Indexed) -> None:
    address = other.replace("pgvector:?", "pgvector:///?") + "&user=postgres#docs"
    documents, model = shelf(3), Counting()
    assert index(documents, address, embedder=model, chunker=Paragraphs()).new == 3
    assert index(documents, address, embedder=model, chunker=Paragraphs()).run == ""
    assert run(documents, embedder=model).new == 3, "the index of another database is another index"
    with psycopg.connect(server.start(), dbname=f"d{name}", autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM wherry.indexes").fetchone() == (1,)
        connection.execute("UPDATE wherry.alembic_version SET version_num = '9999'")
    with pytest.raises(Unsupported, match="later version"):
        index(documents, address, embedder=model, chunker=Paragraphs())


def test_tables_of_an_earlier_version_are_brought_up_to_date(other: str, name: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    address = other.replace("pgvector:?", "pgvector:///?") + "&user=postgres#docs"
    conninfo = psycopg.conninfo.make_conninfo(server.start(), dbname=f"d{name}")
    found = Server(conninfo, "pgvector:")
    migrations.upgrade(found)
    config = Config()
    config.set_main_option("script_location", str(next(iter(migrations.__path__))))
    with create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo)).connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    with pytest.raises(NoSuchCollection):
        status(address)
    assert index(shelf(2), address, embedder=Counting(), chunker=Paragraphs()).new == 2
    with create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo)).connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert status(address).documents == 2, "an index of an earlier version is an index"
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT version_num FROM wherry.alembic_version").fetchone() == (migrations.HEAD,)
