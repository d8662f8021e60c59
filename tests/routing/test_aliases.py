"""Names that a Qdrant server keeps follow a route, in one step, there and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

import wherry
from tests.routing.kit import EMBEDDER, TEXTS, copied, made, put
from wherry.routing.book import Book
from wherry.testing.qdrant_server import Failure, QdrantServer

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    with QdrantServer(tmp_path / "server") as running:
        yield running


@pytest.fixture
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    connected = QdrantClient(url=server.url, check_compatibility=False)
    yield connected
    connected.close()


def at(server: QdrantServer, name: str) -> str:
    return f"qdrant+http://127.0.0.1:{server.port}#{name}"


def called(client: QdrantClient, alias: str, name: str) -> None:
    """Give a collection another name, as somebody's deployment does."""
    made = models.CreateAlias(collection_name=name, alias_name=alias)
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])


def names(client: QdrantClient) -> dict[str, str]:
    return {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}


@pytest.fixture
def sides(server: QdrantServer) -> tuple[str, str]:
    """Two equal collections of one server."""
    one, other = at(server, "guides_v1"), at(server, "guides_v2")
    put(one, TEXTS)
    copied(one, other)
    return one, other


def test_the_name_of_the_route_moves_and_comes_back(sides: tuple[str, str], client: QdrantClient) -> None:
    called(client, "welno", "guides_v1")
    called(client, "backup", "guides_v1")
    made("welno", sides[0])
    done = wherry.switch("welno", sides[1])
    assert done.notes == ("the name 'welno' of the server leads there too",)
    assert names(client) == {"welno": "guides_v2", "backup": "guides_v1"}
    # Another program asks by the name alone.
    found = client.query_points("welno", EMBEDDER.embed([TEXTS[0]])[0].tolist(), limit=1)
    assert len(found.points) == 1
    back = wherry.rollback("welno")
    assert back.notes == ("the name 'welno' of the server leads there too",)
    assert names(client) == {"welno": "guides_v1", "backup": "guides_v1"}


def test_a_route_that_went_by_such_a_name_keeps_its_way_back(
    sides: tuple[str, str], server: QdrantServer, client: QdrantClient
) -> None:
    called(client, "live", "guides_v1")
    made("welno", at(server, "live") + "?timeout=30")
    wherry.switch("welno", sides[1])
    assert names(client) == {"live": "guides_v2"}
    with Book() as book:
        assert book.require("welno").previous == at(server, "guides_v1") + "?timeout=30"
    put(sides[1], ["혈압은 아침에 잽니다"], first=3)
    back = wherry.rollback("welno")
    assert back.carried == 1
    assert names(client) == {"live": "guides_v1"}
    assert client.count("live").count == 4


def test_a_name_of_another_collection_is_left_alone(
    sides: tuple[str, str], server: QdrantServer, client: QdrantClient
) -> None:
    put(at(server, "other"), TEXTS[:1])
    called(client, "welno", "other")
    made("welno", sides[0])
    assert wherry.switch("welno", sides[1]).notes == ()
    assert names(client) == {"welno": "other"}


def test_a_server_that_moves_no_name_does_not_stop_a_switch(
    sides: tuple[str, str], server: QdrantServer, client: QdrantClient
) -> None:
    called(client, "welno", "guides_v1")
    made("welno", sides[0])
    server.fail(Failure(500, "on purpose", path="/collections/aliases", method="POST"))
    done = wherry.switch("welno", sides[1])
    assert done.leads_to == sides[1]
    assert "were not led there" in done.notes[0]
    assert names(client) == {"welno": "guides_v1"}


def test_between_two_engines_nothing_has_to_follow(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    assert wherry.switch("welno", new).notes == ()
