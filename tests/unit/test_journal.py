"""The journal: what is put down stays, and a file that cannot be read says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from wherry.errors import Busy, JournalCorrupt
from wherry.moving.journal import Journal, folder, printable
from wherry.moving.ledger import Ledger
from wherry.record import Reject


def ids_of(journal: Journal) -> list[str]:
    """Return the runs of a journal, latest first."""
    return [run["id"] for run in journal.runs()]


def test_what_is_remembered_survives_reopening() -> None:
    with Journal("memory:#b") as journal:
        assert journal.recall("epoch") is None
        journal.remember("epoch", "1")
        journal.remember("epoch", "2")
        assert journal.recall("identity") == "memory:#b"
    with Journal("memory:#b") as journal:
        assert journal.recall("epoch") == "2"


def test_each_target_has_a_journal_of_its_own() -> None:
    with Journal("a") as one, Journal("b") as other:
        one.remember("k", "1")
        assert other.recall("k") is None
        assert one.path != other.path
    assert len(list(folder().glob("*.sqlite3"))) == 2


def test_runs_are_listed_latest_first_even_within_a_second() -> None:
    with Journal("a") as journal:
        runs = [journal.begin("sync", "s", "t", {"n": i}) for i in range(30)]
        assert ids_of(journal) == runs[::-1]


def test_two_runs_never_share_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    with Journal("a") as journal:
        one, other = (journal.begin("sync", "s", "t", {}) for _ in range(2))
    assert one != other


def test_a_run_is_told_with_its_plan_and_outcome() -> None:
    with Journal("a") as journal:
        run = journal.begin("sync", "s", "t", {"rows": 3})
        journal.quarantine(run, [Reject("é", "NonFinite", "NaN"), Reject("b", "BadId")])
        journal.end(run, "done", {"written": 3})
        (told,) = journal.runs()
        assert (told["act"], told["source"], told["target"], told["status"]) == ("sync", "s", "t", "done")
        assert (told["plan"], told["outcome"], told["quarantined"]) == ({"rows": 3}, {"written": 3}, 2)
        assert told["started"] <= told["ended"]
        assert journal.quarantined(run) == [Reject("é", "NonFinite", "NaN"), Reject("b", "BadId")]


def test_a_run_that_died_unnoticed_is_marked_by_the_next() -> None:
    with Journal("a") as journal:
        journal.begin("sync", "s", "t", {})
    with Journal("a") as journal:
        journal.begin("sync", "s", "t", {})
        assert [run["status"] for run in journal.runs()] == ["running", "died"]


def test_what_is_no_unicode_is_kept_escaped() -> None:
    with Journal("a") as journal:
        run = journal.begin("sync", "s", "t", {"id": "\ud800"})
        journal.quarantine(run, [Reject("x\ud800", "BadText", "\udfff")])
        journal.end(run, "failed", {"what": "\ud800"})
        assert journal.quarantined(run) == [Reject("x\\ud800", "BadText", "\\udfff")]
        assert journal.runs()[0]["status"] == "failed"
    assert printable("안녕") == "안녕"


def test_a_copy_can_be_written_to_without_a_trace(tmp_path: Path) -> None:
    with Journal("a") as journal:
        Ledger(journal).adopt(["x"], [b"1"])
        with journal.copy(tmp_path / "copy.sqlite3") as copy:
            assert Ledger(copy).count() == 1
            assert copy.recall("identity") == "a"
            Ledger(copy).forget(["x"])
        assert Ledger(journal).count() == 1


def test_a_journal_in_memory_leaves_no_file() -> None:
    with Journal("a", path=":memory:") as journal:
        journal.begin("sync", "s", "t", {})
    assert list(folder().iterdir()) == []


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_file_is_named(content: bytes) -> None:
    with Journal("a") as journal:
        path = Path(journal.path)
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt) as caught:
        Journal("a")
    assert str(path) in str(caught.value)
    assert "move the file away" in str(caught.value)
    assert caught.value.exit_code == 6


def test_a_format_of_a_later_version_is_refused() -> None:
    with Journal("a") as journal:
        journal.remember("format", "99")
    with pytest.raises(JournalCorrupt, match="format 99"):
        Journal("a")


def test_an_error_of_sqlite_gets_a_name_on_the_way_out() -> None:
    with pytest.raises(Busy), Journal("a"):
        raise sqlite3.OperationalError("database is locked")
