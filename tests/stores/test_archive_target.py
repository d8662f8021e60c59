"""Writing an archive: staged, published whole, and nothing else touched."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.stores.archive_kit import (
    INDEX,
    SPACE,
    SUFFIXES,
    by_id,
    contents,
    document,
    export,
    names,
    records,
    source,
    target,
    write,
)
from wherry.errors import BadAddress, Busy, DiskFull, Integrity, Refused, Rejected, SpaceMismatch
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Metric, Space
from wherry.stores.archive.disk import beside, writing
from wherry.stores.archive.vectors import SUFFIX
from wherry.stores.base import Index
from wherry.testing.crash import in_child
from wherry.testing.samples import sample


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A place for an archive in a folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder / f"a{request.param}"


def staged(path: Path) -> dict[Path, bytes]:
    """Return what lies beside an archive to be published: its database and its vectors."""
    return {file: file.read_bytes() for file in (beside(path, "staging"), beside(path, f"staging{SUFFIX}"))}


def put_back(files: dict[Path, bytes]) -> None:
    """Write files as they were."""
    for file, data in files.items():
        file.write_bytes(data)


def test_nothing_shows_until_it_is_published(path: Path) -> None:
    store = target(path)
    assert names(path.parent) == []
    store.prepare(SPACE, INDEX, 10)
    store.upsert(sample(10, 4))
    assert not path.exists()
    store.finish(SPACE, INDEX)
    assert names(path.parent) == [path.name]
    assert contents(path) == by_id(sample(10, 4))


def test_an_archive_is_replaced_whole(path: Path) -> None:
    write(path, sample(10, 4))
    before = path.read_bytes()
    store = target(path)
    newer = sample(4, 4, seed=1, start=8)
    store.upsert(newer)
    store.delete(sample(3, 4).column("id"))
    assert path.read_bytes() == before
    wanted = by_id(sample(10, 4).slice(3)) | by_id(newer)
    assert by_id(store.fetch(pa.array(list(wanted))).records) == wanted
    store.finish(SPACE, INDEX)
    assert contents(path) == wanted
    # What stays keeps its place, what is new comes last.
    assert [r.id for r in records(path)][-2:] == newer.column("id").to_pylist()[-2:]
    store.close()


def test_finish_without_a_change_leaves_the_file_alone(path: Path) -> None:
    write(path, sample(10, 4))
    stamp = path.stat()
    store = target(path)
    store.prepare(SPACE, INDEX, 10)
    store.finish(SPACE, INDEX)
    store.delete(pa.array(["nobody"]))
    store.finish(SPACE, INDEX)
    store.close()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
    assert names(path.parent) == [path.name]


def test_empty_collection_is_published(path: Path) -> None:
    write(path)
    found = source(path).describe()
    assert (found.count, found.space, found.index) == (0, SPACE, INDEX)
    assert records(path) == []
    write(path, sample(2, 4))
    assert len(records(path)) == 2


def test_collection_of_unknown_dimension(path: Path) -> None:
    write(path, space=Space())
    assert source(path).describe().space == Space()
    write(path, sample(2, 3), space=Space())
    assert source(path).describe().space.dimension == 3


def test_target_of_another_space_is_refused(path: Path) -> None:
    write(path, sample(2, 4))
    store = target(path)
    for space in (Space(dimension=5), Space(dimension=4, metric=Metric.L2), Space(model="other")):
        with pytest.raises(SpaceMismatch):
            store.prepare(space, INDEX, 1)
    with pytest.raises(Rejected):
        store.upsert(sample(2, 5))
    store.close()


def test_batch_that_cannot_be_kept_is_refused_whole(path: Path) -> None:
    store = target(path)
    store.prepare(SPACE, INDEX, 1)
    rows = [Record("a", [1.0, 2.0, 3.0, 4.0]), Record("", [1.0, 2.0, 3.0, 4.0])]
    with pytest.raises(Rejected):
        store.upsert(from_records(rows))
    rows[1] = Record("b", [1.0, float("nan"), 3.0, 4.0])
    with pytest.raises(Rejected):
        store.upsert(from_records(rows))
    assert store.describe().count == 0
    store.close()


def test_export_of_others_is_continued(tmp_path: Path) -> None:
    path = export(tmp_path / "a.json", document(1), document(2), pipeline={"id": 7})
    store = target(path)
    store.prepare(SPACE, INDEX, 1)
    store.upsert(from_records([Record("new", [1.0, 2.0, 3.0, 4.0])]))
    store.finish(SPACE, INDEX)
    store.close()
    found = json.loads(path.read_bytes())
    assert {key: found[key] for key in ("index_name", "index_id", "pipeline")} == {
        "index_name": "guides",
        "index_id": "x-1",
        "pipeline": {"id": 7},
    }
    assert (found["total_documents"], found["embedding_dimension"]) == (3, 4)
    assert [d["id"] for d in found["documents"]] == ["d1", "d2", "new"]
    assert source(path).describe().space == SPACE


def test_archive_with_what_could_not_be_written_back_is_refused(tmp_path: Path) -> None:
    for bad in (document(2, embedding=None), document(2, id="d1"), document(2, id=7)):
        path = export(tmp_path / "a.json", document(1), bad)
        before = path.read_bytes()
        store = target(path)
        with pytest.raises(Refused):
            store.upsert(from_records([Record("new", [1.0, 2.0, 3.0, 4.0])]))
        store.close()
        assert path.read_bytes() == before
        assert names(tmp_path) == ["a.json"]


def test_staged_batches_outlive_a_run_that_ends_early(path: Path) -> None:
    write(path, sample(10, 4))
    store = target(path)
    store.upsert(sample(3, 4, seed=1))
    store.delete(sample(1, 4, start=9).column("id"))
    store.close()
    again = target(path)
    wanted = by_id(sample(3, 4, seed=1)) | by_id(sample(10, 4).slice(3, 6))
    assert {i for chunk in again.ids() for i in chunk.to_pylist()} == wanted.keys()
    assert any("not published" in note for note in again.describe().notes)
    assert again.describe().space == SPACE
    again.finish(SPACE, INDEX)
    again.close()
    assert contents(path) == wanted
    assert names(path.parent) == [path.name]


def test_what_was_staged_is_laid_over_an_archive_that_changed_meanwhile(path: Path) -> None:
    write(path, sample(10, 4))
    store = target(path)
    store.upsert(sample(3, 4, seed=1))
    store.delete(sample(1, 4, start=9).column("id"))
    store.close()
    path.unlink()
    kept = staged(path)
    for file in kept:
        file.unlink()
    write(path, sample(12, 4, seed=2))
    put_back(kept)
    again = target(path)
    again.finish(SPACE, INDEX)
    again.close()
    theirs = by_id(sample(12, 4, seed=2))
    theirs.pop(sample(1, 4, start=9).column("id")[0].as_py())
    assert contents(path) == theirs | by_id(sample(3, 4, seed=1))


def test_archive_that_changes_during_a_run_is_not_written_over(path: Path) -> None:
    write(path, sample(10, 4))
    other = write(path.parent / f"other{path.suffix}", sample(5, 4, seed=2))
    store = target(path)
    store.upsert(sample(3, 4, seed=1))
    other.replace(path)
    with pytest.raises(Integrity, match="somebody else"):
        store.finish(SPACE, INDEX)
    store.close()
    assert contents(path) == by_id(sample(5, 4, seed=2))
    again = target(path)
    again.finish(SPACE, INDEX)
    again.close()
    assert contents(path) == by_id(sample(5, 4, seed=2)) | by_id(sample(3, 4, seed=1))


def test_staging_that_was_published_is_not_published_again(path: Path) -> None:
    write(path, sample(4, 4))
    store = target(path)
    store.upsert(sample(4, 4, seed=1))
    store.close()
    kept = staged(path)
    again = target(path)
    again.finish(SPACE, INDEX)
    again.close()
    put_back(kept)
    beside(path, "tmp").write_bytes(b"half")
    stamp = path.stat().st_mtime_ns
    store = target(path)
    store.finish(SPACE, INDEX)
    store.close()
    assert contents(path) == by_id(sample(4, 4, seed=1))
    assert names(path.parent) == [path.name]
    assert path.stat().st_mtime_ns >= stamp


def test_leftovers_of_a_crash_are_swept(path: Path) -> None:
    write(path, sample(3, 4))
    beside(path, "tmp").write_bytes(b"half an archive")
    target(path).close()
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("damage", ["missing", "of another run", "cut off"])
def test_vectors_that_are_not_those_of_the_staging_are_never_written(path: Path, damage: str) -> None:
    write(path, sample(3, 4))
    store = target(path)
    store.upsert(sample(3, 4, seed=1))
    store.close()
    vectors = beside(path, f"staging{SUFFIX}")
    whole = vectors.read_bytes()
    vectors.unlink()
    if damage != "missing":
        vectors.write_bytes(whole[:-4] if damage == "cut off" else bytes(16) + whole[16:])
    with pytest.raises(Integrity) as caught:
        target(path).finish(SPACE, INDEX)
    assert str(vectors) in str(caught.value)
    assert "remove the staging" in caught.value.next
    assert contents(path) == by_id(sample(3, 4))


def test_damaged_staging_is_an_error_that_says_what_to_do(path: Path) -> None:
    write(path, sample(3, 4))
    beside(path, "staging").write_bytes(b"no database" * 400)
    with pytest.raises(Integrity) as caught:
        target(path)
    assert "remove" in caught.value.next


def test_second_writer_is_told(path: Path) -> None:
    first, second = target(path), target(path)
    first.prepare(SPACE, INDEX, 1)
    with pytest.raises(Busy):
        second.prepare(SPACE, INDEX, 1)
    with pytest.raises(Busy), second.exclusive():
        pass
    first.upsert(sample(2, 4))
    third = target(path)
    assert third.describe().exists is False
    first.finish(SPACE, INDEX)
    with second.exclusive():
        assert third.describe().count == 2
    assert names(path.parent) == [path.name]
    for store in (first, second, third):
        store.close()


def test_writer_of_another_process_is_told_and_its_death_frees_the_archive(path: Path) -> None:
    def hold_and_die() -> None:
        store = target(path)
        store.prepare(SPACE, INDEX, 1)
        store.upsert(sample(2, 4))
        os.kill(os.getpid(), 9)

    assert in_child(hold_and_die).killed
    assert beside(path, "lock").exists()
    store = target(path)
    with store.exclusive():
        assert store.describe().count == 2
        assert in_child(lambda: target(path).prepare(SPACE, INDEX, 1)).error == "Busy"
        store.finish(SPACE, INDEX)
    store.close()
    assert names(path.parent) == [path.name]


def test_link_is_followed_and_kept(path: Path, tmp_path: Path) -> None:
    write(path, sample(3, 4))
    link = tmp_path / path.name
    link.symlink_to(path)
    store = target(link)
    assert store.identity == source(path).identity
    store.upsert(sample(3, 4, seed=1))
    store.finish(SPACE, INDEX)
    store.close()
    assert link.is_symlink()
    assert contents(path) == by_id(sample(3, 4, seed=1))
    assert names(path.parent) == [path.name]


def test_permissions_of_the_file_stay(path: Path) -> None:
    write(path, sample(3, 4))
    path.chmod(0o640)
    write(path, sample(4, 4))
    assert path.stat().st_mode & 0o777 == 0o640


def test_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    for length in (200, 250):
        path = tmp_path / ("n" * length + ".json")
        write(path, sample(2, 4))
        assert len(records(path)) == 2
    assert len(names(tmp_path)) == 2


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadAddress) as caught:
        target(tmp_path / "no" / "a.json")
    assert "mkdir" in caught.value.next
    assert names(tmp_path) == []


def test_wide_records_are_staged_and_published_in_small_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    batch = sample(12, 4)
    wide = make_batch(batch.column("id"), vectors_of(batch), ["x" * 4_000_000] * 12, [None] * 12)
    write(path, wide)
    assert max(page.read for page in source(path).scan()) < 12
    assert sum(page.read for page in source(path).scan()) == 12


def test_full_disk_is_named(tmp_path: Path) -> None:
    for code in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(DiskFull) as caught, writing(tmp_path / "a.json", "a.json"):
            raise OSError(code, os.strerror(code))
        assert str(tmp_path) in caught.value.where
        assert "bytes" in caught.value.what


def test_file_that_may_not_grow_leaves_the_old_archive(path: Path) -> None:
    write(path, sample(10, 4))
    before = path.read_bytes()

    def with_a_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))
        store = target(path)
        for start in range(0, 20_000, 500):
            store.upsert(sample(500, 4, start=start))
        store.finish(SPACE, INDEX)

    assert in_child(with_a_limit).error in ("DiskFull", "StoreError")
    assert path.read_bytes() == before
    store = target(path)
    store.finish(SPACE, INDEX)
    store.close()
    assert contents(path).items() >= by_id(sample(500, 4)).items()


FULL_DISK = """
import json, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", sys.argv[1]], check=True)
from pathlib import Path
from tests.stores.archive_kit import *
from wherry.errors import DiskFull
from wherry.testing.samples import sample
path, room = Path(sys.argv[1]) / ("a" + sys.argv[2]), Path(sys.argv[1]) / "room"
write(path, sample(100, 4))
old = contents(path)
store = target(path)
store.upsert(sample(500, 4, seed=1))
new = by_id(sample(500, 4, seed=1))
free = {"staging": 60_000, "publishing": 20_000}[sys.argv[3]]
try:
    if sys.argv[3] == "publishing":
        store.upsert(sample(2000, 4, seed=1))
        new = by_id(sample(2000, 4, seed=1))
    import shutil
    room.write_bytes(bytes(shutil.disk_usage(sys.argv[1]).free - free))
    for start in range(500, 100_000, 500):
        if sys.argv[3] == "staging":
            store.upsert(sample(500, 4, seed=1, start=start))
            new |= by_id(sample(500, 4, seed=1, start=start))
    store.finish(SPACE, INDEX)
    told = None
except DiskFull as error:
    told = error.to_dict()
left = names(path.parent)
kept = contents(path) == old
room.unlink()
store.finish(SPACE, INDEX)
store.close()
print(json.dumps({"told": told, "kept": kept, "left": left, "new": contents(path) == new, "end": names(path.parent)}))
"""


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
@pytest.mark.parametrize("step", ["staging", "publishing"])
def test_disk_that_is_really_full(tmp_path: Path, suffix: str, step: str) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system of one's own can be mounted here")
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path), suffix, step]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["told"]["error"] == "DiskFull"
    assert found["kept"] is True
    assert not any(name.endswith("tmp") for name in found["left"])
    assert found["new"] is True
    assert found["end"] == [f"a{suffix}"]


def test_describe_of_a_target_says_where_it_will_be(tmp_path: Path) -> None:
    found = target(tmp_path / "a.json").describe()
    assert (found.exists, found.count, found.space, found.index) == (False, 0, Space(), Index())
    assert found.volume == str(tmp_path)
