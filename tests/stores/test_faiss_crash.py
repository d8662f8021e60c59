"""A process that dies at any of its calls to the disk leaves the old collection or the new one, never a mix."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import faiss
import pytest

from tests.sampled import sampled
from tests.stores.faiss_kit import DIMENSION, contents, dying_at, made, quick_folder
from wherry.errors import ArchiveCorrupt
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target
from wherry.testing.crash import in_child
from wherry.testing.samples import sample

ROWS = 40
SPACE = Space(dimension=DIMENSION, metric=Metric.COSINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A quick folder; and FAISS with one thread, since threads do not survive a fork."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    with quick_folder() as path:
        yield path
    faiss.omp_set_num_threads(before)


def change(address: str) -> None:
    """Replace, add and delete, and publish."""
    store = open_target(address)
    with store.exclusive():
        store.upsert(sample(10, DIMENSION, 1, start=5))
        store.upsert(sample(7, DIMENSION, start=100), absent=True)
        store.delete(sample(3, DIMENSION, start=20).column("id"))
        store.finish(SPACE, Index())
    store.close()


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("index", [Index(), Index("hnsw", 4, 20)], ids=["flat", "graph"])
def test_death_at_every_call_to_the_disk(folder: Path, index: Index, every: bool) -> None:
    """In a commit at the first and the last call of each kind and at some between; in a campaign at every one."""
    pristine = folder / "pristine"
    made(f"faiss:{pristine}#모음", sample(ROWS, DIMENSION), Metric.COSINE, index)
    old = contents(f"faiss:{pristine}#모음")
    shutil.copytree(pristine, folder / "changed", symlinks=True)
    calls = dying_at(0, lambda: change(f"faiss:{folder}/changed#모음")).value
    assert len(calls) > 20
    new = contents(f"faiss:{folder}/changed#모음")
    assert len(new) == ROWS + 7 - 3
    assert new != old

    seen = []
    for number in sampled(calls, whole=every):
        place = folder / f"n{number}"
        shutil.copytree(pristine, place, symlinks=True)
        address = f"faiss:{place}#모음"
        assert dying_at(number, lambda: change(address)).killed, f"call {number}"  # noqa: B023
        state = contents(address)
        assert state in (old, new), f"call {number}"
        seen.append(state == new)
        change(address)
        assert contents(address) == new, f"call {number}"
        # Nothing is left lying about: the link, the lock, one generation.
        assert len(list((place / "모음").iterdir())) == 3, f"call {number}"
        shutil.rmtree(place)
    # There is one moment before which everybody sees the old state, and after it the new one.
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (False, True)


def test_death_while_the_first_generation_is_made(tmp_path: Path) -> None:
    """Nothing is there before the first publishing, and what was staged is not lost."""
    address = f"faiss:{tmp_path}#새것"

    def act() -> None:
        store = open_target(address)
        store.prepare(SPACE, Index("hnsw", 4, 20), ROWS)
        store.upsert(sample(ROWS, DIMENSION))
        os.kill(os.getpid(), 9)

    assert in_child(act).killed
    store = open_target(address)
    assert store.describe().exists is False
    with store.exclusive():
        assert store.describe().count == ROWS
        store.finish(SPACE, Index())
    found = store.describe()
    assert (found.count, found.index) == (ROWS, Index("hnsw", 4, 20))
    store.close()
    assert len(contents(address)) == ROWS


def test_half_a_batch_is_no_batch(tmp_path: Path) -> None:
    """A log cut anywhere in its last frame gives exactly the batches before it."""
    address = f"faiss:{tmp_path}/a#표"

    def act() -> None:
        store = open_target(address)
        store.prepare(SPACE, Index(), ROWS)
        store.upsert(sample(10, DIMENSION))
        store.upsert(sample(10, DIMENSION, start=10))
        os.kill(os.getpid(), 9)

    assert in_child(act).killed
    log = tmp_path / "a" / "표" / "staging" / "log"
    whole = log.read_bytes()
    last = whole.rindex(b"wfs2")
    for cut in (last, last + 1, last + 30, last + 200, len(whole) - 1):
        folder = tmp_path / f"cut{cut}"
        shutil.copytree(tmp_path / "a", folder, symlinks=True)
        (folder / "표" / "staging" / "log").write_bytes(whole[:cut])
        store = open_target(f"faiss:{folder}#표")
        with store.exclusive():
            assert sorted(i for ids in store.ids() for i in ids.to_pylist()) == sorted(
                sample(10, DIMENSION).column("id").to_pylist()
            )
            store.upsert(sample(10, DIMENSION, start=10))
            store.finish(SPACE, Index())
        assert store.describe().count == 20
        store.close()


def test_damage_in_the_middle_of_what_is_staged_is_no_end(tmp_path: Path) -> None:
    """A crash breaks nothing but the last batch: when others follow a broken one, that is said, not cut off."""
    address = f"faiss:{tmp_path}#표"

    def act() -> None:
        store = open_target(address)
        store.prepare(SPACE, Index(), ROWS)
        for start in range(0, 30, 10):
            store.upsert(sample(10, DIMENSION, start=start))
        os.kill(os.getpid(), 9)

    assert in_child(act).killed
    log = tmp_path / "표" / "staging" / "log"
    whole = bytearray(log.read_bytes())
    second = whole.index(b"wfs2", whole.index(b"wfs2", 1) + 1)
    whole[second + 200] ^= 1
    log.write_bytes(whole)
    store = open_target(address)
    with pytest.raises(ArchiveCorrupt, match="in the middle"), store.exclusive():
        pass
    assert log.read_bytes() == bytes(whole)
    with pytest.raises(ArchiveCorrupt, match="in the middle"):
        store.prepare(SPACE, Index(), ROWS)
    store.close()
