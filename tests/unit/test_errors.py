"""Errors: one tree, the exit codes of the contract, and messages that say what to do."""

from __future__ import annotations

import inspect
import json

import pytest

from wherry import errors
from wherry.errors import RateLimited, WherryError

EXIT_CODES = {
    "Different": 1, "Usage": 2, "Refused": 3, "StoreError": 4, "BadRecord": 5, "Integrity": 6, "Busy": 7,
    "Interrupted": 130,
}  # fmt: skip
ALL = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, WherryError)]


@pytest.mark.parametrize("error", ALL, ids=lambda e: e.__name__)
def test_every_error_says_what_happened_without_being_told(error: type[WherryError]) -> None:
    assert error().what == (error.__doc__ or "").strip()
    lines = str(error("it broke")).splitlines()
    assert lines[0] == "it broke"
    assert ("next:" in lines[-1]) is error.retryable


@pytest.mark.parametrize("error", ALL, ids=lambda e: e.__name__)
def test_every_error_has_the_exit_code_of_its_branch(error: type[WherryError]) -> None:
    branch = next((e.__name__ for e in error.__mro__ if e.__name__ in EXIT_CODES), None)
    assert error.exit_code == EXIT_CODES.get(branch or "", 2)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = inspect.getdoc(errors) or ""
    for error in ALL:
        starred = f"{error.__name__} *" in drawn
        assert error.__name__ in drawn
        assert error.retryable == starred


def test_a_message_says_what_where_what_is_left_and_what_next() -> None:
    error = WherryError("it broke", where="pgvector:#docs", left="nothing was written", next="try again")
    assert str(error).splitlines() == [
        "it broke",
        "  where: pgvector:#docs",
        "  left behind: nothing was written",
        "  next: try again",
    ]


def test_an_error_as_json_holds_the_same() -> None:
    error = RateLimited("slow down", retry_after_s=3, where="x", next="wait")
    shown = json.loads(json.dumps(error.to_dict()))
    assert shown == {
        "error": "RateLimited", "what": "slow down", "where": "x", "left_behind": "", "next": "wait",
        "exit_code": 4, "retryable": True,
    }  # fmt: skip
    assert error.retry_after_s == 3
