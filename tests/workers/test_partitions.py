"""Partitions: several bring a collection over, and nobody who is lost takes anything along."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import wherry
from tests.workers import kit
from wherry.errors import Busy, MassDelete, Usage, WorkerLost
from wherry.moving import sync as sync_module
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Part
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target
from wherry.testing.samples import sample

PAIRS = {
    "archive to archive": ("{0}/one.parquet", "{0}/two.parquet"),
    "archive to faiss": ("{0}/one.parquet", "faiss:{0}/two#문서"),
    "archive to pgvector": ("{0}/one.parquet", "pgvector:#{1}_to"),
    "pgvector to faiss": ("pgvector:#{1}", "faiss:{0}/two#문서"),
    "pgvector to archive": ("pgvector:#{1}", "{0}/two.parquet"),
    "pgvector to pgvector": ("pgvector:#{1}", "pgvector:#{1}_to"),
    "faiss to archive": ("faiss:{0}/one#문서", "{0}/two.parquet"),
}
Around = Callable[[Part, Callable[[], Crossed]], Crossed]


SOME = ("archive to faiss", "archive to pgvector", "pgvector to archive")


@pytest.fixture(params=SOME)
def pair(request: pytest.FixtureRequest, tmp_path: Path, name: str, pg: psycopg.Connection) -> tuple[str, str]:
    """Two addresses; the source is filled."""
    source, target = (address.format(tmp_path, name) for address in PAIRS[request.param])
    kit.fill(source)
    return source, target


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A filled archive, and where a FAISS collection may be."""
    source, target = f"{tmp_path}/one.parquet", f"faiss:{tmp_path}/two#문서"
    kit.fill(source)
    return source, target


def crew(monkeypatch: pytest.MonkeyPatch, around: Around = lambda part, act: act()) -> None:
    """Let workers be of this process."""
    monkeypatch.setattr(sync_module, "hiring", lambda engine, job, workers, address: kit.here(job, around))


def sync(source: str, target: str, **wishes: Any) -> wherry.SyncResult:
    """Sync with two workers and check what holds on every run."""
    result = wherry.sync(source, target, workers=2, **wishes)
    assert result.read == result.written + result.unchanged + result.quarantined
    return result


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_all_of_it_is_brought_over_once(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crew(monkeypatch)
    result = sync(*pair)
    assert (result.created, result.equal, result.verified) == (kit.ROWS, True, "deep")
    assert result.notes == ()
    assert kit.differences(*pair) == []
    assert kit.leftovers(tmp_path) == []


def test_a_second_run_and_one_worker_find_nothing_to_do(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    crew(monkeypatch)
    sync(*pair)
    again, alone = sync(*pair), wherry.sync(*pair)
    assert (again.written, again.equal) == (0, True)
    assert (alone.written, alone.equal, alone.unchanged) == (0, True, kit.ROWS)


def test_changes_and_deletions_are_carried_over(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    crew(monkeypatch)
    sync(*pair)
    kit.fill(pair[0], 300, version=1)
    kit.drop(pair[0], 1000, 100)
    result = sync(*pair)
    assert (result.changed, result.deleted, result.equal) == (300, 100, True)
    assert kit.differences(*pair) == []


def test_deep_reads_all_of_the_target_and_mends(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    crew(monkeypatch)
    sync(*pair)
    kit.fill(pair[1], 5, version=1)
    result = sync(*pair, level="deep")
    assert (result.changed, result.equal, result.verified) == (5, True, "deep")
    assert kit.differences(*pair) == []


def test_a_target_that_holds_something_is_completed(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    crew(monkeypatch)
    kit.fill(pair[1], 500)
    result = sync(*pair)
    assert (result.created, result.unchanged, result.equal) == (kit.ROWS - 500, 500, True)
    assert kit.differences(*pair) == []


class Losing:
    """Loses workers: before they begin, after some batches, or after all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, when: str, times: int = 1) -> None:
        self.when, self.times, self.begun = when, times, 0
        self.patch = monkeypatch

    def __call__(self, part: Part, act: Callable[[], Crossed]) -> Crossed:
        """Bring a partition over, or lose the worker of partition 1."""
        if part.number != 1 or self.times == 0:
            return act()
        self.times -= 1
        if self.when == "middle":
            with self.patch.context() as patch:
                patch.setattr("wherry.moving.ledger.Ledger.advance", self._advance)
                with pytest.raises(ConnectionAbortedError):
                    act()
        if self.when == "after":
            act()
        raise kit.lost()

    def _advance(self, number: int, state: int) -> None:
        raise ConnectionAbortedError


def test_a_lost_worker_takes_nothing_along(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _lose(pair, "middle", monkeypatch)
    assert kit.leftovers(tmp_path) == []
    # What the lost one wrote was counted after all: the next run trusts the number.
    again = sync(*pair)
    assert (again.written, again.equal) == (0, True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_may_be_lost_at_any_time(files: tuple[str, str], when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose(files, when, monkeypatch)


def _lose(pair: tuple[str, str], when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crew(monkeypatch, Losing(monkeypatch, when))
    result = sync(*pair)
    assert result.equal
    assert result.notes == ("1 partitions were taken over from workers that were lost",)
    assert kit.differences(*pair) == []


def test_a_partition_that_costs_every_worker_ends_the_run(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crew(patch, Losing(monkeypatch, "middle", times=9))
        with pytest.raises(WorkerLost, match="partition 1 was given to 3 workers"):
            sync(*pair)
    result = wherry.sync(*pair)
    assert result.equal
    assert kit.differences(*pair) == []


def test_what_a_failed_run_staged_is_not_brought_over_again(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(part: Part, act: Callable[[], Crossed]) -> Crossed:
        if part.number == 0:
            raise RuntimeError("on purpose")
        return act()

    with monkeypatch.context() as patch:
        crew(patch, fail)
        with pytest.raises(RuntimeError, match="on purpose"):
            sync(*files)
    # In portions still, or taken over from them.
    assert kit.leftovers(tmp_path) + [path.name for path in tmp_path.rglob("staging/log")] != []
    crew(monkeypatch)
    result = sync(*files)
    assert 0 < result.created < kit.ROWS
    assert result.equal
    assert kit.differences(*files) == []
    assert kit.leftovers(tmp_path) == []


def test_a_mass_deletion_is_refused_before_a_worker_starts(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crew(monkeypatch)
    sync(*pair)
    kit.drop(pair[0], 0, 800)
    with monkeypatch.context() as patch:
        patch.setattr(sync_module, "hiring", partial(pytest.fail, "a worker was hired"))
        with pytest.raises(MassDelete):
            sync(*pair)


def test_rejects_of_every_partition_are_kept(
    tmp_path: Path, name: str, pg: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew(monkeypatch)
    kit.fill(f"pgvector:#{name}", 900)
    pg.execute(f'ALTER TABLE "{name}" ALTER COLUMN embedding DROP NOT NULL')
    wanted = [i for start in (10, 500, 850) for i in kit.ids(start, 1).to_pylist()]
    with pg.transaction():
        pg.execute(f'UPDATE "{name}" SET embedding = NULL WHERE id = ANY (%s)', [wanted])
    result = sync(f"pgvector:#{name}", f"faiss:{tmp_path}/two#문서")
    assert (result.quarantined, result.created, result.exit_code) == (3, 897, 5)
    assert sorted(reject.id for reject in result.quarantine) == sorted(wanted)


def test_the_plan_lists_the_ranges_and_every_record_is_in_one(pair: tuple[str, str]) -> None:
    plan = wherry.plan(*pair, workers=2)
    assert 2 <= len(plan.parts) <= 8
    assert plan.to_dict()["parts"][0].keys() == {"first", "end", "rows"}
    source = open_source(pair[0])
    found = [i for part in plan.parts for page in source.scan_range(part) for i in page.ids.to_pylist()]
    source.close()
    assert sorted(found) == sorted(kit.ids(0, kit.ROWS).to_pylist())


def test_who_cannot_be_cut_is_brought_over_by_one_and_says_so(tmp_path: Path) -> None:
    kit.fill(f"{tmp_path}/one.jsonl", 300)
    result = wherry.sync(f"{tmp_path}/one.jsonl", f"{tmp_path}/two.parquet", workers=4)
    assert result.equal
    assert "too small to be cut, or cannot be" in result.notes[-1]
    one_writer = wherry.sync(f"{tmp_path}/two.parquet", "memory:#two", workers=4)
    assert "takes one writer at a time" in one_writer.notes[-1]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"workers": 0}, "between 1 and 256"),
        ({"workers": 257}, "between 1 and 256"),
        ({"engine": "spark"}, "unknown engine"),
        ({"ray_address": "auto"}, "the engine is not Ray"),
    ],
)
def test_wishes_that_cannot_be(wishes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(Usage, match=words):
        wherry.sync(f"{tmp_path}/one.parquet", f"{tmp_path}/two.parquet", **wishes)


@pytest.mark.parametrize("key", ["bigint", "uuid", "varchar"])
def test_tables_are_cut_by_keys_of_every_type(key: str, name: str, pg: psycopg.Connection) -> None:
    made = {"bigint": "n", "uuid": "md5(n::text)::uuid", "varchar": "'식별자 ' || n"}[key]
    pg.execute(f'CREATE TABLE "{name}" (id {key} PRIMARY KEY, embedding vector(2), content text)')
    pg.execute(f"INSERT INTO \"{name}\" SELECT {made}, '[1,2]', 'x' FROM generate_series(-500, 500) n")
    source = open_source(f"pgvector:#{name}?id=id&vector=embedding&text=content")
    parts = source.ranges(5)
    sizes = [sum(page.read for page in source.scan_range(part)) for part in parts]
    source.close()
    assert len(parts) == 5
    assert sum(sizes) == 1001
    assert max(sizes) - min(sizes) <= 2


def test_a_file_that_took_the_place_of_the_one_that_was_cut_is_noticed(tmp_path: Path) -> None:
    path = f"{tmp_path}/one.parquet"
    kit.fill(path)
    cut = open_source(path)
    parts = cut.ranges(3)
    cut.close()
    kit.fill(path, kit.ROWS + 400)
    other = open_source(path)
    with pytest.raises(wherry.WherryError, match="another one than the one that was cut"):
        next(iter(other.scan_range(parts[1])))
    other.close()


def test_a_worker_whose_run_has_ended_writes_nothing(name: str, pg: psycopg.Connection) -> None:
    target = open_target(f"pgvector:#{name}")
    target.prepare(kit.SPACE, Index(), 10)
    orphan = target.portion(0)
    with pytest.raises(Busy, match="has ended"):
        orphan.upsert(sample(10, kit.DIMENSION))
    target.close()
    assert pg.execute(f'SELECT count(*) FROM "{name}"').fetchone() == (0,)


def test_a_portion_that_is_still_written_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.stores.archive.portion.PATIENCE_S", 0.2)
    monkeypatch.setattr("wherry.stores.faiss.portion.PATIENCE_S", 0.2)
    for address in (f"{tmp_path}/to.parquet", f"faiss:{tmp_path}/to#x"):
        whole = open_target(address)
        whole.prepare(kit.SPACE, Index(), 10)
        slow = whole.portion(0)
        with pytest.raises(Busy):
            whole.portion(0)
        slow.prepare(kit.SPACE, Index(), 10)
        slow.close()
        # One that was never prepared lets go as well.
        whole.portion(0).close()
        whole.portion(0).close()
        whole.close()


@pytest.mark.parametrize("address", ["{}/to.parquet", "faiss:{}/to#x"])
def test_what_a_killed_run_left_is_taken_over_record_by_record(tmp_path: Path, address: str) -> None:
    """Two killed runs may have been cut otherwise: what the later portion holds of a record is what counts."""
    there, wanted = address.format(tmp_path), f"{tmp_path}/wanted.parquet"
    for number, version in ((0, 0), (1, 1)):
        whole = open_target(there)
        whole.prepare(kit.SPACE, Index(), 10)
        portion = whole.portion(number)
        portion.prepare(kit.SPACE, Index(), 10)
        portion.upsert(sample(10, kit.DIMENSION, version))
        portion.close()
        whole.close()
    whole = open_target(there)
    whole.prepare(kit.SPACE, Index(), 10)
    with whole.exclusive():
        assert whole.describe().count == 10
        whole.finish(kit.SPACE, Index())
    whole.close()
    kit.fill(wanted, 10, version=1)
    assert kit.differences(there, wanted) == []
    assert kit.leftovers(tmp_path) == []


def test_portions_that_lie_beside_an_archive_are_one_collection(tmp_path: Path) -> None:
    whole = open_target(f"{tmp_path}/to.parquet")
    whole.prepare(kit.SPACE, Index(), 30)
    with whole.exclusive():
        for number in range(3):
            portion = whole.portion(number)
            portion.prepare(kit.SPACE, Index(), 30)
            portion.upsert(sample(10, kit.DIMENSION, start=10 * number))
            portion.close()
        whole.gather()
        assert whole.describe().count == 30
        assert [len(page) for page in whole.ids(10)] == [10, 10, 10]
        assert whole.fetch(kit.ids(8, 4)).ids.to_pylist() == kit.ids(8, 4).to_pylist()
        whole.delete(kit.ids(9, 3))
        whole.upsert(sample(10, kit.DIMENSION, 1, start=20))
        assert whole.describe().count == 27
        whole.finish(kit.SPACE, Index())
    whole.close()
    kit.fill(f"{tmp_path}/wanted.parquet", 30, group=10)
    kit.drop(f"{tmp_path}/wanted.parquet", 9, 3)
    expected = sorted(kit.ids(20, 10).to_pylist())
    assert kit.differences(f"{tmp_path}/to.parquet", f"{tmp_path}/wanted.parquet") == expected
    assert kit.leftovers(tmp_path) == []
