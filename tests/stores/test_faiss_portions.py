"""Workers stage the vectors of one collection in one file, side by side, and it is published as it lies."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import pyarrow as pa
import pytest

from tests.sampled import sampled
from tests.stores.faiss_kit import DIMENSION, contents, dying_at, made, quick_folder
from wherry.errors import ArchiveCorrupt, DiskFull, Integrity
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index, Shared, Writable
from wherry.stores.faiss import vectors
from wherry.stores.registry import open_target
from wherry.testing.crash import in_child
from wherry.testing.samples import sample

HEAD, ROW = 45, 4 * DIMENSION
SPACE = Space(dimension=DIMENSION, metric=Metric.L2)


@contextmanager
def opened(folder: Path) -> Iterator[Shared]:
    """Open the collection, prepared and held."""
    store = open_target(f"faiss:{folder}#모음")
    assert isinstance(store, Shared)
    try:
        with store.exclusive():
            store.prepare(SPACE, Index(), 0)
            yield store
    finally:
        store.close()


def prepared(store: Shared, number: int) -> Writable:
    """Open a portion for writing."""
    portion = store.portion(number)
    portion.prepare(SPACE, Index(), 0)
    return portion


def share(folder: Path) -> None:
    """Let two workers write batches in turn, and publish; some replace what is there."""
    with opened(folder) as store:
        one, other = prepared(store, 0), prepared(store, 1)
        for start in range(0, 40, 10):
            one.upsert(sample(10, DIMENSION, 1, start=start))
            other.upsert(sample(7, DIMENSION, 1, start=100 + start))
        one.close()
        store.gather(0)
        other.upsert(sample(3, DIMENSION, 1, start=200))
        other.close()
        store.gather()
        store.finish(SPACE, Index())


def staged(folder: Path) -> Path:
    """Return where the staged vectors are."""
    return folder / "모음" / "staging" / "vectors"


def index_of(folder: Path) -> Path:
    """Return the index file that is live."""
    return folder / "모음" / "current" / "index.faiss"


def test_what_workers_staged_is_published_as_it_lies(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        one, other = prepared(store, 0), prepared(store, 1)
        for start in (0, 10):
            one.upsert(sample(10, DIMENSION, start=start))
            other.upsert(sample(10, DIMENSION, start=100 + start))
        other.close()
        store.gather(1)
        # What is read before the publishing is right, too.
        assert len(store.fetch(sample(10, DIMENSION, start=100).column("id")).records) == 10
        one.close()
        store.gather()
        node = staged(tmp_path).stat().st_ino
        store.finish(SPACE, Index())
    assert index_of(tmp_path).stat().st_ino == node
    want = [sample(10, DIMENSION, start=start) for start in (0, 100, 10, 110)]
    made(f"faiss:{tmp_path}/other#모음", pa.concat_batches(want))
    assert contents(f"faiss:{tmp_path}#모음") == contents(f"faiss:{tmp_path}/other#모음")
    # The index holds them in the order in which they were written, whoever wrote them.
    index = faiss.read_index(str(index_of(tmp_path)))
    assert index.reconstruct_n(0, 40).tobytes() == b"".join(vectors_of(batch).tobytes() for batch in want)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("before", [False, True], ids=["new", "live"])
def test_death_at_every_call_while_workers_stage(before: bool, every: bool) -> None:
    """Whatever the moment, what is live is whole, and the run that comes after brings all of it over."""
    with quick_folder() as folder:
        pristine = folder / "pristine"
        pristine.mkdir()
        if before:
            made(f"faiss:{pristine}#모음", sample(25, DIMENSION))
        shutil.copytree(pristine, folder / "shared", symlinks=True)
        calls = dying_at(0, lambda: share(folder / "shared")).value
        new = contents(f"faiss:{folder}/shared#모음")
        assert len(new) == 40 + 28 + 3
        old = contents(f"faiss:{pristine}#모음") if before else None
        for number in sampled(calls, whole=every):
            place = folder / f"n{number}"
            shutil.copytree(pristine, place, symlinks=True)
            assert dying_at(number, lambda: share(place)).killed, f"call {number}"  # noqa: B023
            if index_of(place).exists():
                assert contents(f"faiss:{place}#모음") in (old, new), f"call {number}"
            share(place)
            assert contents(f"faiss:{place}#모음") == new, f"call {number}"
            assert len(list((place / "모음").iterdir())) == 3, f"call {number}"
            shutil.rmtree(place)


def test_room_a_crash_left_unused_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> None:
        with opened(tmp_path) as store:
            store.upsert(sample(10, DIMENSION))
            monkeypatch.setattr(vectors, "write_all_at", lambda *_: os.kill(os.getpid(), 9))
            store.upsert(sample(10, DIMENSION, start=10))

    assert in_child(act).killed
    assert staged(tmp_path).stat().st_size == HEAD + 20 * ROW
    with opened(tmp_path) as store:
        assert staged(tmp_path).stat().st_size == HEAD + 10 * ROW
        store.upsert(sample(10, DIMENSION, start=10))
        node = staged(tmp_path).stat().st_ino
        store.finish(SPACE, Index())
    assert index_of(tmp_path).stat().st_ino == node
    assert len(contents(f"faiss:{tmp_path}#모음")) == 20


def test_a_gap_that_a_lost_worker_left_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> None:
        with opened(tmp_path) as store:
            one, other = prepared(store, 0), prepared(store, 1)
            one.upsert(sample(10, DIMENSION))
            write = vectors.write_all_at

            def lost(*_: object) -> None:
                monkeypatch.setattr(vectors, "write_all_at", write)
                other.upsert(sample(10, DIMENSION, start=100))
                os.kill(os.getpid(), 9)

            monkeypatch.setattr(vectors, "write_all_at", lost)
            one.upsert(sample(10, DIMENSION, start=10))

    assert in_child(act).killed
    assert staged(tmp_path).stat().st_size == HEAD + 30 * ROW
    with opened(tmp_path) as store:
        assert store.describe().count == 20
        store.finish(SPACE, Index())
    assert index_of(tmp_path).stat().st_size == HEAD + 20 * ROW
    found = contents(f"faiss:{tmp_path}#모음")
    for start in (0, 100):
        batch = sample(10, DIMENSION, start=start)
        for i, row in zip(batch.column("id").to_pylist(), vectors_of(batch), strict=True):
            assert found[i][0] == row.tobytes()


def test_a_batch_that_found_no_room_on_the_disk_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with opened(tmp_path) as store:
        one = prepared(store, 0)
        one.upsert(sample(10, DIMENSION))
        for owner in (vectors, one._staging.log):  # type: ignore[attr-defined]
            with monkeypatch.context() as patch:
                patch.setattr(owner, "write_all_at" if owner is vectors else "upsert", full)
                with pytest.raises(DiskFull):
                    one.upsert(sample(10, DIMENSION, start=10))
            assert staged(tmp_path).stat().st_size == HEAD + 10 * ROW
        one.upsert(sample(10, DIMENSION, start=10))
        one.close()
        store.gather()
        store.finish(SPACE, Index())
    assert len(contents(f"faiss:{tmp_path}#모음")) == 20


def test_who_was_given_up_for_lost_writes_nothing_into_what_was_published(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        late = prepared(store, 0)
        store.upsert(sample(10, DIMENSION))
        store.finish(SPACE, Index())
        before = index_of(tmp_path).read_bytes()
        with pytest.raises(Integrity, match="published while this"):
            late.upsert(sample(10, DIMENSION, start=10))
        late.close()
    assert index_of(tmp_path).read_bytes() == before
    assert len(before) == HEAD + 10 * ROW


def test_what_an_earlier_version_staged_is_named_and_left(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.upsert(sample(10, DIMENSION))
    log = tmp_path / "모음" / "staging" / "log"
    earlier = b"wfs1" + log.read_bytes()[4:]
    log.write_bytes(earlier)
    with pytest.raises(ArchiveCorrupt, match="by an earlier version") as caught, opened(tmp_path):
        pass
    assert str(log.parent) in (caught.value.next or "")
    assert log.read_bytes() == earlier
