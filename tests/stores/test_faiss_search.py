"""Searching: what comes back is what comparing everything gives, however it was found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import wherry
from tests.stores.faiss_kit import DATA, DIMENSION, made, vectors
from wherry.errors import UnknownMetric, Usage, WrongDimension
from wherry.record import make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Hit, Index, Searchable
from wherry.stores.exact import checked, search_pages
from wherry.stores.registry import open_source, open_target
from wherry.testing.samples import sample
from wherry.where import parse

ROWS = 600
GRAPH = Index("hnsw", 16, 80)


def _shelf(rows: int = ROWS) -> pa.RecordBatch:
    """Return records of which one in fifty is about blood pressure."""
    metadata = [
        json.dumps({"topic": "혈압" if n % 50 == 7 else "수면", "page": n, "tag": {"deep": n % 3}}, ensure_ascii=False)
        for n in range(rows)
    ]
    plain = sample(rows, DIMENSION)
    return make_batch(plain["id"], vectors(rows), plain["text"], metadata)


def _searchable(address: str) -> Searchable:
    source = open_source(address)
    assert isinstance(source, Searchable)
    return source


def _same(found: list[Hit], wanted: list[Hit]) -> None:
    assert [hit.id for hit in found] == [hit.id for hit in wanted]
    assert np.allclose([hit.distance for hit in found], [hit.distance for hit in wanted], rtol=1e-5, atol=1e-6)
    assert [(hit.text, hit.metadata, hit.metric) for hit in found] == [(h.text, h.metadata, h.metric) for h in wanted]


@pytest.mark.parametrize("index", [Index(), GRAPH], ids=["flat", "graph"])
@pytest.mark.parametrize("metric", list(Metric))
def test_exact_search_is_a_comparison_with_all(tmp_path: Path, metric: Metric, index: Index) -> None:
    source = _searchable(made(f"faiss:{tmp_path}#모음", _shelf(), metric, index))
    for query in vectors(6, seed=11):
        wanted = search_pages(source.scan(), checked(query, 10, Space(DIMENSION, metric), ""))
        _same(source.search(query, 10, exact=True), wanted)
        _same(
            source.search(query, ROWS + 5),
            search_pages(source.scan(), checked(query, ROWS, Space(DIMENSION, metric), "")),
        )
    source.close()


def test_graph_finds_nearly_all_without_being_exact(tmp_path: Path) -> None:
    source = _searchable(made(f"faiss:{tmp_path}#모음", _shelf(), Metric.COSINE, GRAPH))
    hits = total = 0
    for query in vectors(20, seed=12):
        wanted = {hit.id for hit in source.search(query, 10, exact=True)}
        hits += len(wanted & {hit.id for hit in source.search(query, 10)})
        total += 10
    assert hits / total > 0.95
    source.close()


@pytest.mark.parametrize("index", [Index(), GRAPH], ids=["flat", "graph"])
@pytest.mark.parametrize(
    "condition",
    [
        {"topic": "혈압"},
        {"page": {"$lt": 300}},
        {"$or": [{"page": 5}, {"tag.deep": 2}]},
        {"topic": "없음"},
        {"page": {"$gte": 599}},
    ],
    ids=["few", "half", "third", "none", "one"],
)
def test_condition_gives_k_where_k_satisfy(tmp_path: Path, index: Index, condition: dict) -> None:
    source = _searchable(made(f"faiss:{tmp_path}#모음", _shelf(), Metric.COSINE, index))
    where = parse(condition)
    for query in vectors(3, seed=13):
        wanted = search_pages(source.scan(), checked(query, 8, Space(DIMENSION, Metric.COSINE), ""), where)
        found = source.search(query, 8, where, exact=True)
        _same(found, wanted)
        assert len(source.search(query, 8, where)) == len(wanted)
    source.close()


def test_ties_are_ordered_by_id(tmp_path: Path) -> None:
    """A hundred equal vectors: the same ten come back each time, those with the first ids."""
    data = vectors(200)
    data[50:150] = data[50]
    plain = sample(200, DIMENSION)
    order = np.random.default_rng(2).permutation(200)
    batch = make_batch(plain["id"].take(pa.array(order)), data, plain["text"], plain["metadata"])
    for name, index in (("flat", Index()), ("graph", GRAPH)):
        source = _searchable(made(f"faiss:{tmp_path}#{name}", batch, Metric.L2, index))
        wanted = sorted(batch["id"].to_pylist()[50:150])[:10]
        assert [hit.id for hit in source.search(data[50], 10, exact=True)] == wanted
        source.close()


def test_scores_are_those_of_the_convention(tmp_path: Path) -> None:
    batch = make_batch(["a", "b"], np.array([[2, 0], [0, 3]], dtype=np.float32), ["가", None], ['{"n": 1}', None])
    wanted = {
        Metric.COSINE: (1.0, 0.0),
        Metric.L2: (-1.0, -np.sqrt(10)),
        Metric.IP: (2.0, 0.0),
        Metric.L1: (-1.0, -4.0),
    }
    for metric, (near, far) in wanted.items():
        source = _searchable(made(f"faiss:{tmp_path}#{metric}", batch, metric))
        hits = source.search(np.array([1, 0], dtype=np.float32), 2)
        assert [hit.id for hit in hits] == ["a", "b"]
        assert np.allclose([hit.similarity for hit in hits], [near, far])
        assert (hits[0].text, hits[0].metadata, hits[1].text) == ("가", '{"n": 1}', None)
        source.close()


def test_target_finds_what_is_staged(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", _shelf(), Metric.L2, GRAPH)
    store = open_target(address)
    assert isinstance(store, Searchable)
    fresh = make_batch(["새것"], vectors(1, seed=99), ["새 글"], [None])
    query = vectors_of(fresh)[0]
    assert store.search(query, 1)[0].id != "새것"
    store.upsert(fresh)
    assert (store.search(query, 1)[0].id, store.search(query, 1)[0].distance) == ("새것", 0.0)
    store.finish(Space(DIMENSION, Metric.L2), Index())
    assert store.search(query, 1)[0].id == "새것"
    store.delete(pa.array(["새것"]))
    assert store.search(query, 1)[0].id != "새것"
    store.close()


def test_bad_questions(tmp_path: Path) -> None:
    source = _searchable(made(f"faiss:{tmp_path}#모음", _shelf(20), Metric.COSINE))
    with pytest.raises(WrongDimension):
        source.search(np.ones(DIMENSION + 1, dtype=np.float32), 3)
    for vector, k in ((np.full(DIMENSION, np.nan), 3), (np.zeros(DIMENSION), 3), (np.ones(DIMENSION), 0)):
        with pytest.raises(Usage):
            source.search(vector, k)
    source.close()
    store = open_target(f"faiss:{tmp_path}#없음")
    with pytest.raises(UnknownMetric):
        store.search(np.ones(DIMENSION), 1)  # type: ignore[attr-defined]


def test_public_search_reads_a_folder_of_langchain() -> None:
    folder = f"faiss:{DATA / 'langchain'}"
    source = open_source(folder)
    vector = vectors_of(next(iter(source.scan())).records)[2]
    source.close()
    hits = wherry.search(vector, in_=folder, k=2, where={"source": "결과.pdf"})
    assert [(hit.id, hit.text) for hit in hits] == [("문서-2", "결과표는 의사와 함께 보십시오.")]
