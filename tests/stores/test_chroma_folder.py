"""A persistent Chroma folder: what is read from it, what it refuses, and what it is not done to."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import chromadb
import numpy as np
import pyarrow as pa
import pytest

from tests.stores.chroma_kit import by_id, fill, held, run_child, source, target
from wherry.address import Address
from wherry.canonical import digests
from wherry.errors import (
    BadAddress,
    BadRecord,
    Busy,
    Integrity,
    NoSuchCollection,
    Refused,
    SpaceMismatch,
    UnknownMetric,
    Unsupported,
)
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.chroma import open_source, probe
from wherry.stores.chroma.place import RULE, suggestion
from wherry.testing.samples import sample

DIMENSION = 8
SPACE = Space(dimension=DIMENSION, metric=Metric.L2)


def contents(folder: Path) -> dict[str, list[tuple]]:
    """Return every row of every table but the one that Chroma writes to when it is opened."""
    with closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        names = {name.decode() for (name,) in tables} - {"acquire_write"}
        return {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


def open_files(folder: Path) -> list[str]:
    """Return what this process has open in a folder."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(handle.readlink()))
    return [path for path in found if str(folder) in path]


def test_the_size_is_that_of_the_folder_as_it_is_now(tmp_path: Path) -> None:
    fill(tmp_path, sample(5, DIMENSION))
    with closing(source(tmp_path)) as store:
        before = store.describe().bytes
        assert before == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        (tmp_path / "more").write_bytes(bytes(1000))
        assert store.describe().bytes == before + 1000


# Opening


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    for place in (tmp_path / "no", tmp_path):
        with pytest.raises(NoSuchCollection, match="no Chroma folder"):
            source(place)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_collection_names_what_is_there_closest_first(tmp_path: Path) -> None:
    for name in ("abc", "health_guides", "health_guide_2"):
        fill(tmp_path, sample(1, DIMENSION), name)
    before = contents(tmp_path)
    with pytest.raises(NoSuchCollection) as caught:
        source(tmp_path, "health_guide")
    assert caught.value.next == "collections here: health_guides, health_guide_2, abc"
    with pytest.raises(BadAddress, match="names no collection"):
        source(tmp_path, "")
    assert contents(tmp_path) == before


def test_reading_leaves_the_collections_as_they_were(tmp_path: Path) -> None:
    # Fewer than 1,000 wait in Chroma's log, and it makes its (empty) index files anew at each opening.
    fill(tmp_path, sample(1100, DIMENSION))
    index = {path: path.read_bytes() for path in tmp_path.rglob("*.bin")}
    before = contents(tmp_path)
    with closing(source(tmp_path)) as store:
        assert held(store).num_rows == 1100
        store.fetch(sample(3, DIMENSION).column("id"))
    assert contents(tmp_path) == before
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.bin")} == index


def test_nothing_stays_open_after_the_last_close(tmp_path: Path) -> None:
    fill(tmp_path, sample(5, DIMENSION))
    first, second = source(tmp_path), target(tmp_path)
    assert held(first).num_rows == second.describe().count == 5
    first.close()
    assert held(second).num_rows == 5
    second.close()
    # Chroma's own threads let go a moment later.
    deadline = time.monotonic() + 5
    while open_files(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_files(tmp_path) == []


def test_one_folder_is_source_and_target_at_once(tmp_path: Path) -> None:
    fill(tmp_path, sample(20, DIMENSION), "one")
    with closing(source(tmp_path, "one")) as one, closing(target(tmp_path, "other")) as other:
        other.prepare(SPACE, Index(), 20)
        with other.exclusive():
            for page in one.scan(7):
                other.upsert(page.records, absent=True)
        assert held(other).equals(held(one))


def test_an_older_folder_is_refused_and_not_migrated(tmp_path: Path) -> None:
    fill(tmp_path, sample(3, DIMENSION))
    with closing(sqlite3.connect(tmp_path / "chroma.sqlite3")) as database, database:
        database.execute("DELETE FROM migrations WHERE dir = 'metadb' AND version = 6")
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(Refused, match="older Chroma"):
            source(tmp_path)
    assert contents(tmp_path) == before


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(b"no database at all " * 999)
    with pytest.raises(Integrity, match="damaged"):
        source(tmp_path)


def test_surroundings_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("CHROMA_API_IMPL=nonsense\nIS_PERSISTENT=false\nANONYMIZED_TELEMETRY=true\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHROMA_API_IMPL", "nonsense")
    monkeypatch.setenv("ALLOW_RESET", "true")
    fill(tmp_path / "db", sample(3, DIMENSION))
    with closing(source(Path("db"))) as store:
        assert held(store).num_rows == 3


def test_a_fresh_process_reads_everything_back_without_the_network(tmp_path: Path) -> None:
    batch = sample(1200, DIMENSION)
    fill(tmp_path, batch)
    child = run_child(_FRESH, tmp_path)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == by_id(batch).column("id").to_pylist()


_FRESH = """
import json, sys
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} {args}")
sys.addaudithook(hook)
from wherry.stores.registry import open_source
store = open_source(f"chroma:{sys.argv[1]}#guides")
print(json.dumps(sorted(i for page in store.scan() for i in page.records["id"].to_pylist())))
"""


# What a collection is


def native(folder: Path) -> chromadb.ClientAPI:
    return chromadb.PersistentClient(str(folder))


def test_the_metric_is_that_of_the_index(tmp_path: Path) -> None:
    with closing(native(tmp_path)) as client:
        client.create_collection("plain", embedding_function=None)
        client.create_collection("legacy", embedding_function=None, metadata={"hnsw:space": "cosine", "hnsw:M": 7})
        client.create_collection(
            "both", embedding_function=None, configuration={"hnsw": {"space": "ip"}}, metadata={"hnsw:space": "cosine"}
        )
    found = {}
    for name in ("plain", "legacy", "both"):
        with closing(source(tmp_path, name)) as store:
            found[name] = store.describe()
    assert {name: c.space.metric for name, c in found.items()} == {
        "plain": Metric.L2, "legacy": Metric.COSINE, "both": Metric.IP,
    }  # fmt: skip
    assert found["plain"].index == Index("hnsw", 16, 100)
    assert found["legacy"].index.m == 7
    assert found["plain"].space == Space(metric=Metric.L2)
    assert "hnsw:space=cosine, its index is ip" in " ".join(found["both"].notes)


def test_a_card_never_overrules_the_index(tmp_path: Path) -> None:
    with closing(native(tmp_path)) as client:
        card = json.dumps({"metric": "cosine", "dimension": 3, "model": "m"})
        made = client.create_collection("guides", embedding_function=None, metadata={"wherry_space": card})
        made.add(ids=["a"], embeddings=[[1.0, 2.0]])
        for number, nonsense in enumerate(("{", "[1]", '{"metric": "warp"}')):
            client.create_collection(f"odd{number}", embedding_function=None, metadata={"wherry_space": nonsense})
    with closing(source(tmp_path)) as store:
        found = store.describe()
        assert found.space == Space(dimension=2, metric=Metric.L2, model="m")
        assert "card contradicts" in found.notes[0]
    for number in range(3):
        with closing(source(tmp_path, f"odd{number}")) as store:
            assert store.describe().space == Space(metric=Metric.L2)


def test_a_collection_with_an_embedder_is_read_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with closing(native(tmp_path)) as client:
        client.create_collection("guides").add(ids=["a"], embeddings=[[1.0, 2.0]], documents=["가"])
    with closing(sqlite3.connect(tmp_path / "chroma.sqlite3")) as database, database:
        embedder = json.dumps({"type": "known", "name": "openai", "config": {"api_key_env_var": "NO_SUCH_KEY"}})
        database.execute(
            "UPDATE collections SET config_json_str = json_set(config_json_str, '$.embedding_function', json(?))",
            (embedder,),
        )
    with closing(source(tmp_path)) as store:
        assert held(store).column("text").to_pylist() == ["가"]


def test_records_of_other_programs_are_read_whole(tmp_path: Path) -> None:
    with closing(native(tmp_path)) as client:
        client.create_collection("guides", embedding_function=None).add(
            ids=["a", "b", "c"],
            embeddings=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
            documents=["가", "", None],  # type: ignore[list-item]
            metadatas=[{"page": 1, "tags": ["x"]}, None, {"ok": True}],  # type: ignore[list-item]
            uris=["s3://a", None, None],  # type: ignore[list-item]
        )
    with closing(source(tmp_path)) as store:
        found = held(store)
    assert found.column("text").to_pylist() == ["가", "", None]
    assert [m and json.loads(m) for m in found.column("metadata").to_pylist()] == [
        {"page": 1, "tags": ["x"], "chroma:uri": "s3://a"}, None, {"ok": True},
    ]  # fmt: skip
    fill(tmp_path, found, "copy")
    with closing(native(tmp_path)) as client:
        copied = client.get_collection("copy", embedding_function=None).get(ids=["a"], include=["uris", "metadatas"])
    assert (copied["uris"], copied["metadatas"]) == (["s3://a"], [{"page": 1, "tags": ["x"]}])


def test_the_batch_size_is_asked(tmp_path: Path) -> None:
    with closing(target(tmp_path / "new")) as store:
        before = store.capabilities.max_batch
    assert not (tmp_path / "new").exists()
    with closing(native(tmp_path)) as client:
        assert before == client.get_max_batch_size()


# Making one


@pytest.mark.parametrize(
    ("space", "error"),
    [
        (Space(dimension=DIMENSION), UnknownMetric),
        (Space(dimension=DIMENSION, metric=Metric.L1), Unsupported),
    ],
    ids=["unknown", "l1"],
)
def test_a_metric_is_never_guessed(tmp_path: Path, space: Space, error: type[Exception]) -> None:
    with closing(target(tmp_path / "new")) as store, pytest.raises(error):
        store.prepare(space, Index(), 1)
    assert not (tmp_path / "new").exists()


def test_other_programs_find_metric_and_index_where_chroma_has_them(tmp_path: Path) -> None:
    with closing(target(tmp_path)) as store:
        store.prepare(Space(dimension=DIMENSION, metric=Metric.IP), Index("hnsw", 24, 70), 1)
        store.upsert(sample(3, DIMENSION))
        store.finish(SPACE, Index())
    with closing(native(tmp_path)) as client:
        index = client.get_collection("guides", embedding_function=None).configuration_json["hnsw"]
    assert (index["space"], index["max_neighbors"], index["ef_construction"]) == ("ip", 24, 70)
    assert index["sync_threshold"] == 1000


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("a", "a-records"), ("_docs_", "docs"), ("건강", "records"), ("my docs!", "my-docs"), ("a..b", "a-b"),
        ("127.0.0.1", "127-0-0-1"), ("x" * 600, "x" * 512), ("docs/2024", "docs-2024"),
    ],
)  # fmt: skip
def test_a_name_chroma_cannot_have_gets_the_rule_and_a_better_one(tmp_path: Path, name: str, better: str) -> None:
    with closing(target(tmp_path / "new", name.replace("/", "%2F"))) as store, pytest.raises(BadAddress) as caught:
        store.prepare(SPACE, Index(), 1)
    assert RULE in caught.value.what
    assert caught.value.next == f"call it {better}" == f"call it {suggestion(name)}"
    with closing(target(tmp_path, better)) as store:
        store.prepare(SPACE, Index(), 1)
        assert store.describe().exists


def test_a_collection_of_another_space_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, sample(3, DIMENSION))
    for space in (Space(dimension=DIMENSION, metric=Metric.COSINE), Space(dimension=9, metric=Metric.L2)):
        with closing(target(tmp_path)) as store, pytest.raises(SpaceMismatch):
            store.prepare(space, Index(), 1)


def test_an_empty_collection_of_somebody_else_gets_a_card(tmp_path: Path) -> None:
    with closing(native(tmp_path)) as client:
        client.create_collection("guides", embedding_function=None, metadata={"owner": "me"})
        client.create_collection("full", embedding_function=None).add(ids=["a"], embeddings=[[0.0] * DIMENSION])
    space = Space(dimension=DIMENSION, metric=Metric.L2, model="m")
    for name in ("guides", "full"):
        with closing(target(tmp_path, name)) as store:
            store.prepare(space, Index(), 1)
    with closing(native(tmp_path)) as client:
        metadata = client.get_collection("guides", embedding_function=None).metadata
        assert client.get_collection("full", embedding_function=None).metadata is None
    assert (metadata["owner"], Space.from_dict(json.loads(metadata["wherry_space"]))) == ("me", space)


# Vectors


@pytest.mark.parametrize("metric", [Metric.L2, Metric.IP])
def test_vectors_are_bit_exact_except_under_cosine(tmp_path: Path, metric: Metric) -> None:
    bits = np.random.default_rng(5).integers(0, 2**32, (300, 16), dtype=np.uint32)
    vectors = np.where(np.isfinite(bits.view(np.float32)), bits.view(np.float32), np.float32(-0.0))
    batch = make_batch([f"{n:03}" for n in range(300)], vectors, [None] * 300, [None] * 300)
    fill(tmp_path, batch, metric=metric)
    with closing(source(tmp_path)) as store:
        assert held(store).equals(batch)


def test_cosine_rounds_within_two_units_in_the_last_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(300, 64)) * rng.uniform(0.01, 90, (300, 1))).astype(np.float32)
    vectors[0] = 0
    batch = make_batch([f"{n:03}" for n in range(300)], vectors, [None] * 300, [None] * 300)
    fill(tmp_path, batch, metric=Metric.COSINE)
    with closing(source(tmp_path)) as store:
        found = vectors_of(held(store))
    off = np.abs(found.view(np.int32).astype(np.int64) - vectors.view(np.int32))
    assert 0 < off.max() <= 2
    assert not found[0].any()


@pytest.mark.parametrize("length", [1e-22, 3e19], ids=["short", "long"])
def test_lengths_that_cosine_destroys_are_refused(tmp_path: Path, length: float) -> None:
    vectors = np.full((2, DIMENSION), 1.0, dtype=np.float32)
    vectors[1] = length / DIMENSION**0.5
    batch = make_batch(["fine", "broken"], vectors, [None] * 2, [None] * 2)
    with closing(target(tmp_path)) as store:
        store.prepare(Space(dimension=DIMENSION, metric=Metric.COSINE), Index(), 2)
        with pytest.raises(BadRecord, match="'broken'"):
            store.upsert(batch)
        assert store.describe().count == 0
    fill(tmp_path, batch, "kept", Metric.L2)


# Other programs


def test_a_client_of_the_same_program_shares_the_index(tmp_path: Path) -> None:
    """Two clients of one folder would ruin it: ours joins the one that is there."""
    client = native(tmp_path)
    theirs = client.create_collection("guides", embedding_function=None)
    theirs.add(ids=["a"], embeddings=[[1.0] * DIMENSION])
    with closing(target(tmp_path)) as store:
        store.prepare(SPACE, Index(), 2000)
        store.upsert(sample(1500, DIMENSION))
        assert len(theirs.get(include=["embeddings"])["ids"]) == 1501
        theirs.add(ids=["b"], embeddings=[[2.0] * DIMENSION])
        store.upsert(sample(10, DIMENSION, start=5000))
    assert theirs.count() == 1512
    client.close()
    with closing(source(tmp_path)) as store:
        assert held(store).num_rows == 1512


def test_what_another_process_wrote_meanwhile_is_seen_and_not_ruined(tmp_path: Path) -> None:
    fill(tmp_path, sample(20, DIMENSION))
    with closing(target(tmp_path)) as store, closing(source(tmp_path)) as reader:
        assert held(store).num_rows == 20
        child = run_child(_STRANGER, tmp_path, 1500)
        assert child.returncode == 0, child.stderr
        assert held(reader).num_rows == 1520
        store.upsert(sample(1200, DIMENSION, start=5000))
        assert held(store).num_rows == 2720
    child = run_child(_FRESH, tmp_path)
    assert child.returncode == 0, child.stderr
    assert len(json.loads(child.stdout)) == 2720


_STRANGER = f"""
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1])
ids = [f"stranger-{{n}}" for n in range(int(sys.argv[2]))]
client.get_collection("guides", embedding_function=None).add(ids=ids, embeddings=[[1.5] * {DIMENSION}] * len(ids))
"""


def test_a_folder_that_another_process_has_open_is_not_written(tmp_path: Path) -> None:
    fill(tmp_path, sample(3, DIMENSION))
    child = run_child(_GUEST, tmp_path)
    assert child.returncode == 0, child.stderr


_GUEST = """
import os, subprocess, sys
from contextlib import closing, suppress
from wherry.errors import Busy
from wherry.stores.registry import open_source, open_target
address = f"chroma:{sys.argv[1]}#guides"
program = "import sys, chromadb; c = chromadb.PersistentClient(sys.argv[1]); print(1, flush=True); input()"
with subprocess.Popen([sys.executable, "-c", program, sys.argv[1]], stdin=-1, stdout=-1) as guest:
    guest.stdout.readline()
    with closing(open_target(address)) as store:
        try:
            with store.exclusive():
                raise SystemExit("was not refused")
        except Busy as error:
            assert f"process {guest.pid}" in error.what, error.what
    with closing(open_source(address)) as store:
        assert f"process {guest.pid}" in store.describe().notes[0]
    guest.communicate(b"\\n", timeout=20)
with closing(open_target(address)) as store, store.exclusive():
    pass
"""


def test_a_lost_vector_is_a_reject_and_can_be_written_anew(tmp_path: Path) -> None:
    fill(tmp_path, sample(30, DIMENSION))
    with closing(sqlite3.connect(tmp_path / "chroma.sqlite3")) as database, database:
        (segment,) = database.execute("SELECT id FROM segments WHERE scope = 'METADATA'").fetchone()
        database.execute("INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES (?, 'ghost', 1)", (segment,))
    ghost = from_records([Record("ghost", [1.0] * DIMENSION, "가", {"a": 1})])
    with closing(target(tmp_path)) as store:
        page = store.fetch(pa.array(["ghost", *sample(30, DIMENSION).column("id").to_pylist()]))
        assert ([r.id for r in page.rejects], [r.reason for r in page.rejects]) == (["ghost"], ["MissingVector"])
        assert page.records.num_rows == 30
        store.upsert(ghost)
        assert digests(store.fetch(pa.array(["ghost"])).records) == digests(ghost)


def test_a_held_folder_names_its_holder(tmp_path: Path) -> None:
    with (tmp_path / ".wherry.lock").open("w") as lock, closing(target(tmp_path)) as store:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="process 4711"):
            store.prepare(SPACE, Index(), 1)


def test_the_engine_reports_its_version() -> None:
    assert probe().detail == f"chromadb {chromadb.__version__}"


@pytest.mark.parametrize("address", ["chroma:#x", "chroma://host/x#y", "chroma:./x?token=t#y", "chroma+http:x#y"])
def test_addresses_that_make_no_sense(address: str) -> None:
    with pytest.raises(BadAddress):
        open_source(Address.parse(address))
