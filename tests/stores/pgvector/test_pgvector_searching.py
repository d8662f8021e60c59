"""Searching a table: its index, its exact way, conditions that can never become SQL, many threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.stores.pgvector.pgtables import run, source, target
from wherry.errors import UnknownMetric, Usage, WrongDimension
from wherry.postgres import server
from wherry.record import Record, from_records, make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.exact import Whole, checked
from wherry.stores.pgvector import PgSource
from wherry.testing.conditions import conditions, metadata
from wherry.where import Compare, Where, decode, matches, parse

pytestmark = pytest.mark.usefixtures("shared_home")
HNSW = Index("hnsw", 8, 40)


def filled(address: str, records: list[Record], metric: Metric = Metric.COSINE, index: Index | None = None) -> None:
    """Write records, and build an index where one is asked for."""
    space = Space(len(records[0].vector), metric)
    with target(address) as store:
        store.prepare(space, index or Index(), len(records))
        store.upsert(from_records(records))
        store.finish(space, index or Index())


def clustered(count: int, dimension: int = 16, seed: int = 5) -> np.ndarray:
    """Return unit vectors around a few centres: float32, shape (count, dimension)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, dimension))
    found = centres[rng.integers(0, 20, count)] + rng.normal(size=(count, dimension)) * 0.6
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def large(shared_home: Any) -> tuple[str, np.ndarray, list[dict[str, Any]]]:
    """The address of 3,000 indexed records, their vectors, and their metadata."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        server.start()
        vectors = clustered(3_000)
        held = [{"n": i, "쪽": i % 50, "lang": "ko" if i % 2 else "en", "tags": [f"t{i % 7}"]} for i in range(3_000)]
        with target("pgvector:#searched_large") as store:
            store.prepare(Space(16, Metric.COSINE), HNSW, 3_000)
            texts = [json.dumps(each, ensure_ascii=False) for each in held]
            store.upsert(
                make_batch([f"r{i:04d}" for i in range(3_000)], vectors, [f"글 {i}" for i in range(3_000)], texts)
            )
            store.finish(Space(16, Metric.COSINE), HNSW)
    return "pgvector:#searched_large", vectors, held


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("index", [None, HNSW], ids=["exact", "hnsw"])
def test_every_metric_agrees_with_plain_arithmetic(
    pg: psycopg.Connection, name: str, metric: Metric, index: Index | None
) -> None:
    records = [Record(f"r{i:02d}", vector.tolist(), f"글 {i}", {"i": i}) for i, vector in enumerate(clustered(60, 4))]
    filled(f"pgvector:#{name}", records, metric, index)
    whole = Whole(from_records(records))
    with source(f"pgvector:#{name}?metric={metric}") as store:
        for wanted in clustered(5, 4, seed=9):
            expected = whole.search(checked(wanted, 7, Space(4, metric), "here"))
            found = store.search(wanted, 7)
            assert [hit.id for hit in found] == [hit.id for hit in expected]
            assert [h.distance for h in found] == pytest.approx([h.distance for h in expected], abs=1e-5)
            assert [h.similarity for h in found] == pytest.approx([h.similarity for h in expected], abs=1e-5)
            assert (found[0].text, json.loads(found[0].metadata or "")) == (
                expected[0].text,
                json.loads(expected[0].metadata or ""),
            )
            assert found[0].metric is metric


def test_a_table_that_says_no_metric_is_not_searched(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(2))", name)
    with source(f"pgvector:#{name}") as store, pytest.raises(UnknownMetric, match="metric"):
        store.search(np.ones(2), 1)
    with source(f"pgvector:#{name}?metric=l2") as store:
        assert store.search(np.ones(2), 1) == []


@pytest.mark.parametrize("kind", ["vector(3)", "halfvec(3)", "vector"])
@pytest.mark.parametrize("index", ["", "hnsw", "ivfflat"])
def test_columns_and_indexes_of_other_people(pg: psycopg.Connection, name: str, kind: str, index: str) -> None:
    run(pg, f"CREATE TABLE @ (pk int PRIMARY KEY, v {kind}, body text, extra json)", name)
    rows = [
        (1, "[1,0,0]", "하나", '{"a": 1.0}'),
        (2, "[0,1,0]", "둘", None),
        (3, None, "셋", None),
        (4, "[0,0,0]", "넷", "{}"),
    ]
    for row in rows:
        run(pg, "INSERT INTO @ VALUES (%s, %s, %s, %s)", name, *row)
    operators = "halfvec_cosine_ops" if kind.startswith("half") else "vector_cosine_ops"
    column = "(v::vector(3))" if kind == "vector" else "v"
    if index:
        options = " WITH (lists = 1)" if index == "ivfflat" else ""
        run(pg, f"CREATE INDEX ON @ USING {index} ({column} {operators}){options}", name)
    with source(f"pgvector:#{name}?text=body&metric=cosine") as store:
        wanted = np.array([1.0, 0.1, 0.0])
        found = store.search(wanted, 3)
        assert [hit.id for hit in found] == ["1", "2", "4"]
        assert [hit.text for hit in found] == ["하나", "둘", "넷"]
        assert found[2].distance == 1
        assert [hit.id for hit in store.search(wanted, 3, Compare("a", "eq", 1))] == ["1"]
        assert [hit.id for hit in store.search(wanted, 3, Compare("a", "exists", False))] == [
            "2",
            "4",
        ]


def test_more_than_two_thousand_dimensions_are_searched_by_halves_and_ranked_in_full(
    pg: psycopg.Connection, name: str
) -> None:
    vectors = clustered(40, 2_050)
    records = [Record(f"r{i}", v) for i, v in enumerate(vectors)]
    filled(f"pgvector:#{name}", records, index=HNSW)
    with source(f"pgvector:#{name}") as store:
        assert isinstance(store, PgSource)
        expected = Whole(from_records(records)).search(checked(vectors[3], 5, Space(2_050, Metric.COSINE), ""))
        found = store.search(vectors[3], 5)
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert [hit.distance for hit in found] == pytest.approx([hit.distance for hit in expected], abs=1e-6)


def test_an_index_of_bits_is_ranked_again_by_the_whole_vectors(pg: psycopg.Connection, name: str) -> None:
    records = [Record(f"r{i}", v) for i, v in enumerate(clustered(300, 32))]
    filled(f"pgvector:#{name}", records)
    run(pg, "CREATE INDEX ON @ USING hnsw ((binary_quantize(embedding)::bit(32)) bit_hamming_ops)", name)
    with source(f"pgvector:#{name}") as store:
        statement = store._searching._now().statements.nearest(5, None, 1)
        assert "binary_quantize" in statement
        for wanted in clustered(300, 32)[:5]:
            expected = Whole(from_records(records)).search(checked(wanted, 5, Space(32, Metric.COSINE), ""))
            assert len({hit.id for hit in store.search(wanted, 5)} & {hit.id for hit in expected}) >= 4


def test_the_settings_hold_before_the_index_is_asked_and_for_the_statement_alone(large: Any) -> None:
    address, vectors, _ = large
    with source(address) as store:
        store.search(vectors[0], 5)
        known = store._searching._now()
        assert known.ground.index is not None
        assert known.ground.contained
        assert {"n", "쪽"} <= known.ground.ordered
        with store._searching._pool.connection() as connection:
            from wherry.stores.pgvector.searching import Asked

            statement = "EXPLAIN " + known.statements.nearest(5, None, 1)
            plan = "\n".join(r[0] for r in connection.execute(statement.encode(), [Asked.of(vectors[0])]))
            assert "Index Scan using" in plan
            assert plan.index("One-Time Filter") < plan.index("Index Scan using")
            assert connection.execute("SHOW hnsw.ef_search").fetchone() == ("40",)
            # The library is loaded, so a setting that is not there cannot pass unnoticed.
            with pytest.raises(psycopg.errors.InvalidName):
                connection.execute("SELECT set_config('hnsw.ef_serach', '10', true)")


def test_a_larger_breadth_of_the_server_counts_until_one_was_measured(large: Any) -> None:
    with source(large[0]) as store:
        statement = store._searching._now().statements.nearest(5, None, 1)
        with store._searching._pool.connection() as connection:
            for role, expected in (("40", "100"), ("300", "300")):
                connection.execute(f"SET hnsw.ef_search = {role}".encode())
                inner = statement.partition("(SELECT ")[2].partition(" AS done")[0].partition(" || ")[0]
                assert connection.execute(f"SELECT {inner}".encode()).fetchone() == (expected,)
            connection.execute("RESET hnsw.ef_search")


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ({"n": {"$lt": 30}}, 0.01),
        ({"n": {"$lt": 300}}, 0.1),
        ({"lang": "ko"}, 0.5),
        ({"쪽": 7}, 0.02),
        ({"tags": {"$in": ["t1", "t2"]}}, 2 / 7),
        ({"$not": {"lang": "ko"}}, 0.5),
        ({"$not": {"n": {"$gte": 30}}}, 0.01),
        ({"n": 17}, 1 / 3_000),
    ],
)
def test_k_rows_come_under_every_condition(large: Any, condition: dict[str, Any], part: float) -> None:
    address, vectors, held = large
    where = parse(condition)
    fitting = np.flatnonzero([matches(where, each) for each in held])
    assert len(fitting) == pytest.approx(part * 3_000, rel=0.05)
    found = total = 0
    with source(address) as store:
        for wanted in clustered(20, seed=8):
            hits = store.search(wanted, 10, where)
            order = fitting[np.argsort(-(vectors[fitting] @ wanted), kind="stable")][:10]
            assert len(hits) == len(order)
            assert all(matches(where, decode(hit.metadata)) for hit in hits)
            assert [h.distance for h in hits] == sorted(h.distance for h in hits)
            found += len({hit.id for hit in hits} & {f"r{row:04d}" for row in order})
            total += len(order)
    assert found / total >= 0.95


def test_more_than_there_are_and_more_than_an_index_gives(large: Any) -> None:
    address, vectors, _ = large
    with source(address) as store:
        assert len(store.search(vectors[0], 2_000)) == 2_000
        assert len({hit.id for hit in store.search(vectors[0], 5_000)}) == 3_000
        assert len(store.search(vectors[0], 100, Compare("lang", "eq", "ko"), exact=True)) == 100


def test_a_query_that_does_not_fit(large: Any) -> None:
    with source(large[0]) as store:
        with pytest.raises(WrongDimension, match="16"):
            store.search(np.ones(3), 1)
        with pytest.raises(Usage, match="zero"):
            store.search(np.zeros(16), 1)


def test_many_threads_search_one_store(large: Any) -> None:
    address, vectors, _ = large
    with source(address) as store, ThreadPoolExecutor(32) as threads:
        wheres = [None, Compare("lang", "eq", "ko"), Compare("n", "lt", 20)]
        jobs = [threads.submit(store.search, vectors[i], 5, wheres[i % 3]) for i in range(320)]
        assert all(len(job.result()) == 5 for job in jobs)
        assert len(store._searching._pool._idle) <= 10


def test_a_search_goes_on_after_its_connections_were_ended(large: Any, pg: psycopg.Connection) -> None:
    address, vectors, _ = large
    with source(address) as store:
        before = store.search(vectors[1], 3)
        pg.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND application_name = 'wherry'"
        )
        assert store.search(vectors[1], 3) == before


def test_what_changes_in_the_table_is_noticed(pg: psycopg.Connection, name: str) -> None:
    filled(f"pgvector:#{name}", [Record("a", [1.0, 0.0], "t", {"p": 1}), Record("b", [0.0, 1.0])])
    with source(f"pgvector:#{name}") as store:
        assert [hit.id for hit in store.search(np.array([1.0, 0.0]), 5)] == ["a", "b"]
        run(pg, "ALTER TABLE @ RENAME COLUMN metadata TO attributes", name)
        assert [hit.id for hit in store.search(np.array([1.0, 0.0]), 5, Compare("p", "eq", 1))] == ["a"]


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("kind", ["jsonb", "json"])
def test_conditions_agree_with_the_reference_and_nothing_becomes_sql(
    pg: psycopg.Connection, name: str, kind: str
) -> None:
    """Hypothesis draws rows and conditions full of quotes, percent signs, semicolons, NUL and other languages."""
    run(pg, f"CREATE TABLE @ (id text PRIMARY KEY, embedding vector(1), text text, metadata {kind})", name)

    @settings(max_examples=60)
    @given(st.lists(metadata(nul=False), min_size=1, max_size=12), st.lists(conditions(), min_size=1, max_size=6))
    def agree(rows: list[dict[str, Any] | None], wheres: list[Where]) -> None:
        texts = {f"r{i}": None if row is None else json.dumps(row) for i, row in enumerate(rows)}
        run(pg, "TRUNCATE @", name)
        with pg.cursor() as cursor:
            into = sql.SQL("INSERT INTO {} VALUES (%s, '[1]', NULL, %s)").format(sql.Identifier(name))
            cursor.executemany(into, list(texts.items()))
        for where in wheres:
            expected = {i for i, text in texts.items() if matches(where, decode(text))}
            found = {hit.id for hit in store.search(np.ones(1), 100, where)}
            assert found == expected, where

    with source(f"pgvector:#{name}?metric=l2") as store:
        agree()


@settings(max_examples=100)
@given(key=st.text(), value=st.text())
def test_any_key_and_value_is_data(shared_home: Any, key: str, value: str) -> None:
    statement_of = Compare(key, "eq", value), Compare(key, "gt", value), Compare(key, "in", (value, 1))
    from wherry.stores.pgvector.filters import Filter

    for where in statement_of:
        made = Filter('"metadata"', 2)
        text = made.condition(where)
        assert set(text) <= set(""" abcdefghijklmnopqrstuvwxyzANYISULOTRDCEHW"'$0123456789()[]@>=<:-?*._|&,""")
        assert len(value) < 8 or value not in text


def test_what_jsonb_cannot_hold_is_decided_by_the_reference(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(1), metadata json)", name)
    run(pg, "INSERT INTO @ VALUES ('a', '[1]', %s), ('b', '[2]', %s)", name, '{"t": "x\\u0000y"}', '{"t": "x"}')
    with source(f"pgvector:#{name}?metric=l2") as store:
        assert [hit.id for hit in store.search(np.ones(1), 5, Compare("t", "eq", "x\x00y"))] == ["a"]
        assert [hit.id for hit in store.search(np.ones(1), 5, Compare("t", "gt", "x"))] == ["a"]


def test_a_partitioned_table_is_searched_by_its_index(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, v vector(16), metadata jsonb) PARTITION BY HASH (id)", name)
    for part in range(2):
        run(pg, f"CREATE TABLE {name}_{part} PARTITION OF @ FOR VALUES WITH (MODULUS 2, REMAINDER {part})", name)
    vectors = clustered(400)
    with pg.cursor() as cursor:
        into = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(name))
        cursor.executemany(into, [(f"r{i}", str(v.tolist()), f'{{"n": {i}}}') for i, v in enumerate(vectors)])
    run(pg, "CREATE INDEX ON @ USING hnsw (v vector_cosine_ops)", name)
    with source(f"pgvector:#{name}") as store:
        assert [hit.id for hit in store.search(vectors[7], 1)] == ["r7"]
        assert store._searching._now().ground.index is not None
        assert [hit.id for hit in store.search(vectors[7], 5, Compare("n", "lt", 3))] != []
        assert {hit.id for hit in store.search(vectors[7], 5, Compare("n", "lt", 3))} == {"r0", "r1", "r2"}
        run(pg, "ANALYZE @", name)
        store._searching.forget()
        store.search(vectors[7], 1)
        assert store._searching._now().ground.rows == 400


def test_a_table_in_a_schema_of_its_own_with_odd_names(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE SCHEMA @", name)
    table = f'"{name}"."od""d; $1 %s"'
    pg.execute(f'CREATE TABLE {table} ("i d" text PRIMARY KEY, "vec""tor" vector(2), "ma$$p" jsonb)'.encode())
    pg.execute(f"""INSERT INTO {table} VALUES ('a''b', '[1,0]', '{{"k": 1}}'), ('c', '[0,1]', NULL)""".encode())
    pg.execute(f'CREATE INDEX ON {table} USING hnsw ("vec""tor" vector_cosine_ops)'.encode())
    odd = quote('od"d; $1 %s')
    address = f"pgvector:#{odd}?schema={name}&metadata=ma%24%24p&id=i%20d"
    with source(address) as store:
        assert [hit.id for hit in store.search(np.array([1.0, 0.0]), 2)] == ["a'b", "c"]
        assert [hit.id for hit in store.search(np.array([1.0, 0.0]), 2, Compare("k", "eq", 1))] == ["a'b"]
