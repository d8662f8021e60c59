"""Histories in which a ledger of digests could mislead, and the ways in which the journal can fail."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest

import wherry
from tests.crash.chest import Chest
from tests.crash.scene import SPACE, Scene, contents, first_copy, record, update
from wherry.errors import DiskFull, Integrity, Interrupted, MassDelete, WherryError
from wherry.record import Page, Record, Reject
from wherry.stores import memory
from wherry.stores.base import PAGE_ROWS, Index
from wherry.testing.faults import Calls, Fault, Moment


def in_memory(name: str, *records: Record) -> memory.MemoryStore:
    """Return a collection of this process."""
    store = memory.open_target(wherry.Address.parse(f"memory:#{name}"))
    store.prepare(SPACE, Index(), len(records))
    if records:
        store.upsert(wherry.record.from_records(records))
    return store


class Rejecting(memory.MemoryStore):
    """A source some of whose records no batch can hold."""

    bad: tuple[str, ...] = ()

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        for page in super().scan(rows):
            good = pa.array([i not in self.bad for i in page.records["id"].to_pylist()])
            yield Page(page.records.filter(good), [Reject(i, "MissingVector") for i in self.bad])


def rejecting(name: str, *bad: str) -> Rejecting:
    store = Rejecting(name)
    store.bad = bad
    return store


def test_quarantined_record_that_is_good_again_is_not_taken_for_stale() -> None:
    source, target = in_memory("s", record(1), record(2)), in_memory("t")
    wherry.sync(source, target)
    spoilt = wherry.sync(rejecting("s", "r002"), target)
    assert (spoilt.quarantined, spoilt.deleted, spoilt.equal) == (1, 0, False)
    again = wherry.sync(source, target)
    assert (again.written, again.unchanged, again.equal) == (0, 2, True)


def test_quarantined_record_that_changed_meanwhile_is_written() -> None:
    source, target = in_memory("s", record(1), record(2)), in_memory("t")
    wherry.sync(source, target)
    wherry.sync(rejecting("s", "r002"), target)
    source.upsert(wherry.record.from_records([record(2, 1)]))
    assert wherry.sync(source, target).written == 1
    assert wherry.verify(source, target).verdict == "verified"


def test_reject_whose_id_is_no_unicode_is_quarantined_every_time() -> None:
    source, target = rejecting("s", "r\ud800"), in_memory("t")
    source.prepare(SPACE, Index(), 1)
    source.upsert(wherry.record.from_records([record(1)]))
    for _ in range(2):
        result = wherry.sync(source, target)
        assert [r.id for r in result.quarantine] == ["r\ud800"]


def test_id_that_is_used_again_for_another_record(tmp_path: Path) -> None:
    scene = first_copy(tmp_path / "s", versions=True)
    scene.sync()
    scene.drop(7)
    scene.put(replace(record(9, 5), id="r007"))
    assert scene.sync()["written"] == 1
    assert scene.wrong() == []


def test_there_and_back_again() -> None:
    one, other = in_memory("one", *(record(n) for n in range(30))), in_memory("other")
    wherry.sync(one, other)
    other.upsert(wherry.record.from_records([record(3, 1), record(40)]))
    back = wherry.sync(other, one)
    assert (back.written, back.equal) == (2, True)
    other.upsert(wherry.record.from_records([record(3)]))
    forth = wherry.sync(one, other, level="deep")
    assert (forth.written, forth.equal) == (1, True)


def test_two_sources_onto_one_target_by_turns() -> None:
    left = in_memory("left", *(record(n) for n in range(30)))
    right = in_memory("right", *(record(n, n % 2) for n in range(30)))
    target = in_memory("target")
    for source in (left, right, left, left, right):
        wherry.sync(source, target)
        assert wherry.verify(source, target).verdict == "verified"


def test_version_tokens_of_one_source_mean_nothing_for_another(tmp_path: Path) -> None:
    """Two copies of a database may give the same token to different contents."""
    scene, twin = first_copy(tmp_path / "a", versions=True), first_copy(tmp_path / "b", versions=True)
    scene.sync()
    scene.put(record(5, 1))
    twin.put(record(5))
    with scene.source() as source, twin.source() as copy:
        assert source.mark() == copy.mark()
    twin.folder.joinpath("source.db").rename(scene.folder / "twin.db")
    with scene.target() as target, scene.state():
        copy = Chest(scene.folder / "twin.db", detects_changes=True)
        assert wherry.verify(copy, target, level="digests").equal
        copy.close()
    scene.sync()
    assert scene.wrong() == []


def test_source_that_shows_less_than_it_counts_is_never_equal() -> None:
    """A scan that loses its last page must not end in "equal"."""
    source = in_memory("s", *(record(n) for n in range(20)))
    short = rejecting("s")
    short.scan = lambda rows=PAGE_ROWS: list(memory.MemoryStore.scan(short, 8))[:-1]  # type: ignore
    result = wherry.sync(short, in_memory("t"))
    assert not result.equal
    assert wherry.sync(source, in_memory("t")).equal


def test_scan_that_misses_records_deletes_nothing_the_source_still_has() -> None:
    source, target = in_memory("s", *(record(n) for n in range(60))), in_memory("t")
    wherry.sync(source, target)
    short = rejecting("s")
    short.scan = lambda rows=PAGE_ROWS: list(memory.MemoryStore.scan(short, 8))[:-1]  # type: ignore
    assert not wherry.sync(short, target).equal
    assert target.describe().count == 60


def test_damage_that_verify_found_is_mended_by_the_next_sync(tmp_path: Path) -> None:
    """Values changed, a record made unreadable, one deleted, one added: behind wherry's back."""
    scene = first_copy(tmp_path / "s", versions=True)
    scene.sync()
    with scene.target() as target:
        target.put(record(3, 9), record(300))
        target.spoil("r004")
        target.drop("r005")
    found = scene.verify()
    assert not found["equal"]
    scene.sync()
    assert scene.wrong() == []
    assert scene.verify()["verdict"] == "verified"


def test_unreadable_record_at_the_target_is_not_equal_at_any_level(tmp_path: Path) -> None:
    scene = first_copy(tmp_path / "s")
    scene.sync()
    with scene.target() as target:
        target.spoil("r004")
    assert not scene.verify()["equal"]
    assert scene.sync(level="deep")["written"] == 1
    assert scene.wrong() == []


def test_mass_deletion_refused_then_allowed(tmp_path: Path) -> None:
    scene = first_copy(tmp_path / "s")
    scene.sync()
    scene.drop(*range(30))
    for _ in range(2):
        with pytest.raises(MassDelete):
            scene.sync(allow_mass_delete=False)
        with scene.target() as target:
            assert target.describe().count == 60
    assert scene.sync()["deleted"] == 30
    assert scene.wrong() == []


def test_levels_mixed_with_damage_between_them(tmp_path: Path) -> None:
    """A run that reads nothing back trusts nothing to later runs: they read its batches."""
    scene = first_copy(tmp_path / "s")
    scene.sync(level="counted")
    with scene.target() as target:
        target.put(record(3, 9))
    assert scene.sync()["written"] == 1
    assert scene.wrong() == []


@pytest.mark.parametrize("at", range(1, 80, 6))
def test_ctrl_c_is_an_interruption_that_can_be_resumed(at: int, tmp_path: Path) -> None:
    scene = update(tmp_path / "s")
    calls = Calls(at, Fault(Moment.AFTER, KeyboardInterrupt), only=("upsert", "fetch", "scan", "delete"))
    try:
        scene.sync(calls)
    except (Interrupted, KeyboardInterrupt):
        assert calls.struck
    assert scene.sync()["equal"]
    assert scene.wrong() == []


@pytest.mark.parametrize("room", range(0, 14, 2))
def test_journal_on_a_full_disk_names_it_and_can_go_on(room: int, tmp_path: Path) -> None:
    """The journal may grow by some pages and no more, whichever statement that hits."""
    scene = update(tmp_path / "s")
    # They need ten pages.
    scene.put(*(record(n, 3) for n in range(100, 800)))
    try:
        with full_journal(room):
            scene.sync()
    except WherryError as error:
        assert isinstance(error, DiskFull), error  # noqa: PT017 - it may also not be raised at all
    assert scene.sync()["equal"]
    assert scene.wrong() == []


def full_journal(room: int) -> Any:
    """Let journals that are opened grow by `room` pages beyond their present size."""
    connect = sqlite3.connect

    def limited(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(database, *args, **options)
        if "/journal/" in str(database):
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + room}")
        return connection

    return patch.object(sqlite3, "connect", limited)


@pytest.mark.parametrize("place", range(0, 100, 4))
def test_damaged_journal_is_named_or_does_no_harm(place: int, tmp_path: Path) -> None:
    """A stretch of rubbish anywhere in the journal: a named error, or a target that is right."""
    scene = update(tmp_path / "s")
    (journal,) = (scene.folder / "state" / "journal").glob("*.sqlite3")
    damage(journal, place / 100)
    try:
        scene.sync()
    except WherryError as error:
        assert isinstance(error, Integrity), error  # noqa: PT017
        journal.unlink()
        for other in journal.parent.glob("*-*"):
            other.unlink()
        scene.sync()
    assert scene.wrong() == []


def damage(path: Path, share: float) -> None:
    """Overwrite 64 bytes at some share of a file."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * share))
        file.write(b"\xa5" * 64)


def test_lost_journal_is_rebuilt_from_the_target(tmp_path: Path) -> None:
    scene = update(tmp_path / "s")
    for path in (scene.folder / "state" / "journal").iterdir():
        path.unlink()
    result = scene.sync()
    assert (result["written"], result["deleted"], result["equal"]) == (41, 8, True)
    assert scene.wrong() == []


def test_target_dropped_behind_our_back_is_filled_again(tmp_path: Path) -> None:
    scene = first_copy(tmp_path / "s")
    scene.sync()
    (scene.folder / "target.db").unlink()
    assert scene.sync()["written"] == 60
    assert scene.wrong() == []


def test_scene_of_a_copy_is_its_own(tmp_path: Path) -> None:
    """What the tests stand on: a copied scene shares nothing with its template."""
    scene: Scene = first_copy(tmp_path / "s")
    copy = scene.copy(tmp_path / "copy")
    copy.sync()
    assert copy.wrong() == []
    assert len(scene.wrong()) == 60


def test_damaged_journal_of_another_target_stops_nobody(tmp_path: Path) -> None:
    scene = update(tmp_path / "s")
    (scene.folder / "state" / "journal" / "other.sqlite3").write_bytes(b"no database at all" * 300)
    assert scene.sync()["equal"]


def test_plan_does_not_take_tokens_of_another_source_for_proof(tmp_path: Path) -> None:
    scene, twin = first_copy(tmp_path / "a", versions=True), first_copy(tmp_path / "b", versions=True)
    scene.sync()
    with twin.source() as source:
        source.db.execute("UPDATE record SET text = 'another' WHERE id = 'r005'")
        with scene.target() as target, scene.state():
            assert wherry.plan(source, target).changed == 1


def test_source_that_wrongly_claims_unique_ids_is_never_equal() -> None:
    """Two records of one id, shown by a store that says there are none."""
    source = in_memory("s", *(record(n) for n in range(20)))

    class Doubled(memory.MemoryStore):
        def describe(self) -> wherry.stores.base.Collection:
            return replace(super().describe(), count=21)

        def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
            yield from super().scan(rows)
            yield Page(wherry.record.from_records([record(3, 1)]))

    class SmallBatches(memory.MemoryStore):
        capabilities = replace(memory.CAPABILITIES, max_batch=8)

    for target in (in_memory("t"), SmallBatches("u")):
        try:
            assert not wherry.sync(Doubled("s"), target).equal
        except Integrity as error:
            assert "r003" in str(error)  # noqa: PT017 - within one batch reading back finds it
    assert wherry.sync(source, in_memory("v")).equal


def test_tokens_of_two_sources_by_turns(tmp_path: Path) -> None:
    """Two copies of a database have the same tokens for different contents."""
    one, twin = first_copy(tmp_path / "a", versions=True), first_copy(tmp_path / "b", versions=True)
    with twin.source() as source:
        source.db.execute("UPDATE record SET text = 'another' WHERE id = 'r005'")
    twin.folder.joinpath("source.db").rename(one.folder / "twin.db")
    with one.source() as left, one.target() as target, one.state():
        right = Chest(one.folder / "twin.db", detects_changes=True)
        for source in (left, right, left, left, right):
            assert wherry.sync(source, target).equal
            assert contents(target) == contents(source)
        right.close()


class Watched(memory.MemoryStore):
    """A source that knows whether a scan of it is under way."""

    scanning = False

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        self.scanning = True
        try:
            for page in super().scan(8):
                yield page
                time.sleep(0.005)
        finally:
            self.scanning = False


@pytest.mark.parametrize("act", [wherry.sync, wherry.verify, wherry.plan])
def test_nothing_of_a_source_is_in_use_after_an_interruption(act: Any) -> None:
    """A scan that goes on in its thread while the source is closed reads memory that is gone."""
    in_memory("s", *(record(n) for n in range(200)))
    source, target = Watched("s"), in_memory("t", record(1))
    began = False

    def interrupt(*progress: object) -> None:
        nonlocal began
        began = source.scanning
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)) as caught:
        act(source, target, progress=interrupt)
    assert began
    assert not source.scanning, caught


@pytest.mark.parametrize("versions", [False, True], ids=["digests", "marks"])
def test_target_changed_by_somebody_else_during_a_run(versions: bool, tmp_path: Path) -> None:
    """One value changed while the run is at work: a target with marks says so, at once or next time."""
    scene = update(tmp_path / "s", versions)

    def meddle(*progress: object) -> None:
        if progress[0] == "sync" and not meddled:
            meddled.append(True)
            with scene.target() as target:
                target.put(record(1, 9))

    meddled: list[bool] = []
    scene.sync(progress=meddle)
    assert meddled
    assert scene.wrong() == ["stale r001"]
    scene.sync(level="digests" if versions else "deep")
    assert scene.wrong() == []


def test_restored_target_is_noticed_by_its_marks(tmp_path: Path) -> None:
    """Somebody puts the target back to an older state, with the same ids."""
    scene = first_copy(tmp_path / "s", versions=True)
    scene.sync()
    old = (scene.folder / "target.db").read_bytes()
    scene.put(record(5, 1))
    scene.sync()
    (scene.folder / "target.db").write_bytes(old)
    with scene.target() as target:
        target.new_age()
    scene.sync()
    assert scene.wrong() == []


def test_two_state_folders_write_one_target(tmp_path: Path) -> None:
    """Two machines sync by turns, and a value comes back: the first one's ledger is out of date."""
    scene = first_copy(tmp_path / "s", versions=True)
    scene.sync()
    (scene.folder / "state").rename(scene.folder / "first")
    scene.put(record(5, 1))
    scene.sync()
    (scene.folder / "state").rename(scene.folder / "second")
    (scene.folder / "first").rename(scene.folder / "state")
    scene.put(record(5))
    scene.sync()
    assert scene.wrong() == []
