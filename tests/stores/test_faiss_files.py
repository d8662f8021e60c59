"""Index files of others: every kind that vectors can be had from, and files made to break FAISS."""

from __future__ import annotations

import os
import random
import shutil
import struct
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

import wherry
from tests.stores.faiss_kit import DATA, held, index_file, vectors
from wherry.errors import ArchiveCorrupt, BadAddress, Integrity, SourceChanged, SpaceMismatch, Unsupported, WherryError
from wherry.space import Metric
from wherry.stores.base import Index, Searchable
from wherry.stores.registry import open_source, open_target

ROWS = 400
EXACT = ["Flat", "HNSW8", "NSG8,Flat", "IVF8,Flat", "IVF8_HNSW4,Flat", "IDMap,Flat", "IDMap2,HNSW8", "IDMap,IVF8,Flat",
         "PQ2x4,RFlat"]  # fmt: skip
LOSSY = ["SQ8", "PQ2x4", "HNSW8_SQ8", "LSH", "OPQ2,IVF8,PQ2x4", "IDMap,PCA4,IVF4,SQ8", "PQ4x4fs"]
# Other orders of the same parts.
MORE_LOSSY = ["SQ4", "IVF8,PQ2x4", "IVF8,SQ8", "HNSW8_PQ2x4", "OPQ2,PQ2x4", "PCA4,Flat", "OPQ2_4,HNSW8_SQ8"]


def _ids(spec: str) -> np.ndarray | None:
    return np.arange(ROWS, dtype=np.int64) * 7 + 1_000_000_000_000 if spec.startswith("IDMap") else None


@pytest.mark.parametrize("spec", EXACT)
def test_vectors_come_out_bit_by_bit(tmp_path: Path, spec: str) -> None:
    data, ids = vectors(ROWS), _ids(spec)
    path = index_file(tmp_path / "some.index", spec, data, ids)
    source = open_source(f"faiss:{path}")
    names = map(str, range(ROWS) if ids is None else ids.tolist())
    wanted = dict(zip(names, data, strict=True))
    found = held(source)
    assert found.keys() == wanted.keys()
    assert all(np.asarray(found[i].vector).tobytes() == wanted[i].tobytes() for i in wanted)
    assert [i for part in source.ids(77) for i in part.to_pylist()] == list(found)
    some = pa.array([list(wanted)[5], list(wanted)[300], "없는 것", "-1"])
    page = source.fetch(some)
    assert set(page.records.column("id").to_pylist()) == {some[0].as_py(), some[1].as_py()}
    described = source.describe()
    assert (described.count, described.space.metric) == (ROWS, Metric.L2)
    assert not any("approximations" in note for note in described.notes)
    source.close()


@pytest.mark.parametrize("spec", [*LOSSY, *(pytest.param(spec, marks=pytest.mark.campaign) for spec in MORE_LOSSY)])
def test_codes_are_read_and_the_loss_is_said(tmp_path: Path, spec: str) -> None:
    data = vectors(ROWS)
    path = index_file(tmp_path / "codes.index", spec, data, np.arange(ROWS) if spec.startswith("IDMap") else None)
    address = f"faiss:{path}"
    plan = wherry.plan(address, "memory:#codes")
    assert any("approximations of what was put in" in note for note in plan.notes)
    result = wherry.sync(address, "memory:#codes")
    # What is read is the same each time, so that a copy can be verified against it.
    assert result.equal
    assert result.verified == "deep"
    assert wherry.verify(address, "memory:#codes").equal
    source = open_source(address)
    records = held(source)
    found = np.array([records[str(n)].vector for n in range(ROWS)])
    assert not np.array_equal(found, data)
    pages = [page.records for page in source.scan(33)]
    again = {i: v.as_py() for page in pages for i, v in zip(page["id"].to_pylist(), page["vector"], strict=True)}
    assert all(np.array_equal(np.float32(again[str(n)]), found[n]) for n in range(ROWS))
    source.close()


def test_half_floats_are_said_to_be_halves(tmp_path: Path) -> None:
    data = vectors(ROWS)
    source = open_source(f"faiss:{index_file(tmp_path / 'half.index', 'SQfp16', data)}")
    assert source.capabilities.precision_bits == 16
    found = np.array([record.vector for record in held(source).values()])
    assert np.array_equal(found, data.astype(np.float16).astype(np.float32))
    source.close()


def test_graph_tells_its_parameters(tmp_path: Path) -> None:
    graph = faiss.IndexHNSWFlat(8, 5)
    graph.hnsw.efConstruction = 33
    graph.add(vectors(ROWS))
    faiss.write_index(graph, str(tmp_path / "graph.index"))
    source = open_source(f"faiss:{tmp_path / 'graph.index'}")
    assert source.describe().index == Index("hnsw", 5, 33)
    source.close()


def test_metric_is_that_of_the_file(tmp_path: Path) -> None:
    data = vectors(20)
    path = index_file(tmp_path / "a.index", "Flat", data, metric=faiss.METRIC_INNER_PRODUCT)
    assert open_source(f"faiss:{path}").describe().space.metric is Metric.IP
    # FAISS has no cosine: unit vectors under inner product are what it has instead.
    assert open_source(f"faiss:{path}?metric=cosine").describe().space.metric is Metric.COSINE
    with pytest.raises(SpaceMismatch):
        open_source(f"faiss:{path}?metric=l2")
    other = index_file(tmp_path / "b.index", "Flat", data, metric=faiss.METRIC_Canberra)
    found = open_source(f"faiss:{other}").describe()
    assert found.space.metric is None
    assert any("no counterpart" in note for note in found.notes)


def test_equal_numbers_are_two_records_in_quarantine_not_one(tmp_path: Path) -> None:
    """IDMap takes a number twice, and -1: nothing of that is dropped in silence."""
    ids = np.array([5, 5, -1, 7], dtype=np.int64)
    path = index_file(tmp_path / "twice.index", "IDMap,Flat", vectors(4), ids)
    result = wherry.sync(f"faiss:{path}", "memory:#twice")
    assert (result.read, result.written, result.quarantined) == (4, 3, 1)
    assert {reject.id for reject in result.quarantine} == {"5"}


def test_empty_index(tmp_path: Path) -> None:
    faiss.write_index(faiss.IndexFlatL2(4), str(tmp_path / "empty.index"))
    source = open_source(f"faiss:{tmp_path / 'empty.index'}")
    assert source.describe().count == 0
    assert list(source.scan()) == []
    source.close()


def test_search_of_every_kind_finds_what_is_nearest(tmp_path: Path) -> None:
    data = vectors(ROWS)
    for spec in ("Flat", "HNSW8", "IVF8,Flat", "IDMap,IVF8,Flat"):
        ids = _ids(spec)
        source = open_source(f"faiss:{index_file(tmp_path / 'a.index', spec, data, ids)}")
        assert isinstance(source, Searchable)
        order = np.argsort(((data - data[3]) ** 2).sum(axis=1))[:5]
        wanted = [str(n if ids is None else ids[n]) for n in order]
        assert [hit.id for hit in source.search(data[3], 5, exact=True)] == wanted
        assert source.search(data[3], 1)[0].distance == 0
        source.close()


def test_search_behind_a_transform_gives_the_rows(tmp_path: Path) -> None:
    for spec in ("OPQ2,IVF4,SQ8", "IDMap,PCA6,IVF4,Flat", "PCA6,HNSW8"):
        ids = np.arange(ROWS) + 900 if spec.startswith("IDMap") else None
        source = open_source(f"faiss:{index_file(tmp_path / 'a.index', spec, vectors(ROWS), ids)}")
        asked = held(source)[str(7 if ids is None else 907)]
        hit = source.search(np.asarray(asked.vector), 1, exact=True)[0]  # type: ignore[attr-defined]
        assert (hit.id, hit.distance) == (asked.id, 0)
        source.close()


def test_kinds_without_vectors_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no kind of index"):
        open_source(f"faiss:{index_file(tmp_path / 'a.index', 'ITQ4,LSH', vectors(ROWS))}")
    with pytest.raises(Unsupported, match="no kind of index"):
        open_source(f"faiss:{index_file(tmp_path / 'b.index', 'IVF4,PQ2x4fs', vectors(ROWS))}")


def test_index_file_is_only_read(tmp_path: Path) -> None:
    path = index_file(tmp_path / "a.index", "Flat", vectors(4))
    before = path.read_bytes(), sorted(os.listdir(tmp_path))  # noqa: PTH208
    with pytest.raises(Unsupported, match="can only be read"):
        open_target(f"faiss:{path}")
    with pytest.raises(BadAddress):
        open_source(f"faiss:{path}#name")
    source = open_source(f"faiss:{path}")
    held(source)
    source.close()
    assert (path.read_bytes(), sorted(os.listdir(tmp_path))) == before  # noqa: PTH208


# --- damage ------------------------------------------------------------------------------------------------


def _opened(path: Path) -> str:
    """Read all of a file; return how that ended: `read`, or the class of the error."""
    try:
        source = open_source(f"faiss:{path}")
    except WherryError as error:
        return type(error).__name__
    try:
        for page in source.scan():
            page.records.validate()
        source.fetch(pa.array(["0", "3"]))
        source.search(np.ones(source.describe().space.dimension or 1, dtype=np.float32), 3)
    except WherryError as error:
        return type(error).__name__
    finally:
        source.close()
    return "read"


@pytest.mark.parametrize("spec", ["Flat", "HNSW8", "IVF8,Flat", "IDMap,Flat"])
def test_truncated_files_are_corrupt(tmp_path: Path, spec: str) -> None:
    whole = index_file(tmp_path / "a.index", spec, vectors(ROWS), _ids(spec)).read_bytes()
    for length in (0, 3, 20, 44, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.index").write_bytes(whole[:length])
        with pytest.raises(ArchiveCorrupt, match=r"it ends (before|after)"):
            open_source(f"faiss:{tmp_path / 'cut.index'}")


def _flipped(whole: bytes, rng: random.Random) -> bytes:
    changed = bytearray(whole)
    # Where the structure is: a flip among the vectors is another vector, which no index file can tell.
    at = rng.randrange(60 if rng.random() < 0.5 else min(len(whole), 1500))
    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _survived(tmp_path: Path, spec: str, rounds: int, seed: int) -> set[str]:
    rng = random.Random(seed)
    whole = index_file(
        tmp_path / "a.index", spec, vectors(60), None if "IDMap" not in spec else np.arange(60)
    ).read_bytes()
    endings = set()
    for number in range(rounds):
        path = tmp_path / f"flip{number}.index"
        path.write_bytes(_flipped(whole, rng))
        endings.add(_opened(path))
    return endings


ENDINGS = {"read", "ArchiveCorrupt", "Unsupported", "UnknownMetric", "Usage", "Integrity"}


@pytest.mark.parametrize("spec", ["Flat", "HNSW8", "IVF8,Flat"])
def test_flipped_bits_never_reach_this_process(tmp_path: Path, spec: str) -> None:
    """Whatever FAISS makes of a damaged file: this process lives, and says so in words of its own."""
    endings = _survived(tmp_path, spec, 5, 1)
    assert endings <= ENDINGS
    assert "ArchiveCorrupt" in endings or "Unsupported" in endings


@pytest.mark.campaign
@pytest.mark.parametrize("spec", ["Flat", "HNSW8", "IVF8,Flat", "IDMap,Flat", "IVF8,PQ2x4", "HNSW8_SQ8"])
def test_campaign_of_flipped_bits(tmp_path: Path, spec: str) -> None:
    assert _survived(tmp_path, spec, 400, random.randrange(10**6)) <= ENDINGS


def test_file_that_lies_about_its_dimension_is_corrupt(tmp_path: Path) -> None:
    """A graph that says its vectors have a thousand million components."""
    path = index_file(tmp_path / "a.index", "HNSW4", vectors(60))
    whole = bytearray(path.read_bytes())
    whole[4:8] = struct.pack("<i", 2**30)
    path.write_bytes(whole)
    assert _opened(path) == "ArchiveCorrupt"


def test_file_that_asks_for_endless_memory_is_corrupt(tmp_path: Path) -> None:
    path = index_file(tmp_path / "a.index", "IVF8,Flat", vectors(60))
    whole = path.read_bytes()
    # The number of lists, each of which FAISS would allocate.
    at = whole.index(struct.pack("<Q", 8))
    path.write_bytes(whole[:at] + struct.pack("<Q", 2**36) + whole[at + 8 :])
    assert _opened(path) == "ArchiveCorrupt"


def test_text_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "note.faiss").write_text("건강 안내서")
    with pytest.raises((ArchiveCorrupt, Unsupported)):
        open_source(f"faiss:{tmp_path / 'note.faiss'}")


def test_process_that_reads_may_not_write(tmp_path: Path) -> None:
    """The limits are there: what the reading process could be made to do ends with itself."""
    source = open_source(f"faiss:{index_file(tmp_path / 'a.index', 'Flat', vectors(4))}")
    limits = Path(f"/proc/{source._reader._process.pid}/limits").read_text().splitlines()  # type: ignore[attr-defined]
    found = {line[:25].strip(): line[26:46].strip() for line in limits}
    assert found["Max file size"] == "0"
    assert found["Max core file size"] == "0"
    assert int(found["Max address space"]) <= 2 * (1 << 30) + 8 * 1000
    process = source._reader._process  # type: ignore[attr-defined]
    source.close()
    assert process.poll() is not None


def test_reader_that_dies_meanwhile_is_an_error(tmp_path: Path) -> None:
    source = open_source(f"faiss:{index_file(tmp_path / 'a.index', 'Flat', vectors(ROWS))}")
    pages = source.scan(10)
    next(pages)
    source._reader._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(ArchiveCorrupt, match="SIGKILL"):
        list(pages)
    source.close()


def test_file_written_anew_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = index_file(tmp_path / "a.index", "Flat", vectors(ROWS))
    source = open_source(f"faiss:{path}")
    pages = source.scan(10)
    next(pages)
    shutil.copy(index_file(tmp_path / "b.index", "Flat", vectors(ROWS, seed=9)), path)
    with pytest.raises((SourceChanged, ArchiveCorrupt)):
        list(pages)
    source.close()


# --- folders of frameworks that do not fit together ----------------------------------------------------------


def test_more_vectors_than_ids(tmp_path: Path) -> None:
    folder = tmp_path / "lc"
    shutil.copytree(DATA / "langchain", folder)
    index_file(folder / "index.faiss", "Flat", vectors(7, 16))
    with pytest.raises(Integrity, match=r"3 of 7 vectors have no id \(numbers 4, 5, 6"):
        open_source(f"faiss:{folder}")


def test_ids_without_vectors(tmp_path: Path) -> None:
    folder = tmp_path / "li"
    shutil.copytree(DATA / "llamaindex", folder)
    index_file(folder / "default__vector_store.json", "Flat", vectors(3, 16))
    with pytest.raises(Integrity, match=r"2 ids have no vector, such as 'node-3', 'node-4'; there are 3 vectors"):
        open_source(f"faiss:{folder}")


@pytest.mark.parametrize(
    ("folder", "file"),
    [("langchain", "index.pkl"), ("llamaindex", "docstore.json"), ("llamaindex", "index_store.json")],
)
def test_half_a_folder(tmp_path: Path, folder: str, file: str) -> None:
    shutil.copytree(DATA / folder, tmp_path / "a")
    (tmp_path / "a" / file).unlink()
    with pytest.raises(Integrity, match=file):
        open_source(f"faiss:{tmp_path / 'a'}")
