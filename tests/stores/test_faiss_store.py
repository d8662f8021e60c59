"""Collections of ours: bits that come back, files that FAISS and Arrow read, damage that is found."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import wherry
from tests.stores.faiss_kit import DIMENSION, contents, held, made, vectors
from wherry.address import Address
from wherry.errors import (
    ArchiveCorrupt,
    BadAddress,
    Busy,
    Integrity,
    MissingExtra,
    NoSuchCollection,
    ReadBackDiffers,
    Refused,
    Rejected,
    SpaceMismatch,
    UnknownMetric,
)
from wherry.record import make_batch, to_records, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.faiss.card import Card, Stamp
from wherry.stores.registry import open_source, open_target, probes
from wherry.testing.samples import sample

ROWS = 120
GRAPH = Index("hnsw", 6, 50)


def _live(tmp_path: Path, name: str = "모음") -> Path:
    return tmp_path / name / "current"


def _wild(rows: int = ROWS) -> pa.RecordBatch:
    """Return records whose vectors have every length that float32 can hold, zero included."""
    plain = sample(rows, DIMENSION)
    data = vectors(rows).astype(np.float64) * 10.0 ** np.random.default_rng(5).uniform(-37, 37, (rows, 1))
    data[0], data[1] = 0, data[1] / np.linalg.norm(data[1])
    return make_batch(plain["id"], data.astype(np.float32), plain["text"], plain["metadata"])


@pytest.mark.parametrize("index", [Index(), GRAPH], ids=["flat", "graph"])
@pytest.mark.parametrize("metric", list(Metric))
def test_there_and_back_is_bit_by_bit(tmp_path: Path, metric: Metric, index: Index) -> None:
    batch = _wild() if metric is Metric.COSINE else sample(ROWS, DIMENSION)
    memory = open_target("memory:#from")
    memory.prepare(Space(DIMENSION, metric, normalised=False), index, ROWS)
    memory.upsert(batch)
    address = f"faiss:{tmp_path}#모음"
    there = wherry.sync("memory:#from", address)
    assert there.equal
    assert there.losses == ()
    back = wherry.sync(address, "memory:#back")
    assert back.equal
    one, other = held(open_source("memory:#from")), held(open_source("memory:#back"))
    assert {i: np.asarray(r.vector).tobytes() for i, r in one.items()} == {
        i: np.asarray(r.vector).tobytes() for i, r in other.items()
    }
    found = open_source("memory:#back").describe()
    assert (found.space, found.index.kind) == (
        Space(DIMENSION, metric, normalised=False),
        index.kind if index.m else "flat",
    )


@pytest.mark.parametrize("metric", list(Metric))
def test_faiss_itself_reads_the_index(tmp_path: Path, metric: Metric) -> None:
    batch = sample(ROWS, DIMENSION)
    made(f"faiss:{tmp_path}#모음", batch, metric)
    made(f"faiss:{tmp_path}#그래프", batch, metric, GRAPH)
    for name in ("모음", "그래프"):
        index = faiss.read_index(str(_live(tmp_path, name) / "index.faiss"))
        data = vectors_of(batch)
        if metric is Metric.COSINE:
            data = data / np.linalg.norm(data.astype(np.float64), axis=1, keepdims=True)
        assert (index.ntotal, index.d) == (ROWS, DIMENSION)
        assert index.metric_type == {"cosine": 0, "ip": 0, "l2": 1, "l1": 2}[metric]
        assert np.abs(index.reconstruct_n(0, ROWS) - data).max() <= (0 if metric is not Metric.COSINE else 1e-7)
        if metric is not Metric.IP:
            assert index.search(data[7:8].astype(np.float32), 1)[1][0, 0] == 7
    graph = faiss.read_index(str(_live(tmp_path, "그래프") / "index.faiss"))
    assert (graph.hnsw.nb_neighbors(1), graph.hnsw.efConstruction) == (6, 50)


def test_flat_file_is_what_faiss_would_have_written(tmp_path: Path) -> None:
    batch = sample(ROWS, DIMENSION)
    for metric, kind in (
        (Metric.L2, faiss.METRIC_L2),
        (Metric.IP, faiss.METRIC_INNER_PRODUCT),
        (Metric.L1, faiss.METRIC_L1),
    ):
        made(f"faiss:{tmp_path}#{metric}", batch, metric)
        native = faiss.IndexFlat(DIMENSION, kind)
        native.add(vectors_of(batch))
        faiss.write_index(native, str(tmp_path / "native.index"))
        ours = (_live(tmp_path, metric) / "index.faiss").read_bytes()
        assert ours == (tmp_path / "native.index").read_bytes()


def test_sidecar_is_plain_parquet_row_for_row(tmp_path: Path) -> None:
    batch = sample(ROWS, DIMENSION)
    made(f"faiss:{tmp_path}#모음", batch)
    table = pq.read_table(_live(tmp_path) / "records.parquet")
    assert table.column_names == ["id", "text", "metadata"]
    assert table.to_pydict() == batch.select(["id", "text", "metadata"]).to_pydict()


def test_unit_vectors_are_kept_once_others_beside(tmp_path: Path) -> None:
    plain, data = sample(ROWS, DIMENSION), vectors(ROWS)
    unit = (data / np.linalg.norm(data, axis=1, keepdims=True)).astype(np.float32)
    made(f"faiss:{tmp_path}#모음", make_batch(plain["id"], unit, plain["text"], plain["metadata"]), Metric.COSINE)
    assert not (_live(tmp_path) / "vectors.f32").exists()
    assert open_source(f"faiss:{tmp_path}#모음").describe().extra["originals_beside"] is False
    made(f"faiss:{tmp_path}#모음", sample(1, DIMENSION, start=500), Metric.COSINE)
    assert (_live(tmp_path) / "vectors.f32").stat().st_size == 45 + 4 * DIMENSION * (ROWS + 1)
    found = contents(f"faiss:{tmp_path}#모음")
    assert {found[i][0] for i in plain["id"].to_pylist()} == {row.tobytes() for row in unit}


@pytest.mark.parametrize("index", [Index("flat"), GRAPH], ids=["flat", "graph"])
def test_originals_of_a_first_copy_are_the_staged_file(tmp_path: Path, index: Index) -> None:
    batch = _wild()
    store = open_target(f"faiss:{tmp_path}#모음")
    with store.exclusive():
        store.prepare(Space(DIMENSION, Metric.COSINE), index, ROWS)
        store.upsert(batch, absent=True)
        staged = (tmp_path / "모음" / "staging" / "vectors").stat().st_ino
        store.finish(Space(DIMENSION, Metric.COSINE), index)
    store.close()
    originals = _live(tmp_path) / "vectors.f32"
    assert (originals.stat().st_ino, originals.stat().st_nlink) == (staged, 1)
    kept = faiss.read_index(str(originals))
    assert kept.reconstruct_n(0, kept.ntotal).tobytes() == vectors_of(batch).tobytes()


def test_originals_without_a_head_are_read_and_grow_one(tmp_path: Path) -> None:
    batch = _wild()
    address = made(f"faiss:{tmp_path}#모음", batch, Metric.COSINE)
    folder = _live(tmp_path).resolve()
    card = Card.read((folder / "card.json").read_bytes(), address)
    bare = (folder / "vectors.f32").read_bytes()[card.vectors_at :]
    (folder / "vectors.f32").write_bytes(bare)
    stamp = Stamp(len(bare), xxhash.xxh3_128_hexdigest(bare))
    replace(card, vectors_at=0, files=card.files | {"vectors.f32": stamp}).write(folder)
    before = contents(address)
    assert {found[0] for found in before.values()} == {row.tobytes() for row in vectors_of(batch)}
    made(address, sample(1, DIMENSION, start=500), Metric.COSINE)
    grown = contents(address)
    assert len(grown) == ROWS + 1
    assert before.items() <= grown.items()
    assert faiss.read_index(str(_live(tmp_path) / "vectors.f32")).ntotal == ROWS + 1


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
def test_staged_vectors_that_rotted_are_not_published(tmp_path: Path, metric: Metric) -> None:
    store = open_target(f"faiss:{tmp_path}#모음")
    with store.exclusive():
        store.prepare(Space(DIMENSION, metric), Index("flat"), ROWS)
        store.upsert(_wild(), absent=True)
        staged = tmp_path / "모음" / "staging" / "vectors"
        with staged.open("r+b") as file:
            file.seek(-5, os.SEEK_END)
            rotten = bytes([file.read(1)[0] ^ 1])
            file.seek(-5, os.SEEK_END)
            file.write(rotten)
        with pytest.raises(ReadBackDiffers, match="staged batch"):
            store.finish(Space(DIMENSION, metric), Index("flat"))
        assert not _live(tmp_path).exists()
        assert staged.exists()
    store.close()


def test_graph_grows_where_nothing_was_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION), Metric.L2, GRAPH)
    added: list[int] = []
    add = faiss.IndexHNSWFlat.add
    monkeypatch.setattr(faiss.IndexHNSWFlat, "add", lambda graph, part: (added.append(len(part)), add(graph, part))[1])
    made(address, sample(30, DIMENSION, start=500))
    assert sum(added) == 30
    index = faiss.read_index(str(_live(tmp_path) / "index.faiss"))
    assert index.ntotal == ROWS + 30
    wanted = np.concatenate([vectors_of(sample(ROWS, DIMENSION)), vectors_of(sample(30, DIMENSION, start=500))])
    assert np.array_equal(index.reconstruct_n(0, ROWS + 30), wanted)
    added.clear()
    made(address, sample(1, DIMENSION, 1, start=3))
    assert sum(added) == ROWS + 30
    assert open_source(address).describe().index == GRAPH


def test_old_generation_stays_readable_for_those_who_read_it(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION))
    before = open_source(address)
    pages = before.scan(10)
    next(pages)
    made(address, sample(ROWS, DIMENSION, 1))
    assert sum(page.records.num_rows for page in pages) == ROWS - 10
    assert before.search(vectors(1)[0], 3) != []  # type: ignore[attr-defined]
    assert len(list((tmp_path / "모음").iterdir())) == 3
    before.close()


@pytest.mark.parametrize("published", [False, True])
def test_what_is_staged_twice_is_published_once(tmp_path: Path, published: bool) -> None:
    address = f"faiss:{tmp_path}#모음?metric=l2"
    before, after = sample(ROWS, DIMENSION), sample(ROWS, DIMENSION, 1)
    if published:
        made(address, before)
    with closing(open_target(address)) as target:
        target.prepare(Space(metric=Metric.L2), Index(), ROWS)
        if not published:
            target.upsert(before, absent=True)
        for start in range(0, ROWS, 10):
            target.upsert(after.slice(start, 10), absent=True)
            assert target.fetch(after["id"].slice(start, 10)).records.equals(after.slice(start, 10))
        target.finish(Space(metric=Metric.L2), Index())
    assert contents(address) == {r.id: (np.asarray(r.vector).tobytes(), r.text, r.metadata) for r in to_records(after)}


def test_read_back_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = sample(40, DIMENSION)
    with closing(open_target(f"faiss:{tmp_path}#모음")) as target:
        target.prepare(Space(dimension=DIMENSION, metric=Metric.L2), Index(), 40)
        target.upsert(batch.slice(0, 20))
        begun, go_on, sync = threading.Event(), threading.Event(), os.fdatasync

        def slow(descriptor: int) -> None:
            begun.set()
            assert go_on.wait(10)
            sync(descriptor)

        monkeypatch.setattr(os, "fdatasync", slow)
        other = threading.Thread(target=target.upsert, args=(batch.slice(20, 20),))
        other.start()
        try:
            assert begun.wait(10)
            assert target.fetch(batch.slice(0, 20).column("id")).records.num_rows == 20
        finally:
            go_on.set()
            other.join()
        assert target.describe().count == 40


def test_second_sync_writes_nothing_and_reads_no_vector(tmp_path: Path) -> None:
    made("memory:#x", sample(ROWS, DIMENSION))
    address = f"faiss:{tmp_path}#모음"
    wherry.sync("memory:#x", address)
    before = (_live(tmp_path)).readlink()
    again = wherry.sync("memory:#x", address)
    assert (again.written, again.unchanged, again.equal) == (0, ROWS, True)
    assert (_live(tmp_path)).readlink() == before
    back = wherry.sync(address, "memory:#y")
    once_more = wherry.sync(address, "memory:#y")
    assert (back.written, once_more.written, once_more.unchanged) == (ROWS, 0, ROWS)


def test_mark_is_of_one_generation(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION))
    source = open_source(address)
    mark = source.mark()  # type: ignore[attr-defined]
    assert source.touched(mark).count == ROWS  # type: ignore[attr-defined]
    shutil.copytree(tmp_path / "모음", tmp_path / "saved", symlinks=True)
    made(address, sample(1, DIMENSION, 1))
    assert open_source(address).touched(mark) is None  # type: ignore[attr-defined]
    # A backup that was put back and written to again is another generation of the same number.
    shutil.rmtree(tmp_path / "모음")
    shutil.move(tmp_path / "saved", tmp_path / "모음")
    assert open_source(address).touched(mark).count == ROWS  # type: ignore[attr-defined]
    made(address, sample(1, DIMENSION, 1))
    assert open_source(address).touched(mark) is None  # type: ignore[attr-defined]


# --- damage ------------------------------------------------------------------------------------------------


def _card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("name", ["index.faiss", "records.parquet", "vectors.f32", "card.json"])
def test_one_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION), Metric.COSINE, GRAPH)
    path = _live(tmp_path) / name
    whole = path.read_bytes()
    for at in (0, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ArchiveCorrupt, match=name.partition(".")[0]):
            open_source(address)
    for kept in (0, 1, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(ArchiveCorrupt):
            open_source(address)
    path.unlink()
    with pytest.raises(Integrity, match=name.partition(".")[0]):
        open_source(address)
    path.write_bytes(whole)
    assert len(contents(address)) == ROWS


def test_vectors_added_behind_its_back_are_counted(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION))
    path = _live(tmp_path) / "index.faiss"
    index = faiss.read_index(str(path))
    index.add(vectors(5))
    faiss.write_index(index, str(path))
    with pytest.raises(ArchiveCorrupt, match="announces 125 vectors, there are 120 ids"):
        open_source(address)


def test_sidecar_of_another_generation_is_found(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION))
    made(f"faiss:{tmp_path}#다른", sample(ROWS - 1, DIMENSION))
    shutil.copy(_live(tmp_path, "다른") / "records.parquet", _live(tmp_path) / "records.parquet")
    with pytest.raises(ArchiveCorrupt, match=r"records\.parquet"):
        open_source(address)


def test_link_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(3, DIMENSION))
    (tmp_path / "모음" / "current").unlink()
    (tmp_path / "모음" / "current").symlink_to(tmp_path)
    with pytest.raises(ArchiveCorrupt, match="no generation"):
        open_source(address)


def test_format_of_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.stores.faiss.card._FORMAT", 2)
    address = made(f"faiss:{tmp_path}#모음", sample(3, DIMENSION))
    monkeypatch.undo()
    with pytest.raises(Refused, match="later version"):
        open_source(address)


# --- refusals ----------------------------------------------------------------------------------------------


def test_metric_must_be_known(tmp_path: Path) -> None:
    store = open_target(f"faiss:{tmp_path}#모음")
    with pytest.raises(UnknownMetric, match="not recorded"):
        store.prepare(Space(DIMENSION), Index(), 1)
    assert list(tmp_path.iterdir()) == []
    stated = open_target(f"faiss:{tmp_path}#모음?metric=cosine")
    stated.prepare(Space(DIMENSION), Index(), 1)
    stated.finish(Space(DIMENSION), Index())
    assert open_source(f"faiss:{tmp_path}#모음").describe().space.metric is Metric.COSINE


def test_other_metric_is_refused(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(3, DIMENSION), Metric.IP)
    with pytest.raises(SpaceMismatch):
        open_target(address).prepare(Space(DIMENSION, Metric.L2), Index(), 1)
    with pytest.raises(SpaceMismatch):
        open_source(f"faiss:{tmp_path}#모음?metric=l2")


def test_bad_addresses_say_what_to_write(tmp_path: Path) -> None:
    made(f"faiss:{tmp_path}#안내서", sample(3, DIMENSION))
    with pytest.raises(NoSuchCollection) as caught:
        open_source(f"faiss:{tmp_path}#안내")
    assert "안내서" in caught.value.next
    with pytest.raises(BadAddress, match="which collection"):
        open_target(f"faiss:{tmp_path}")
    with pytest.raises(BadAddress, match="unknown option"):
        open_source(f"faiss:{tmp_path}#x?vector=a")
    for text in ("faiss:#x", "faiss://host/x#y"):
        with pytest.raises(BadAddress):
            open_source(text)
    with pytest.raises(BadAddress, match="longer than"):
        open_target(f"faiss:{tmp_path}#{'가' * 100}")


def test_collection_can_be_named_by_its_folder(tmp_path: Path) -> None:
    made(f"faiss:{tmp_path}#안내서", sample(3, DIMENSION))
    one, other = open_source(f"faiss:{tmp_path}#안내서"), open_source(f"faiss:{tmp_path}/안내서")
    assert one.identity == other.identity
    assert other.describe().name == "안내서"


def test_batches_that_cannot_be_held_leave_nothing(tmp_path: Path) -> None:
    store = open_target(f"faiss:{tmp_path}#모음")
    with pytest.raises(Rejected, match="not there yet"):
        store.upsert(sample(3, DIMENSION))
    store.prepare(Space(DIMENSION, Metric.L2), Index(), 3)
    data = vectors(3)
    data[1, 2] = np.inf
    with pytest.raises(Rejected, match="infinity"):
        store.upsert(make_batch(["a", "b", "c"], data, [None] * 3, [None] * 3))
    with pytest.raises(Rejected, match="empty"):
        store.upsert(make_batch([""], vectors(1), [None], [None]))
    assert store.describe().count == 0
    store.close()


def test_another_writer_is_told(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(3, DIMENSION))
    first, second = open_target(address), open_target(address)
    first.upsert(sample(1, DIMENSION, start=50))
    with pytest.raises(Busy):
        second.upsert(sample(1, DIMENSION, start=60))
    # Who only reads sees what is live.
    assert second.describe().count == 3
    first.finish(Space(DIMENSION, Metric.L2), Index())
    assert second.describe().count == 4
    first.close()
    second.close()


def test_same_id_twice_in_a_batch_the_last_counts(tmp_path: Path) -> None:
    data = vectors(3)
    made(f"faiss:{tmp_path}#모음", make_batch(["a", "b", "a"], data, ["1", "2", "3"], [None] * 3))
    found = contents(f"faiss:{tmp_path}#모음")
    assert {i: row[1] for i, row in found.items()} == {"a": "3", "b": "2"}
    assert found["a"][0] == data[2].tobytes()


def test_ids_whose_hashes_collide_stay_two_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash of two values nearly every id collides with others, and nothing is mixed up."""
    for module in ("rows", "generation", "source", "idmap"):
        monkeypatch.setattr(
            f"wherry.stores.faiss.{module}.hashes",
            lambda ids: np.array([len(i) % 2 for i in ids.to_pylist()], dtype=np.uint64),
        )
    address = f"faiss:{tmp_path}#모음"
    batch = make_batch(
        [f"{'x' * (n % 5)}{n}" for n in range(60)], vectors(60), [str(n) for n in range(60)], [None] * 60
    )
    made(address, batch.slice(0, 40))
    store = open_target(address)
    store.upsert(batch.slice(40), absent=True)
    assert store.describe().count == 60
    store.delete(batch["id"].slice(0, 10))
    store.upsert(batch.slice(50, 10))
    assert store.describe().count == 50
    store.finish(Space(DIMENSION, Metric.L2), Index())
    store.close()
    source = open_source(address)
    assert source.fetch(batch["id"].slice(5, 10)).records["id"].to_pylist() == batch["id"].slice(10, 5).to_pylist()
    assert {i: r.text for i, r in held(source).items()} == dict(
        zip(batch["id"].slice(10).to_pylist(), batch["text"].slice(10).to_pylist(), strict=True)
    )


def test_disk_that_is_full_leaves_the_collection(tmp_path: Path) -> None:
    """A limit on file sizes stands in for a full disk; in a process of its own, since it binds all of one."""
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION))
    script = """
import resource, signal, sys
from wherry.errors import DiskFull
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target
from wherry.testing.samples import sample
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_target(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
written = 0
try:
    for start in range(0, 4000, 50):
        store.upsert(sample(50, 8, start=1000 + start))
        written += 50
except DiskFull as error:
    assert "as it was" in error.left
    assert store.describe().count == 120 + written, store.describe()
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
    try:
        store.finish(Space(8, Metric.L2), Index())
    except DiskFull:
        print("full", written)
"""
    done = subprocess.run([sys.executable, "-c", script, address], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("full "), done.stderr
    written = int(done.stdout.split()[1])
    assert len(contents(address)) == ROWS
    store = open_target(address)
    with store.exclusive():
        assert store.describe().count == ROWS + written
        store.finish(Space(DIMENSION, Metric.L2), Index())
    store.close()
    assert len(contents(address)) == ROWS + written


def test_reading_takes_no_memory_to_speak_of(tmp_path: Path) -> None:
    """A scan of 200 MB adds a few pages: the figure is a process's own, taken before and at its peak."""
    rows, dimension = 40_000, 1024
    store = open_target(f"faiss:{tmp_path}#모음")
    store.prepare(Space(dimension, Metric.L2), Index(), rows)
    data = vectors(4000, dimension)
    for start in range(0, rows, 4000):
        ids = [f"기록-{n}" for n in range(start, start + 4000)]
        store.upsert(make_batch(ids, data, ids, [None] * 4000), absent=True)
    store.finish(Space(dimension, Metric.L2), Index())
    store.close()
    script = """
import resource, sys
from wherry.stores.registry import open_source
source = open_source(sys.argv[1])
next(source.scan())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert sum(page.records.num_rows for page in source.scan()) == 40_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, f"faiss:{tmp_path}#모음"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64 << 10, f"{done.stdout} KiB more than for one page"


def test_threads_search_scan_and_fetch_at_once(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#모음", sample(ROWS, DIMENSION), Metric.L2, GRAPH)
    source, wrong = open_source(address), []

    def work() -> None:
        for row in range(0, ROWS, 20):
            batch = sample(ROWS, DIMENSION).slice(row, 1)
            hits = source.search(vectors_of(batch)[0], 1)  # type: ignore[attr-defined]
            if hits[0].id != batch["id"][0].as_py() or source.fetch(batch["id"]).read != 1:
                wrong.append(row)
            if sum(page.read for page in source.scan(33)) != ROWS:
                wrong.append(row)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    source.close()


def test_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else real(name))
    monkeypatch.delitem(sys.modules, "wherry.stores.faiss")
    with pytest.raises(MissingExtra) as caught:
        open_source("faiss:./folder#docs")
    assert caught.value.next == 'pip install "wherry[faiss]"'
    assert [(p.usable, p.detail) for p in probes() if p.engine == "faiss"] == [(False, caught.value.next)]


def test_address_is_shown_as_written(tmp_path: Path) -> None:
    address = made(f"faiss:{tmp_path}#건강 안내서", sample(1, DIMENSION))
    assert open_source(address).address == str(Address.parse(address))
