"""Conditions on columns of a table, and tables with more than one vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

import wherry
from tests.stores.pgvector.pgtables import run, source
from wherry.stores.pgvector.filters import Filter, leading
from wherry.where import matches, parse

ROWS = 400
_QUERY = np.array([1.0, 0.2, 0.1], np.float32)


@pytest.fixture
def table(pg: psycopg.Connection, name: str) -> Iterator[str]:
    """A table of many persons' rows: whose, a word, a flag that may be null, JSON beside, and two vectors."""
    run(pg, "CREATE TABLE @ (id serial PRIMARY KEY, user_id int NOT NULL, word varchar(20), flag bool, held jsonb,"
            " short vector(2), embedding vector(3))", name)  # fmt: skip
    run(pg, "INSERT INTO @ (user_id, word, flag, held, short, embedding) SELECT i % 40, CASE WHEN i % 3 = 0 THEN NULL"
            " ELSE 'w' || i % 5 END, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 2 = 0 END,"
            " jsonb_build_object('word', 'of json', 'user_id', -1, 'made', jsonb_build_object('by', 'm' || i % 2)),"
            " ARRAY[i % 7, 1]::vector, ARRAY[i % 11, i % 5, 1]::vector"
            " FROM generate_series(1, 400) AS i", name)  # fmt: skip
    # The first index of a vector is the other column's.
    run(pg, "CREATE INDEX ON @ USING hnsw (short vector_cosine_ops)", name)
    run(pg, "CREATE INDEX ON @ USING hnsw (embedding vector_cosine_ops)", name)
    run(pg, "CREATE INDEX ON @ (user_id, id)", name)
    run(pg, "ANALYZE @", name)
    yield f"pgvector:?id=id&vector=embedding&text=&metadata=held&fields=user_id,word,flag#{name}"
    run(pg, "DROP TABLE @", name)


def _all(address: str) -> dict[str, dict[str, Any]]:
    with source(address) as store:
        return {r.id: r.metadata or {} for page in store.scan() for r in wherry.to_records(page.records)}


@pytest.mark.parametrize(
    "where",
    [
        {"user_id": 7},
        {"user_id": 7.0},
        {"user_id": 7.5},
        {"user_id": True},
        {"user_id": "7"},
        {"user_id": -1},
        {"user_id": {"$in": [3, 5, "x"]}},
        {"user_id": {"$ne": 7}},
        {"user_id": {"$nin": [7, 8]}},
        {"user_id": {"$gte": 38}},
        {"user_id": {"$exists": True}},
        {"user_id": 10**30},
        {"user_id": 7, "made.by": "m1"},
        {"word": "w1"},
        {"word": "of json"},
        {"word": {"$ne": "w1"}},
        {"flag": True},
        {"flag": {"$exists": False}},
        {"$or": [{"user_id": 7}, {"word": "w2"}]},
    ],
)
def test_a_column_decides_as_the_metadata_would(table: str, where: dict[str, Any]) -> None:
    condition = parse(where)
    expected = {i for i, metadata in _all(table).items() if matches(condition, metadata)}
    with source(table) as store:
        found = wherry.search(_QUERY, in_=store, k=ROWS, where=where)
    assert {hit.id for hit in found} == expected


def test_rows_of_one_person_are_found_by_the_index_of_the_column(table: str) -> None:
    with source(table) as store:
        ground = store._searching._now().ground
    assert ground.led == {"user_id"}
    # `word` and `flag` may be null, and then the JSON speaks.
    assert set(ground.direct) == {"user_id"}


def test_the_index_of_another_vector_is_not_taken(table: str) -> None:
    with source(table) as store:
        ground = store._searching._now().ground
        assert ground.index is not None
        assert ground.index.expression == "embedding"
        assert len(wherry.search(_QUERY, in_=store, k=5)) == 5


def test_k_of_one_persons_rows_come_although_others_are_nearer(table: str) -> None:
    with source(table) as store:
        found = wherry.search(_QUERY, in_=store, k=10, where={"user_id": 7})
        true = wherry.search(_QUERY, in_=store, k=10, where={"user_id": 7}, exact=True)
    assert len(found) == 10
    assert [hit.id for hit in found] == [hit.id for hit in true]
    assert {hit.metadata["user_id"] for hit in found} == {7}


def test_a_key_of_the_json_is_asked_of_the_json_alone(table: str) -> None:
    with source(table) as store:
        ground = store._searching._now().ground
    filtered = Filter(ground.metadata or "", 2, direct=ground.direct, held=ground.held, fields=ground.fields)
    assert "jsonb_build_object" not in filtered.condition(parse({"made.by": "m1"}))
    assert ground.held in filtered.condition(parse({"made.by": "m1"}))
    # `word` is a column that may be null: both have a say.
    assert ground.held not in filtered.condition(parse({"word": "w1"}))


@pytest.mark.parametrize(
    ("where", "part"),
    [
        ({"user_id": 7}, {"user_id": 7}),
        ({"user_id": 7, "made.by": "m1"}, {"$and": [{"user_id": 7}]}),
        ({"made.by": "m1"}, None),
        ({"$or": [{"user_id": 7}, {"made.by": "m1"}]}, None),
        ({"$or": [{"user_id": 7}, {"user_id": 8}]}, {"$or": [{"user_id": 7}, {"user_id": 8}]}),
        ({"$not": {"user_id": 7}}, None),
    ],
)
def test_the_part_of_a_condition_that_an_index_of_a_column_serves(
    where: dict[str, Any], part: dict[str, Any] | None
) -> None:
    assert leading(parse(where), frozenset({"user_id"})) == (None if part is None else parse(part))
