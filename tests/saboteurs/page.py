"""Writes docs/saboteurs.md from the table of saboteurs: `python -m tests.saboteurs.page`."""

from __future__ import annotations

from pathlib import Path

from tests.saboteurs.table import MUTINIES, SUSPECTS, TRAITORS

PAGE = Path(__file__).parents[2] / "docs" / "saboteurs.md"
_HEAD = """# Saboteurs

Written by `python -m tests.saboteurs.page` from the table that the tests run.

A test that cannot fail proves nothing. So there are stores and engines that are wrong on purpose, each
in one way, and each is paired with the test that must catch it. The build fails when one gets through,
and also when the same test fails for what is right.
"""


def written() -> str:
    """Return the text of the page."""
    return _HEAD + _suspects() + _traitors() + _mutinies()


def _suspects() -> str:
    rows = "".join(f"| {s.name} | {s.does} | `{s.test}` | {s.seen_in} |\n" for s in SUSPECTS)
    return (
        "\n## Wrong stores and their conformance tests\n\nThe suite that every store must pass "
        "(`wherry.testing.conformance`) fails for these, at this test.\n\n"
        "| store | does | caught by | seen in |\n|---|---|---|---|\n" + rows
    )


def _traitors() -> str:
    rows = "".join(f"| {t.name} | {t.does} |\n" for t in TRAITORS)
    return (
        "\n## Wrong stores that a sync itself notices\n\nA first copy and an update end in a named error, or "
        'in a result that does not say "equal" (`test_wrong_store_never_gets_through_a_sync`).\n\n'
        "| store | does |\n|---|---|\n" + rows
    )


def _mutinies() -> str:
    rows = "".join(f"| {m.name.replace('_', ' ')} | {m.does} | `{m.caught_by}` | {m.seen_in} |\n" for m in MUTINIES)
    return (
        "\n## Wrong engines\n\nWherry itself, made wrong in one place.\n\n"
        "| engine | does | caught by | seen in |\n|---|---|---|---|\n" + rows
    )


if __name__ == "__main__":
    PAGE.write_text(written())
