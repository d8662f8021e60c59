"""A route that a program makes for itself."""

from __future__ import annotations

import pytest

import wherry
from tests.routing.kit import put


def test_a_name_is_given_once(fresh: None) -> None:
    made = wherry.set_route("checkup", "memory:#a", variable="USE_LOCAL", on="memory:#b", off="memory:#a")
    assert (made.target, made.leads_to({"USE_LOCAL": "true"}), made.leads_to({})) == (
        "memory:#a", "memory:#b", "memory:#a",
    )  # fmt: skip
    again = wherry.set_route("checkup", "memory:#c")
    assert (again.target, again.version) == ("memory:#a", made.version)


def test_addresses_without_a_variable_are_refused(fresh: None) -> None:
    with pytest.raises(wherry.Usage):
        wherry.set_route("checkup", "memory:#a", on="memory:#b")


def test_a_program_may_decide_by_variables_of_its_own(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    put("memory:#mine", ["로컬"])
    put("memory:#theirs", ["클라우드"])
    wherry.set_route("own", "memory:#theirs", variable="USE_LOCAL", on="memory:#mine", off="memory:#theirs")
    monkeypatch.setenv("USE_LOCAL", "false")
    with wherry.route("own", {"USE_LOCAL": "true"}) as mine, wherry.route("own") as usual:
        assert (mine.address, usual.address) == ("memory:#mine", "memory:#theirs")
        assert (mine.search("로컬", 1)[0].text, usual.search("로컬", 1)[0].text) == ("로컬", "클라우드")
