"""A route that a program makes for itself."""

from __future__ import annotations

import pytest

import wherry


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
