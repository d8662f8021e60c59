"""Qdrant's engine in process: locks, crashes, foreign points, named vectors, payload indexes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    MatchValue,
    Point,
    Query,
    ScrollRequest,
    SearchParams,
    SearchRequest,
    UpdateOperation,
    VectorStorageDatatype,
)

import wherry
from wherry.errors import (
    BadAddress,
    BadRecord,
    Busy,
    Integrity,
    NoSuchCollection,
    Rejected,
    SpaceMismatch,
    UnknownMetric,
    Unsupported,
)
from wherry.record import Record, from_records, make_batch, to_records, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index, Kind
from wherry.stores.qdrant.ids import ID_KEY, point_of
from wherry.stores.registry import open_source, open_target
from wherry.testing.samples import sample, sample_vectors

SPACE = Space(dimension=8, metric=Metric.L2)
VECTOR = tuple(float(n) for n in range(8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def target_at(folder: Path, name: str = "docs", space: Space = SPACE, options: str = ""):
    store = open_target(f"qdrant:{folder}#{quote(name)}{options}")
    store.prepare(space, Index(), 10)
    return store


def foreign(folder: Path, config: EdgeConfig, points: list[Point], name: str = "docs") -> None:
    """Make a shard as another tool would."""
    (folder / name).mkdir(parents=True)
    shard = EdgeShard.create(str(folder / name), config)
    shard.update(UpdateOperation.upsert_points(points))
    shard.close()


def plain(distance: Distance = Distance.Dot, size: int = 4) -> EdgeConfig:
    return EdgeConfig(vectors=EdgeVectorParams(size=size, distance=distance))


def records_at(address: str) -> dict[str, Record]:
    source = open_source(address)
    try:
        return {record.id: record for page in source.scan() for record in to_records(page.records)}
    finally:
        source.close()


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_writes_survive_a_kill_without_finish(folder: Path) -> None:
    """After upsert and delete return, SIGKILL loses nothing of them."""
    worker = python(f"""
import os, signal
from wherry.stores.registry import open_target
from wherry.space import Space, Metric
from wherry.stores.base import Index
from wherry.testing.samples import sample
store = open_target("qdrant:{folder}#docs")
store.prepare(Space(dimension=8, metric=Metric.L2), Index(), 10)
store.upsert(sample(700), absent=True)
store.upsert(sample(100, seed=1))
store.delete(sample(50, start=600)["id"])
os.kill(os.getpid(), signal.SIGKILL)
""")
    assert worker.wait(60) == -signal.SIGKILL, worker.stderr.read()
    found = records_at(f"qdrant:{folder}#docs")
    wanted = to_records(sample(100, seed=1)) + to_records(sample(500, start=100)) + to_records(sample(50, start=650))
    # Vectors of `sample` depend on where a batch starts, so only the ids of the middle are compared.
    assert set(found) == {record.id for record in wanted}
    for record in to_records(sample(100, seed=1)):
        assert found[record.id].text == record.text
        assert np.array_equal(found[record.id].vector, record.vector)


def test_deep_metadata_survives_a_kill(folder: Path) -> None:
    """Nesting that the engine takes but cannot read back from its log does not reach it."""
    worker = python(f"""
import os, signal
from wherry.record import make_batch
from wherry.stores.registry import open_target
from wherry.space import Space, Metric
from wherry.stores.base import Index
import numpy as np
store = open_target("qdrant:{folder}#docs")
store.prepare(Space(dimension=8, metric=Metric.L2), Index(), 10)
deep = '{{"v":' * 300 + "1" + "}}" * 300
store.upsert(make_batch(["a"], np.ones((1, 8), dtype=np.float32), ["x"], [deep]))
os.kill(os.getpid(), signal.SIGKILL)
""")
    assert worker.wait(60) == -signal.SIGKILL, worker.stderr.read()
    [record] = records_at(f"qdrant:{folder}#docs").values()
    assert json.dumps(record.metadata).count("{") == 300


def test_second_process_is_told_that_it_is_busy(folder: Path) -> None:
    target_at(folder).close()
    holder = python(f"""
from wherry.stores.registry import open_source
store = open_source("qdrant:{folder}#docs")
print("open", flush=True)
__import__("time").sleep(60)
""")
    try:
        assert holder.stdout.readline().strip() == "open"
        began = time.monotonic()
        with pytest.raises(Busy) as caught:
            open_source(f"qdrant:{folder}#docs")
        assert time.monotonic() - began < 2
        assert caught.value.exit_code == 7
    finally:
        holder.kill()
        holder.wait(10)
    assert records_at(f"qdrant:{folder}#docs") == {}


def test_stores_of_one_process_share_the_directory_and_let_it_go(folder: Path) -> None:
    one = target_at(folder)
    other = open_source(f"qdrant:{folder}/../{folder.name}#docs")
    one.upsert(sample(5))
    assert other.describe().count == 5
    one.close()
    assert other.describe().count == 5
    other.close()
    EdgeShard.load(str(folder / "docs")).close()


def test_interrupted_making_leaves_no_half_collection(folder: Path) -> None:
    """The directory appears whole or not at all."""
    with pytest.raises(Unsupported):
        target_at(folder, space=Space(dimension=100_000, metric=Metric.L2))
    target_at(folder).close()
    assert sorted(path.name for path in folder.iterdir()) == ["docs"]


@pytest.mark.parametrize(
    ("space", "error"),
    [(Space(dimension=8), UnknownMetric), (Space(metric=Metric.L2), Unsupported)],
    ids=["metric", "dimension"],
)
def test_what_is_not_recorded_is_not_guessed(folder: Path, space: Space, error: type[Exception]) -> None:
    with pytest.raises(error):
        target_at(folder, space=space)
    assert not (folder / "docs").exists()


def test_another_metric_is_a_mismatch(folder: Path) -> None:
    target_at(folder).close()
    with pytest.raises(SpaceMismatch):
        target_at(folder, space=Space(dimension=8, metric=Metric.COSINE))


def test_metric_may_be_stated_in_the_address(folder: Path) -> None:
    """For a source that does not say; what is recorded is never overruled."""
    store = target_at(folder, space=Space(dimension=8), options="?metric=dot")
    assert store.describe().space == Space(dimension=8, metric=Metric.IP)
    store.close()
    assert open_target(f"qdrant:{folder}#new?metric=l1").describe().space == Space(metric=Metric.L1)
    with pytest.raises(SpaceMismatch):
        open_source(f"qdrant:{folder}#docs?metric=cosine")
    with pytest.raises(SpaceMismatch):
        target_at(folder, "other", options="?metric=cosine")
    with pytest.raises(BadAddress):
        open_target(f"qdrant:{folder}#docs?metric=hamming")
    assert not (folder / "other").exists()


def test_two_ids_of_one_point_are_refused(folder: Path) -> None:
    """Within a batch, and against what is there; the message names both."""
    store, forged = target_at(folder), str(point_of("abc"))
    with pytest.raises(Rejected, match=f"{forged}.*abc"):
        store.upsert(from_records([Record(forged, VECTOR), Record("abc", VECTOR)]))
    store.upsert(from_records([Record("abc", VECTOR, "first")]))
    with pytest.raises(Rejected, match=f"abc.*{forged}"):
        store.upsert(from_records([Record("other", VECTOR), Record(forged, VECTOR)]), absent=True)
    assert [r.text for r in to_records(next(store.scan()).records)] == ["first"]
    store.delete(pa.array([forged]))
    assert store.fetch(pa.array([forged, "abc"])).records["id"].to_pylist() == ["abc"]


def test_a_foreign_point_is_not_overwritten_by_a_hash(folder: Path) -> None:
    forged = point_of("abc")
    foreign(folder, plain(), [Point(forged, [1.0, 2, 3, 4], {"text": "theirs"})])
    store = open_target(f"qdrant:{folder}#docs")
    with pytest.raises(Rejected, match="same point"):
        store.upsert(from_records([Record("abc", (0.0,) * 4, "ours")]))
    assert store.fetch(pa.array(["abc"])).read == 0
    assert to_records(store.fetch(pa.array([forged])).records)[0].text == "theirs"


def test_points_of_another_tool(folder: Path) -> None:
    """Ids, text and metadata are theirs; a point without a vector is told."""
    foreign(
        folder,
        plain(),
        [
            Point(7, [1.0, 2, 3, 4], {"document": "가", "page": 3, "nested": {"a": [None]}}),
            Point("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", [0.0, 0, 0, 0], {"document": "나"}),
            Point(9, {}, {"document": "no vector"}),
            Point(11, [0.0, 1, 0, 0], {ID_KEY: "mine"}),
        ],
    )
    source = open_source(f"qdrant:{folder}#docs")
    pages = list(source.scan())
    rejects = {reject.id: reject.reason for page in pages for reject in page.rejects}
    found = {r.id: r for page in pages for r in to_records(page.records)}
    assert rejects == {"9": "MissingVector", "11": "BadId"}
    assert found["7"].text == "가"
    assert found["7"].metadata == {"page": 3, "nested": {"a": [None]}}
    assert found["6ba7b810-9dad-11d1-80b4-00c04fd430c8"].metadata is None
    assert {i for chunk in source.ids() for i in chunk.to_pylist()} == {*found, *rejects}
    described = source.describe()
    assert described.count == 4
    assert described.space == Space(dimension=4, metric=Metric.IP)
    assert any("'document'" in note for note in described.notes)
    source.close()


def test_text_option_names_the_payload_key(folder: Path) -> None:
    foreign(folder, plain(), [Point(1, [1.0, 2, 3, 4], {"body": "가", "text": "other"})])
    [record] = records_at(f"qdrant:{folder}#docs?text=body").values()
    assert (record.text, record.metadata) == ("가", {"text": "other"})


def test_langchains_shape_is_read_and_written_as_it_is(folder: Path) -> None:
    foreign(
        folder,
        plain(),
        [
            Point(1, [1.0, 2, 3, 4], {"page_content": "가", "metadata": {"page": 1}}),
            Point(2, [1.0, 2, 3, 4], {"page_content": "나", "metadata": None}),
        ],
    )
    store = open_target(f"qdrant:{folder}#docs")
    assert store.describe().layout == "langchain"
    store.upsert(from_records([Record("3", VECTOR[:4], "다", {"page": 3}), Record("4", VECTOR[:4], "라", {})]))
    store.close()
    found = records_at(f"qdrant:{folder}#docs")
    assert [found[i].metadata for i in "1234"] == [{"page": 1}, None, {"page": 3}, {}]
    shard = EdgeShard.load(str(folder / "docs"))
    assert shard.retrieve([3], True, False)[0].payload == {"page_content": "다", "metadata": {"page": 3}}
    shard.close()


def test_named_vectors(folder: Path) -> None:
    config = EdgeConfig(
        vectors={
            "title": EdgeVectorParams(size=2, distance=Distance.Dot),
            "body": EdgeVectorParams(size=3, distance=Distance.Euclid, datatype=VectorStorageDatatype.Float16),
        },
        sparse_vectors={"words": EdgeSparseVectorParams()},
    )
    foreign(folder, config, [Point(1, {"title": [1.0, 2], "body": [1.0, 2, 3]}), Point(2, {"title": [3.0, 4]})])
    address = f"qdrant:{folder}#docs"
    with pytest.raises(BadAddress, match="which vector") as caught:
        open_source(address)
    assert "'body', 'title'" in caught.value.next
    assert records_at(f"{address}?vector=title")["2"].vector.tolist() == [3.0, 4.0]
    source = open_source(f"{address}?vector=body")
    page = next(source.scan())
    assert (page.records.num_rows, page.rejects[0].reason) == (1, "MissingVector")
    assert source.describe().space == Space(dimension=3, metric=Metric.L2)
    assert source.capabilities.precision_bits == 16
    source.close()
    target = open_target(f"{address}?vector=title")
    with pytest.raises(Unsupported, match="further vectors"):
        target.upsert(from_records([Record("1", (1.0, 2.0))]))
    target.close()


def test_a_new_collection_with_a_named_vector(folder: Path) -> None:
    store = target_at(folder, options="?vector=body")
    store.upsert(sample(5))
    assert vectors_of(store.fetch(sample(5)["id"]).records).shape == (5, 8)
    store.close()
    assert len(records_at(f"qdrant:{folder}#docs")) == 5


def test_payload_indexes_are_made_and_serve(folder: Path) -> None:
    store = target_at(folder, options="?index=category,page:integer")
    store.upsert(sample(200))
    store.finish(SPACE, Index())
    store.finish(SPACE, Index())
    assert store.describe().extra["payload_indexes"] == ["category", "page"]
    store.close()
    shard = EdgeShard.load(str(folder / "docs"))
    wanted = Filter(must=[FieldCondition(key="category", match=MatchValue("검진"))])
    found, _ = shard.scroll(ScrollRequest(limit=1000, filter=wanted, with_payload=True))
    shard.close()
    assert len(found) > 10
    assert {record.payload["category"] for record in found} == {"검진"}


@pytest.mark.parametrize("options", ["?index=a:colour", "?vektor=x", "?timeout=3"])
def test_options_that_mean_nothing_are_refused(folder: Path, options: str) -> None:
    with pytest.raises(BadAddress):
        open_target(f"qdrant:{folder}#docs{options}")


def test_addresses_that_lead_nowhere(folder: Path) -> None:
    with pytest.raises(BadAddress):
        open_source("qdrant://host:6333#docs")
    with pytest.raises(BadAddress):
        open_source(f"qdrant:{folder}")
    with pytest.raises(NoSuchCollection):
        open_source(f"qdrant:{folder}#docs")
    assert not folder.exists()


def test_a_folder_that_is_a_shard_itself(folder: Path) -> None:
    foreign(folder, plain(), [Point(1, [1.0, 2, 3, 4], {"text": "가"})])
    assert records_at(f"qdrant:{folder / 'docs'}")["1"].text == "가"


def test_a_damaged_shard_is_an_integrity_error(folder: Path) -> None:
    target_at(folder).close()
    (folder / "docs" / "wherry_space.json").write_text("[]")
    with pytest.raises(Integrity):
        open_source(f"qdrant:{folder}#docs")


def test_not_finite_vectors_are_refused_whole(folder: Path) -> None:
    store = target_at(folder)
    vectors = sample_vectors(3, 8)
    vectors[1, 0] = np.nan
    with pytest.raises(BadRecord, match="'b'"):
        store.upsert(make_batch(["a", "b", "c"], vectors, ["x"] * 3, [None] * 3))
    assert store.describe().count == 0


def test_unit_vectors_under_cosine_keep_their_bits(folder: Path) -> None:
    vectors = sample_vectors(2000, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [str(n) for n in range(2000)]
    store = target_at(folder, space=Space(dimension=64, metric=Metric.COSINE))
    store.upsert(make_batch(ids, vectors, [None] * 2000, [None] * 2000))
    found = store.fetch(pa.array(ids)).records
    assert np.array_equal(vectors_of(found)[np.argsort(np.array(found["id"].to_pylist(), dtype=int))], vectors)


def test_a_zero_vector_under_cosine_is_no_nearer_to_itself_than_anything_else(folder: Path) -> None:
    """Why `zero_vectors` is denied: the point is there, but its own vector does not lead to it."""
    folder.mkdir()
    shard = EdgeShard.create(str(folder), EdgeConfig(vectors=EdgeVectorParams(size=8, distance=Distance.Cosine)))
    rows = [Point(n, row, {}) for n, row in enumerate(sample_vectors(50, 8).tolist(), start=1)]
    shard.update(UpdateOperation.upsert_points([Point(0, [0.0] * 8, {}), *rows]))
    exact = SearchParams(exact=True)
    own = shard.search(SearchRequest(query=Query.Nearest([0.0] * 8), limit=51, params=exact))
    shard.close()
    assert len(own) == 51
    assert {hit.score for hit in own} == {0.0}


def test_capabilities_claim_what_filters_understand() -> None:
    from wherry.stores.qdrant.shape import CAPABILITIES

    assert Kind.EMPTY not in CAPABILITIES.filterable
    assert not CAPABILITIES.zero_vectors


def test_there_and_back_with_sync(folder: Path, tmp_path: Path) -> None:
    """memory → Qdrant → memory, raw vectors under cosine, and nothing differs."""
    space = Space(dimension=8, metric=Metric.COSINE)
    memory = open_target("memory:#out")
    memory.prepare(space, Index(), 500)
    memory.upsert(sample(500))
    there = wherry.sync("memory:#out", f"qdrant:{folder}#docs", accept_losses=True)
    back = wherry.sync(f"qdrant:{folder}#docs", "memory:#back", accept_losses=True)
    assert (there.written, back.written) == (500, 500)
    again = wherry.sync("memory:#out", f"qdrant:{folder}#docs", accept_losses=True)
    assert (again.written, again.unchanged) == (0, 500)
    first = {r.id: r for r in to_records(sample(500))}
    for record in to_records(next(open_source("memory:#back").scan()).records):
        assert (record.text, record.metadata) == (first[record.id].text, first[record.id].metadata)
        assert np.allclose(record.vector, first[record.id].vector, rtol=1e-6, atol=1e-6)
