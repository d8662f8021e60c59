"""Vector indexes: the metric is read from them, and they are built after the load."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.stores.pgvector.pgtables import SPACE, batch, described, run, target
from wherry.errors import SpaceMismatch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.testing.samples import sample

HNSW = Index("hnsw")
OPERATORS = {Metric.COSINE: "cosine", Metric.L2: "l2", Metric.IP: "ip", Metric.L1: "l1"}


def made(pg: psycopg.Connection, name: str, kind: str = "vector(3)") -> str:
    """Make a table that is not of Wherry's making, with one row; return its address."""
    run(pg, f"CREATE TABLE @ (id text PRIMARY KEY, v {kind}, text text, metadata jsonb)", name)
    run(pg, "INSERT INTO @ VALUES ('a', '[1,2,3]')", name)
    return f"pgvector:#{name}"


def definitions(pg: psycopg.Connection, name: str) -> list[str]:
    """Return how the vector indexes of a table were made."""
    rows = pg.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'", [name])
    return [text for (text,) in rows]


@pytest.mark.parametrize("metric", list(Metric), ids=[str(m) for m in Metric])
@pytest.mark.parametrize("kind", ["vector", "halfvec"])
def test_metric_and_parameters_are_those_of_the_index(
    pg: psycopg.Connection, name: str, metric: Metric, kind: str
) -> None:
    where = made(pg, name, f"{kind}(3)")
    run(pg, f"CREATE INDEX ON @ USING hnsw (v {kind}_{OPERATORS[metric]}_ops) WITH (m = 7)", name)
    found = described(where)
    assert found.space == Space(dimension=3, metric=metric)
    assert found.index == Index("hnsw", 7, None)


def test_no_index_no_metric(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    assert described(where).space.metric is None
    assert described(f"{where}?metric=dot").space.metric is Metric.IP
    run(pg, "CREATE INDEX ON @ USING ivfflat (v vector_l2_ops) WITH (lists = 1)", name)
    assert described(where).index.kind == "ivfflat"
    with pytest.raises(SpaceMismatch, match="l2 / cosine"):
        described(f"{where}?metric=cosine")


def test_indexes_of_two_metrics_decide_nothing(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    for operators in ("vector_l2_ops", "vector_ip_ops"):
        run(pg, f"CREATE INDEX ON @ USING hnsw (v {operators})", name)
    found = described(where)
    assert found.space.metric is None
    assert any("several metrics" in note for note in found.notes)


@pytest.mark.parametrize("metric", list(Metric), ids=[str(m) for m in Metric])
def test_the_index_is_built_once_for_the_metric(pg: psycopg.Connection, name: str, metric: Metric) -> None:
    space = Space(dimension=3, metric=metric)
    with target(f"pgvector:#{name}") as store:
        store.prepare(space, HNSW, 1)
        assert definitions(pg, name) == []
        store.upsert(batch(("a", [1, 2, 3])), absent=True)
        for _ in range(2):
            store.finish(space, HNSW)
    (found,) = definitions(pg, name)
    assert f"vector_{OPERATORS[metric]}_ops" in found
    assert "WITH" not in found


def test_parameters_are_brought_within_bounds(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index("hnsw", 400, 10), 1)
        store.finish(SPACE, Index("hnsw", 400, 10))
        assert store.describe().index == Index("hnsw", 100, 200)


def test_an_unknown_metric_builds_nothing(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}") as store:
        store.prepare(Space(dimension=3), HNSW, 1)
        store.finish(Space(dimension=3), HNSW)
    assert definitions(pg, name) == []


@pytest.mark.parametrize(("dimension", "expected"), [(2000, "vector_ip_ops"), (2001, "halfvec(2001)"), (4001, "")])
def test_long_vectors_are_indexed_as_far_as_pgvector_can(
    pg: psycopg.Connection, name: str, dimension: int, expected: str
) -> None:
    space = Space(dimension=dimension, metric=Metric.IP)
    with target(f"pgvector:#{name}") as store:
        store.prepare(space, HNSW, 2)
        store.upsert(sample(2, dimension), absent=True)
        store.finish(space, HNSW)
        found = store.describe()
    assert [expected in text for text in definitions(pg, name)] == ([True] if expected else [])
    assert found.index.kind == ("hnsw" if expected else "none")
    assert found.space.metric is Metric.IP
    assert any("at most 4,000" in note for note in found.notes) == (not expected)


def test_a_live_table_is_indexed_without_locking_it(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    running = f"SELECT count(*) FROM pg_stat_activity WHERE query ~ 'CREATE INDEX CONCURRENTLY.*{name}'"
    with psycopg.connect(pg.info.dsn) as writer, target(where) as store, ThreadPoolExecutor(1) as pool:
        store.prepare(SPACE, HNSW, 1)
        # An open writer makes the build wait, long enough for its statement to be seen.
        run(writer, "INSERT INTO @ VALUES ('b', '[1,2,4]')", name)
        finished = pool.submit(store.finish, SPACE, HNSW)
        deadline = time.monotonic() + 10
        while pg.execute(running).fetchone() == (0,) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not finished.done()
        run(pg, "INSERT INTO @ VALUES ('c', '[1,2,5]')", name)
        writer.commit()
        finished.result(timeout=20)
        assert store.describe().index.kind == "hnsw"


def test_an_invalid_index_is_told_and_rebuilt(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    run(pg, "CREATE INDEX broken ON @ USING hnsw (v vector_cosine_ops)", name)
    pg.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")
    assert any("broken is invalid" in note for note in described(where).notes)
    with target(where) as store:
        store.prepare(Space(dimension=3), Index(), 1)
        store.finish(Space(dimension=3), Index())
        assert not any("invalid" in note for note in store.describe().notes)
    (found,) = definitions(pg, name)
    assert "broken" not in found


def test_a_partial_index_is_told_and_does_not_count(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    run(pg, "CREATE INDEX ON @ USING hnsw (v vector_cosine_ops) WHERE id > 'x'", name)
    assert any("some rows only" in note for note in described(where).notes)
    with target(where) as store:
        store.prepare(SPACE, HNSW, 1)
        store.finish(SPACE, HNSW)
    assert len(definitions(pg, name)) == 2


def test_a_column_without_a_dimension_is_indexed_by_its_records(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name, "vector")
    with target(where) as store:
        store.prepare(SPACE, HNSW, 1)
        store.finish(SPACE, HNSW)
        assert store.describe().index.kind == "hnsw"
    assert "vector(3)" in definitions(pg, name)[0]


def test_finish_lets_the_planner_know(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 9)
        store.upsert(batch(*[(str(n), [1, 2, n]) for n in range(9)]), absent=True)
        store.finish(SPACE, Index())
    assert pg.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [name]).fetchone() == (9,)


def test_a_card_of_a_dropped_table_is_not_believed(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}") as store:
        store.prepare(Space(dimension=3, metric=Metric.IP, model="m"), Index(), 1)
    run(pg, "DROP TABLE @", name)
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, embedding vector(3))", name)
    found = described(f"pgvector:#{name}")
    assert found.space == Space(dimension=3)
    assert any("earlier table" in note for note in found.notes)


def test_rows_of_an_unknown_space_get_no_card(pg: psycopg.Connection, name: str) -> None:
    where = made(pg, name)
    with target(where) as store:
        store.prepare(Space(dimension=3, metric=Metric.IP, model="m"), Index(), 1)
        store.finish(Space(dimension=3, metric=Metric.IP, model="m"), Index())
    assert described(where).space == Space(dimension=3)


def test_a_switch_is_one_step_and_cards_go_along(pg: psycopg.Connection, name: str) -> None:
    for table, model in ((name, "old"), (f"{name}n", "new")):
        with target(f"pgvector:#{table}") as store:
            store.prepare(Space(dimension=3, metric=Metric.IP, model=model), Index(), 1)
    with pg.transaction():
        run(pg, f"ALTER TABLE @ RENAME TO {name}o", name)
        run(pg, f"ALTER TABLE {name}n RENAME TO @", name)
    assert described(f"pgvector:#{name}").space.model == "new"
    assert described(f"pgvector:#{name}o").space.model == "old"
