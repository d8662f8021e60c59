"""Every way to end has its own exit code, and one JSON object."""

from __future__ import annotations

import pytest

from tests.cli.commands import Wherry, fill, run_command
from wherry import errors
from wherry.cli.failures import Unexpected, report
from wherry.errors import WherryError
from wherry.state import locked
from wherry.stores.registry import open_target
from wherry.testing.samples import sample

# The contract, written out: a class that moves in the tree must not move its code.
CODES = {
    1: "Different",
    2: "WherryError Usage UnknownStore UnknownModel NoModel MissingExtra NoSuchRoute BadAddress WrongDimension "
    "Unsupported NotFound",
    3: "Refused LossNotAccepted MassDelete SpaceMismatch UnknownMetric NotEnoughSpace NotVerified WouldLoseWrites "
    "Conflict",
    4: "StoreError Unreachable TimedOut RateLimited SourceChanged NoSuchCollection NotListed AuthFailed "
    "QuotaExceeded DiskFull WorkerLost Rejected",
    5: "BadRecord",
    6: "Integrity ArchiveCorrupt JournalCorrupt BadAnswer ReadBackDiffers",
    7: "Busy",
    130: "Interrupted",
}
PAIRS = [(name, code) for code, names in CODES.items() for name in names.split()]


def test_the_table_holds_every_class() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert {name for name, _ in PAIRS} == {n for n in defined if issubclass(getattr(errors, n), WherryError)}


@pytest.mark.parametrize(("name", "code"), PAIRS)
def test_a_class_has_its_code_in_both_forms(name: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    error = getattr(errors, name)("무엇", where="where it was", left="left", next="wherry doctor")
    assert report(error, ["sync", "a", "b"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: 무엇\n  where: where it was\n  left behind: left\n  next: ")
    assert report(error, ["sync", "a", "b", "--json"]) == code
    said = capsys.readouterr()
    assert f'"error": "{name}"' in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("sync", "nosuch:#a", "memory:#b"), 2),
        (("sync", "notes.txt", "memory:#b"), 2),
        (("sync", "memory:#guides"), 2),
        (("sync", "memory:#guides", "memory:#b", "--no-such-flag"), 2),
        (("fly",), 2),
        (("verify", "memory:#guides", "memory:#guides", "--level", "guess"), 2),
        (("runs", "show", "20200101-000000-0000"), 2),
        (("sync", "memory:#guides", "memory:#guides"), 3),
        (("sync", "memory:#absent", "memory:#b"), 4),
    ],
)
def test_a_real_failure(wherry: Wherry, guides: str, args: tuple[str, ...], code: int) -> None:
    said = wherry(*args)
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    said = wherry(*args, "--json")
    assert said.code == said.json["exit_code"] == code


def test_a_mass_deletion_is_refused_until_it_is_allowed(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    small = fill("small", sample(10))
    assert wherry("sync", small, "memory:#copy").code == 3
    assert wherry("verify", guides, "memory:#copy").code == 0
    assert wherry("sync", small, "memory:#copy", "--allow-mass-delete").code == 0


def test_two_spaces_are_refused(wherry: Wherry, guides: str) -> None:
    assert wherry("sync", guides, fill("wide", sample(5, dimension=9))).code == 3


def test_a_busy_target_exits_7(wherry: Wherry, guides: str) -> None:
    wherry("sync", guides, "memory:#copy")
    with locked(open_target("memory:#copy").identity, "memory:#copy"):
        assert wherry("sync", guides, "memory:#copy").code == 7


def test_a_broken_journal_exits_6_and_names_the_file(wherry: Wherry, guides: str) -> None:
    from wherry.moving.journal import folder

    wherry("sync", guides, "memory:#copy")
    (journal,) = folder().glob("*.sqlite3")
    journal.write_bytes(b"no database at all" * 100)
    for args in (("sync", guides, "memory:#copy"), ("runs",)):
        said = wherry(*args)
        assert said.code == 6
        assert str(journal) in said.err


def test_a_bug_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ZeroDivisionError("division by zero"), ["sync", "a", "b"]) == Unexpected.exit_code == 70
    said = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: division by zero" in said
    assert "--debug" in said


def test_debug_prints_the_traceback(wherry: Wherry) -> None:
    assert "Traceback" in wherry("sync", "memory:#absent", "memory:#b", "--debug").err


def test_a_state_folder_that_is_a_file_is_the_systems_refusal(tmp_path: object) -> None:
    said = run_command("runs", "--json", WHERRY_HOME="/dev/null/x")
    assert said.code == said.json["exit_code"] == 4
    assert "/dev/null" in said.json["where"]
