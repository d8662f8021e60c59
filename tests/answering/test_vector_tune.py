"""Tuning: measured against exact search on the real engine, chosen by rule, written down, and in use when applied."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import psycopg
import pytest

import wherry
from wherry.answering.tune import Tried, chosen_of
from wherry.cli import main
from wherry.errors import UnknownMetric, Unsupported, Usage
from wherry.record import make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.pgvector import PgSource
from wherry.stores.registry import open_source, open_target

pytestmark = pytest.mark.usefixtures("shared_home")
SMALL = ((8, 40), (16, 64))


def filled(address: str, count: int = 600, dimension: int = 24, metric: Metric = Metric.COSINE) -> np.ndarray:
    """Write clustered vectors; return them."""
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(12, dimension))
    vectors = (centres[rng.integers(0, 12, count)] + 0.7 * rng.normal(size=(count, dimension))).astype(np.float32)
    store = open_target(address)
    space = Space(dimension, metric)
    store.prepare(space, Index("hnsw", 8, 40), count)
    ids = [f"기록-{i}" for i in range(count)]
    store.upsert(make_batch(ids, vectors, [f"글 {i}" for i in range(count)], [None] * count))
    store.finish(space, Index("hnsw", 8, 40))
    store.close()
    return vectors


def tables(pg: psycopg.Connection) -> set[str]:
    """Return the tables that a trial could have left."""
    return {row[0] for row in pg.execute("SELECT relname FROM pg_class WHERE relname LIKE 'wherry_tune_%'")}


def test_a_curve_is_measured_and_written_and_nothing_is_left(pg: psycopg.Connection, name: str) -> None:
    filled(f"pgvector:#{name}")
    before = tables(pg)
    found = wherry.tune(f"pgvector:#{name}", 0.95, 5, rows=400, questions=20, graphs=SMALL)
    assert (found.rows, found.of, found.questions, found.applied) == (400, 600, 20, False)
    assert {each.form for each in found.tried} == {"full", "half", "bits"}
    assert {(each.m, each.ef_construction) for each in found.tried} == set(SMALL)
    for each in found.tried:
        assert 0 <= each.recall <= 1
        assert 0 < each.ms <= each.p95_ms
        assert each.bytes > 0
    assert found.chosen == chosen_of(found.tried, 0.95)
    assert found.chosen is not None
    assert found.chosen.recall >= 0.95
    written = json.loads(Path(found.files[0]).read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(found.to_dict()))
    drawing = ET.fromstring(Path(found.files[1]).read_text(encoding="utf-8"))
    lines = [node for node in drawing.iter() if node.tag.endswith("polyline")]
    assert len(lines) == 3 * len(SMALL)
    assert tables(pg) == before


def test_more_breadth_finds_no_less(name: str) -> None:
    filled(f"pgvector:#{name}")
    found = wherry.tune(f"pgvector:#{name}", 1.0, 10, rows=500, questions=30, graphs=((4, 8),))
    curve = [each.recall for each in found.tried if each.form == "full"]
    assert curve == sorted(curve)
    assert curve[-1] > 0.95


def test_what_is_chosen_is_built_and_used(pg: psycopg.Connection, name: str) -> None:
    vectors = filled(f"pgvector:#{name}")
    store = open_source(f"pgvector:#{name}")
    assert isinstance(store, PgSource)
    store.search(vectors[0], 3)
    found = wherry.tune(store, 0.9, 5, rows=600, questions=20, graphs=((12, 48),), apply=True)
    assert found.applied
    assert found.chosen is not None
    index = store._searching._now().ground.index
    assert index is not None
    assert index.breadth == found.chosen.ef_search
    assert store.describe().index == Index("hnsw", 12, 48)
    assert [hit.id for hit in store.search(vectors[7], 1)] == ["기록-7"]
    names = pg.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'", [name])
    assert len(names.fetchall()) == 1
    store.close()


@pytest.mark.parametrize("metric", [Metric.L2, Metric.IP])
def test_only_what_the_metric_allows_is_tried(name: str, metric: Metric) -> None:
    filled(f"pgvector:#{name}", 120, 8, metric)
    found = wherry.tune(f"pgvector:#{name}?metric={metric}", 0.9, 3, rows=100, questions=5, graphs=((8, 40),))
    assert {each.form for each in found.tried} == {"full", "half"}


def test_a_recall_that_nothing_reaches_chooses_nothing() -> None:
    few = Tried("full", 8, 64, 10, 0.9, 1.0, 2.0, 100, 0.1)
    assert chosen_of([few], 0.95) is None


def test_of_equally_fast_ones_the_smallest_is_chosen() -> None:
    large = Tried("full", 16, 64, 40, 0.99, 1.00, 2.0, 1_000, 0.1)
    small = Tried("half", 16, 64, 40, 0.98, 1.03, 2.0, 500, 0.1)
    slow = Tried("bits", 16, 64, 40, 1.00, 1.50, 2.0, 100, 0.1)
    wrong = Tried("bits", 8, 64, 10, 0.50, 0.10, 2.0, 50, 0.1)
    assert chosen_of([large, small, slow, wrong], 0.95) == small
    assert chosen_of([large, slow], 0.995) == slow


def test_what_cannot_be_tuned_says_why(pg: psycopg.Connection, name: str) -> None:
    filled(f"memory:#{name}", 10, 4)
    with pytest.raises(Unsupported, match="cannot be tuned"):
        wherry.tune(f"memory:#{name}")
    with pytest.raises(Usage, match="recall"):
        wherry.tune(f"memory:#{name}", 1.5)
    with pytest.raises(Usage, match="at least 1"):
        wherry.tune(f"memory:#{name}", k=0)
    pg.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, embedding vector(3))")
    with pytest.raises(UnknownMetric):
        wherry.tune(f"pgvector:#{name}")
    with pytest.raises(Unsupported, match="nothing to measure"):
        wherry.tune(f"pgvector:#{name}?metric=l2")


def test_the_command_shows_the_verdict_and_what_to_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    filled(f"pgvector:#{name}", 150, 8)
    arguments = ["tune", f"pgvector:#{name}", "--recall", "0.9", "-k", "3", "--rows", "100", "--questions", "10"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "chosen, not built" in said
    assert f"next: wherry tune pgvector:#{name} --recall 0.9 -k 3 --apply" in said
    assert "100 of 150 records" in said
    assert main([*arguments, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["chosen"]["recall"] >= 0.9
    assert len(value["tried"]) >= 12
