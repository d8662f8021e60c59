"""Killed, out of disk, interrupted: what a Chroma folder holds afterwards."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import chromadb
import pytest

from tests.stores.chroma_kit import ROOT, by_id, fill, held, part, source, target
from wherry.canonical import digests
from wherry.errors import Busy
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.chroma import ChromaStore, loading
from wherry.stores.chroma.backlog import backlog
from wherry.stores.chroma.guard import guarded, recover
from wherry.stores.chroma.loading import loading_threshold
from wherry.testing.crash import Runner
from wherry.testing.samples import sample

DIMENSION = 8
SPACE = Space(dimension=DIMENSION, metric=Metric.L2)

# Every child program begins with this: `store` is prepared for sys.argv[2] rows of samples.
_BEGIN = """
import os, signal, sys
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target
from tests.stores.chroma_kit import part
from wherry.testing.samples import sample
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
space = Space(dimension=8, metric=Metric.L2)
store = open_target(f"chroma:{sys.argv[1]}#guides")
store.prepare(space, Index(), int(sys.argv[2]))
"""


Killed = Callable[[str, Path, int], None]


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """Return what runs a program in a child that must end by SIGKILL."""
    with Runner({}, ["chromadb", "tests.stores.chroma_kit"]) as runner:

        def run(program: str, folder: Path, rows: int) -> None:
            ending = runner.call("tests.stores.chroma_kit:run_text", _BEGIN + program, str(folder), str(rows))
            assert ending.killed, ending

        yield run


def copies(folder: Path) -> list[str]:
    """Return the copies of index files that lie about."""
    home = folder / ".wherry-guard"
    return [path.name for path in home.iterdir() if "@" in path.name] if home.is_dir() else []


def test_what_upsert_returned_from_survives_a_kill(killed: Killed, tmp_path: Path) -> None:
    killed("store.upsert(sample(300, 8)); die()", tmp_path, 300)
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(sample(300, DIMENSION)))


def test_index_files_torn_by_a_kill_are_put_back(killed: Killed, tmp_path: Path) -> None:
    fill(tmp_path, sample(1100, DIMENSION))
    killed(_TEAR, tmp_path, 100)
    assert copies(tmp_path)
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(sample(1100, DIMENSION)))
    assert copies(tmp_path) == []


_TEAR = """
from wherry.stores.chroma.backlog import backlog
from wherry.stores.chroma.guard import guarded
with store._link().using() as client:
    collection = str(store._handle(client).id)
with guarded(store.place.folder, backlog(store.place.folder, collection)):
    for path in store.place.folder.glob("*/*"):
        if path.suffix in (".bin", ".pickle"):
            os.truncate(path, path.stat().st_size // 2)
    die()
"""


def test_a_first_index_torn_by_a_kill_is_built_again(killed: Killed, tmp_path: Path) -> None:
    """Nothing was in the files before: Chroma replays its log from the start."""
    killed("store.upsert(sample(300, 8))" + _TEAR, tmp_path, 300)
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(sample(300, DIMENSION)))


def test_a_kill_after_the_index_was_written_keeps_it(killed: Killed, tmp_path: Path) -> None:
    killed("from wherry.stores.chroma import guard; guard._drop = die; store.upsert(sample(1100, 8))", tmp_path, 1100)
    assert copies(tmp_path)
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(sample(1100, DIMENSION)))
    assert copies(tmp_path) == []


def test_nobody_looks_while_the_index_is_rewritten(tmp_path: Path) -> None:
    """A copy that is in use is not taken for one that was left."""
    fill(tmp_path, sample(1100, DIMENSION))
    with closing(source(tmp_path)) as store, store._link().using() as client:
        collection = str(store._handle(client).id)
        with ThreadPoolExecutor(1) as pool:
            with guarded(tmp_path, backlog(tmp_path, collection)):
                assert copies(tmp_path)
                opening = pool.submit(recover, tmp_path)
                with pytest.raises(TimeoutError):
                    opening.result(0.2)
                assert copies(tmp_path)
            assert opening.result(10) == []
        assert copies(tmp_path) == []


def test_a_torn_index_is_not_put_back_under_somebody_who_has_it_open(killed: Killed, tmp_path: Path) -> None:
    fill(tmp_path, sample(1100, DIMENSION))
    killed(_TEAR, tmp_path, 100)
    left = copies(tmp_path)
    with subprocess.Popen(["sleep", "60"], stdin=(tmp_path / "chroma.sqlite3").open()) as guest:
        with pytest.raises(Busy, match=f"process {guest.pid}"):
            source(tmp_path)
        guest.kill()
    assert copies(tmp_path) == left != []
    with closing(source(tmp_path)) as store:
        assert held(store).num_rows == 1100


def test_a_kill_between_delete_and_add_leaves_a_few_out_until_the_next_write(killed: Killed, tmp_path: Path) -> None:
    fill(tmp_path, sample(700, DIMENSION))
    newer = sample(700, DIMENSION, seed=1)
    killed("type(store)._add = die; store.upsert(sample(700, 8, seed=1))", tmp_path, 700)
    with closing(target(tmp_path)) as store:
        assert store.describe().count == 700 - 256
        store.upsert(newer)
        assert digests(held(store)) == digests(by_id(newer))


def test_a_killed_load_is_finished_by_the_next(killed: Killed, tmp_path: Path) -> None:
    """The setting for loading goes back to Chroma's own, and the index files hold what is there."""
    killed("store.upsert(sample(2500, 8)); die()", tmp_path, 40_000)
    assert loading_threshold(40_000) > 2500
    with closing(target(tmp_path)) as store:
        store.prepare(SPACE, Index(), 2500)
        store.upsert(part(2500, 10))
        store.finish(SPACE, Index())
        assert setting(store) == 1000
        with store._link().using() as client:
            handle = store._handle(client)
        state = backlog(tmp_path, str(handle.id))
    assert state is not None
    assert state.waiting < 10
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(sample(2510, DIMENSION)))


def test_an_index_that_grows_is_rewritten_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rewriting costs a copy of all of it; the setting for that goes back at the end."""
    monkeypatch.setattr(loading, "replacing_threshold", lambda records: 4011)
    fill(tmp_path, sample(5, DIMENSION))
    settings = []
    with closing(target(tmp_path)) as store:
        store.prepare(SPACE, Index(), 5000)
        for start in range(5, 2505, 500):
            store.upsert(part(start, 500))
            settings.append(setting(store))
        assert settings == [1000] * 3 + [4011] * 2
        store.finish(SPACE, Index())
        assert setting(store) == 1000
    with closing(source(tmp_path)) as store:
        assert digests(held(store)) == digests(by_id(part(0, 2505)))


def test_settings_that_somebody_chose_stay(tmp_path: Path) -> None:
    with closing(chromadb.PersistentClient(str(tmp_path))) as client:
        client.create_collection(
            "guides", embedding_function=None, configuration={"hnsw": {"space": "l2", "sync_threshold": 300}}
        )
    with closing(target(tmp_path)) as store:
        store.prepare(SPACE, Index(), 2000)
        for start in range(0, 2000, 250):
            store.upsert(part(start, 250))
        store.finish(SPACE, Index())
        assert setting(store) == 300


def setting(store: ChromaStore) -> int:
    """Return after how many operations Chroma is set to rewrite a collection's index."""
    with store._link().using() as client:
        return store._handle(client).configuration_json["hnsw"]["sync_threshold"]


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    child = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", _SMALL_DISK, "sh", tmp_path, sys.executable, _FULL],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
    )  # fmt: skip
    if child.returncode == 77 or "unshare" in child.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    assert child.returncode == 0, child.stderr


_SMALL_DISK = 'mount -t tmpfs -o size=12m tmpfs "$1" || exit 77; "$2" -c "$3" "$1/db" 20000'
_FULL = (
    """
import sys
from pathlib import Path
ballast = Path(sys.argv[1]).parent / "ballast"
ballast.write_bytes(bytes(8 << 20))
"""
    + _BEGIN
    + """
from wherry.errors import DiskFull
written = 0
try:
    for start in range(0, 20_000, 250):
        store.upsert(part(start, 250))
        written = start + 250
except DiskFull:
    pass
else:
    raise SystemExit("the disk never got full")
assert written > 0
store.close()
ballast.unlink()
from wherry.canonical import digests
from tests.stores.chroma_kit import ROOT, by_id, held
store = open_target(f"chroma:{sys.argv[1]}#guides")
store.prepare(space, Index(), written)
found = held(store)
assert written <= found.num_rows <= written + 250, (written, found.num_rows)
store.upsert(part(written, 250))
store.finish(space, Index())
assert digests(held(store)) == digests(by_id(sample(written + 250, 8)))
"""
)


def killed_at_random(folder: Path, seed: int) -> None:
    """Kill a child that writes, replaces and makes Chroma rewrite its index all the time; check, go on."""
    chance = random.Random(seed)
    command = [sys.executable, "-c", _BEGIN + _BUSY, str(folder), "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        written = 0
        end = None
        for line in child.stdout:
            written = int(line)
            end = end or time.monotonic() + chance.uniform(0, 0.8)
            if time.monotonic() > end:
                time.sleep(chance.uniform(0, 0.02))
                os.kill(child.pid, signal.SIGKILL)
                break
    with closing(source(folder)) as store:
        found = held(store)
        assert store.describe().count == found.num_rows
    expected = by_id(sample(written + 200, DIMENSION))
    known = dict(zip(expected.column("id").to_pylist(), digests(expected), strict=True))
    there = dict(zip(found.column("id").to_pylist(), digests(found), strict=True))
    assert all(known[record_id] == digest for record_id, digest in there.items())
    missing = set(sample(written, DIMENSION).column("id").to_pylist()) - there.keys()
    # Only a record that was just being replaced may be out, see the module `writing`.
    assert len(missing) <= 100
    with closing(target(folder)) as store:
        store.upsert(sample(written, DIMENSION).slice(max(0, written - 400)))


# The index is rewritten every 111 operations instead of every thousands: the dangerous moment is often.
_BUSY = """
from wherry.stores.chroma import writing
writing.loading_threshold = lambda rows: 111
store.prepare(space, Index(), 100)
written = store.describe().count // 50 * 50
while written < 4000:
    store.upsert(part(written, 50))
    written += 50
    if written % 200 == 0:
        store.upsert(part(written - 150, 100))
    print(written, flush=True)
"""


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    killed_at_random(tmp_path / "db", seed)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_many_random_moments(tmp_path: Path, seed: int) -> None:
    for number in range(10):
        killed_at_random(tmp_path / "db", 1000 + seed * 100 + number)
        if number % 4 == 3:
            shutil.rmtree(tmp_path / "db")
